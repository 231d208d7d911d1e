"""Records that could not be used, as they came: original bytes, key and headers, with the reason beside them.

| header | what it says |
| --- | --- |
| `plazo_stage`, `plazo_version` | which service could not use it, and which version of it |
| `plazo_reason` | why, one of `shared.errors.DeadLetterReason` |
| `plazo_field` | the field that is to blame; empty where none is |
| `plazo_message` | what was expected, for a person |
| `plazo_topic`, `plazo_partition`, `plazo_offset` | where it was read |
| `plazo_timestamp_ms` | its timestamp there |
| `plazo_index` | only on an event of a batch: which one, from 0; the value is that event alone |
| `plazo_truncated` | only on a value that no topic could hold and that was cut: its full length in bytes |
| `plazo_headers_dropped` | only where its own headers were too large: how many are missing |
"""

from __future__ import annotations

from typing import Final, NamedTuple

from shared.errors import BadRecord
from shared.events import Headers
from shared.kafka.connection import MAX_RECORD_BYTES, Outgoing, Record
from shared.version import VERSION

PREFIX: Final = "plazo_"
# Key, headers and value together stay below the broker's default limit of 1 MiB for a batch.
KEY_BYTES: Final = 16 * 1024
HEADERS_BYTES: Final = 64 * 1024


class Part(NamedTuple):
    """One event of a batch, which becomes a dead letter of its own."""

    position: int
    value: bytes
    headers: Headers = ()  # in place of the batch's own of the same names


def dead_letter(record: Record, error: BadRecord, *, stage: str, part: Part | None = None) -> Outgoing:
    """The record, or one *part* of it, for the dead-letter topic.

    A record without a key gets its topic and partition for one. Headers that an earlier journey through the dead
    letters has left give way to the new ones.
    """
    value, replaced = (record.value, {}) if part is None else (part.value, dict(part.headers))
    own = [(name, text) for name, text in record.headers if not name.startswith(PREFIX) and name not in replaced]
    own += replaced.items()
    kept = _fitting(own)
    told = _reason(record, error, stage)
    if part is not None:
        told["index"] = part.position
    if value is not None and len(value) > MAX_RECORD_BYTES:
        told["truncated"] = len(value)
        value = value[:MAX_RECORD_BYTES]
    if len(kept) < len(own):
        told["headers_dropped"] = len(own) - len(kept)
    key = record.key if record.key is not None else f"{record.topic}/{record.partition}".encode()
    headers = [*kept, *((PREFIX + name, str(text).encode(errors="replace")) for name, text in told.items())]
    return Outgoing(key[:KEY_BYTES], value, headers)


def _fitting(headers: list[tuple[str, bytes]]) -> list[tuple[str, bytes]]:
    kept, size = [], 0
    for name, text in headers:
        size += len(name.encode()) + len(text or b"")
        if size <= HEADERS_BYTES:
            kept.append((name, text))
    return kept


def _reason(record: Record, error: BadRecord, stage: str) -> dict[str, str | int]:
    return {
        "stage": stage,
        "version": VERSION,
        "reason": error.reason,
        "field": error.field or "",
        "message": str(error),
        "topic": record.topic,
        "partition": record.partition,
        "offset": record.offset,
        "timestamp_ms": record.timestamp,
    }
