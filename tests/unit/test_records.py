"""Records as they are read: ours hold what the client's own would."""

from __future__ import annotations

from typing import Any

from aiokafka.consumer import fetcher
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.record.memory_records import MemoryRecords
from aiokafka.structs import TopicPartition

from shared.kafka.records import ReadRecord, _Unpacked

FIELDS = ReadRecord.__struct_fields__


def packed(*values: bytes | None) -> bytes:
    """A batch as a broker keeps it."""
    builder: Any = DefaultRecordBatchBuilder(
        2, 0, is_transactional=0, producer_id=-1, producer_epoch=-1, base_sequence=0, batch_size=100_000
    )
    for offset, value in enumerate(values):
        headers = [("a", b"1"), ("a", b""), ("b", None)][:offset]
        builder.append(offset, 1_000 + offset, key=None if offset == 1 else b"k", value=value, headers=headers)
    return bytes(builder.build())


def unpacked(kind: Any, batch: bytes, *, begin: int = 0) -> Any:
    """What a consumer goes through."""
    return kind(TopicPartition("t", 3), MemoryRecords(batch), [], begin, None, None, True, 1)


def test_a_record_has_all_that_the_clients_own_has() -> None:
    batch = packed(b"x", b"", None, b"y")
    theirs = [
        {**{name: getattr(record, name) for name in FIELDS}, "headers": list(record.headers)}
        for record in unpacked(fetcher.PartitionRecords, batch)
    ]
    ours = [{name: getattr(record, name) for name in FIELDS} for record in unpacked(_Unpacked, batch)]
    assert ours == theirs
    assert len(ours) == 4


def test_who_stops_on_the_way_goes_on_there() -> None:
    found = unpacked(_Unpacked, packed(b"0", b"1", b"2", b"3"), begin=1)
    first = next(iter(found))
    assert (first.offset, found.next_fetch_offset) == (1, 2)
    assert [record.offset for record in found] == [2, 3]
    assert found.next_fetch_offset == 4
    assert list(found) == []
