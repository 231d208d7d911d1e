"""Records that could not be used, as they came: original bytes, key and headers, with the reason beside them."""

from __future__ import annotations

from typing import Final

from shared.errors import BadRecord
from shared.kafka.connection import MAX_RECORD_BYTES, Outgoing, Record

MESSAGE_BYTES: Final = 500


def dead_letter(record: Record, error: BadRecord, *, stage: str) -> Outgoing:
    """The record for the dead-letter topic.

    Its headers are the original ones, and `plazo_stage`, `plazo_reason`, `plazo_field`, `plazo_message`,
    `plazo_topic`, `plazo_partition`, `plazo_offset`, `plazo_timestamp_ms`. A value that no topic could hold is cut, and
    `plazo_truncated` then gives its full length in bytes.
    """
    value = record.value
    headers = [
        *record.headers,
        ("plazo_stage", stage.encode()),
        ("plazo_reason", error.reason.encode()),
        ("plazo_field", (error.field or "").encode(errors="replace")),
        ("plazo_message", str(error).encode(errors="replace")[:MESSAGE_BYTES]),
        ("plazo_topic", record.topic.encode()),
        ("plazo_partition", str(record.partition).encode()),
        ("plazo_offset", str(record.offset).encode()),
        ("plazo_timestamp_ms", str(record.timestamp).encode()),
    ]
    if value is not None and len(value) > MAX_RECORD_BYTES:
        headers.append(("plazo_truncated", str(len(value)).encode()))
        value = value[:MAX_RECORD_BYTES]
    key = record.key if record.key is not None else f"{record.topic}/{record.partition}".encode()
    return Outgoing(key, value, headers)
