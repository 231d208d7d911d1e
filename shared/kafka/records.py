"""Records as they are read: small, and made in half the time that the client's own take.

The client makes an object with eleven fields in a dict for every record, and has no setting for another one. So the
class by which it unpacks what it fetched is replaced by one that makes ours: 1.4 µs a record instead of 2.4.
"""

from __future__ import annotations

from typing import Any

import msgspec
from aiokafka.consumer import fetcher

from shared.events import Headers


class ReadRecord(msgspec.Struct, gc=False):
    """A record of a topic; fulfils `shared.kafka.connection.Record`."""

    topic: str
    partition: int
    offset: int
    timestamp: int  # ms since the epoch
    key: bytes | None
    value: bytes | None
    headers: Headers


class _Unpacked(fetcher.PartitionRecords):  # type: ignore[misc]  # aiokafka ships no types
    """What was fetched of one partition."""

    def __iter__(self) -> Any:
        # Whoever goes through all of them need not come by a function of ours for each.
        return self if self._records_iterator is None else self._records_iterator

    def _consumer_record(self, tp: Any, record: Any) -> ReadRecord:
        return ReadRecord(
            tp.topic, tp.partition, record.offset, record.timestamp, record.key, record.value, record.headers
        )


def read_lean() -> None:
    """Let every consumer of this process make records of ours."""
    fetcher.PartitionRecords = _Unpacked
