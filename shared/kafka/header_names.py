"""Reading on where a header's name is no UTF-8, which ends the client's own decoder at that record for ever.

Kafka takes any bytes for a name, and clients outside Java write any. So where the decoder fails, a slower one takes its
place for some polls: it reads the same, and shows what cannot be read of a name as U+FFFD. It takes 9 µs a record where
the client's own takes 1, so the client's own comes back after them.
"""

from __future__ import annotations

from typing import Any, Final

import structlog
from aiokafka.consumer import fetcher
from aiokafka.record.default_records import _DefaultRecordBatchPy
from aiokafka.record.memory_records import _MemoryRecordsPy

POLLS: Final = 50  # that brought records, after which the fast decoder is tried again
_FAST: Final = fetcher.MemoryRecords

log = structlog.get_logger(__name__)


class HeaderNames:
    """Which decoder the consumers of this process use: the fast one, until it fails."""

    def __init__(self) -> None:
        self._left = 0

    def unreadable(self, error: UnicodeDecodeError) -> None:
        """Note that the fast decoder failed; what is fetched from now on is read by the other one."""
        if not self._left:
            log.warning("a record has a header whose name is no UTF-8", error=str(error))
        self._left = POLLS
        fetcher.MemoryRecords = _Records

    def polled(self, partitions: int) -> None:
        """Note that a poll brought records of so many partitions."""
        if self._left and partitions:
            self._left -= 1
            if not self._left:
                fetcher.MemoryRecords = _FAST


class _Bytes(bytearray):
    """Bytes of which every part can be read as text."""

    def __getitem__(self, place: Any) -> Any:
        found = super().__getitem__(place)
        return _Bytes(found) if isinstance(place, slice) else found

    def decode(self, encoding: str = "utf-8", _errors: str = "strict") -> str:
        return super().decode(encoding, "replace")


class _Batch(_DefaultRecordBatchPy):  # type: ignore[misc]  # the library closes it to subclasses; it is read here only
    """A batch of records whose headers may have any name."""

    def _maybe_uncompress(self) -> None:
        super()._maybe_uncompress()
        buffer: bytearray = self._buffer  # type: ignore[has-type]  # the library's is not annotated
        if not isinstance(buffer, _Bytes):
            self._buffer = _Bytes(buffer)


class _Records(_MemoryRecordsPy):  # type: ignore[misc]  # as above
    """What was fetched, batch by batch."""

    def next_batch(self, *_: Any) -> Any:
        whole = self._next_slice
        if whole is None or len(whole) <= self.MAGIC_OFFSET or whole[self.MAGIC_OFFSET] < 2:
            return super().next_batch()  # before headers were thought of
        self._cache_next()
        return _Batch(whole)
