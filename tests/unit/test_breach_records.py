"""Breach events as a subscriber reads them."""

from __future__ import annotations

import msgspec
import pytest

from shared.breach_records import decode_published
from shared.errors import BadRecord
from shared.events import Headers
from tests.factories import breach, breach_record, silence, silence_record

FOUND = breach()
_, VALUE, HEADERS = breach_record(FOUND)
STRUCTURED = msgspec.json.encode(
    {"specversion": "1.0", "source": "/plazo/timer", "id": FOUND.id, "type": FOUND.type, "time": FOUND.time,
     "data": FOUND.data}
)  # fmt: skip


def without(name: str) -> Headers:
    return [(header, text) for header, text in HEADERS if header != name]


def test_what_the_timer_publishes_is_read_back() -> None:
    assert decode_published(HEADERS, VALUE) == FOUND


def test_a_silence_is_read_back_with_its_source_as_its_key() -> None:
    key, value, headers = silence_record(silence())
    assert decode_published(headers, value) == silence()
    assert (key, dict(headers)["ce_subject"]) == (b"default/source//helpdesk", b"default/source//helpdesk")


def test_structured_mode_says_the_same() -> None:
    assert decode_published([("content-type", b"application/cloudevents+json")], STRUCTURED) == FOUND


def test_fields_of_a_newer_version_are_passed_over() -> None:
    newer = msgspec.json.encode({**msgspec.to_builtins(FOUND.data), "impact": "high"})
    assert decode_published(HEADERS, newer) == FOUND


@pytest.mark.parametrize(
    ("headers", "value", "reason", "field"),
    [
        (HEADERS, None, "undecodable", None),  # a tombstone
        (HEADERS, b"{", "undecodable", None),
        ([], b"[]", "invalid", None),
        ([], b"{}", "unknown_type", "type"),
        ([*without("ce_type"), ("ce_type", b"sla.source.noisy.v1")], VALUE, "unknown_type", "type"),
        ([*without("ce_type"), ("ce_type", b"sla.source.silent.v1")], VALUE, "invalid", None),  # a breach's data
        ([*without("ce_time"), ("ce_time", b"noon")], VALUE, "invalid", "time"),
        ([*without("ce_time"), ("ce_time", b"\xff")], VALUE, "undecodable", None),
        (HEADERS, VALUE.replace(b'"due_at"', b'"due_on"'), "invalid", None),
        (HEADERS, VALUE.replace(b"madrid", b"mad\\u0000rid"), "invalid", None),  # PostgreSQL could not hold it
        ([*without("ce_id"), ("ce_id", None)], VALUE, "invalid", None),  # Kafka lets a header have no value
        ([*without("content-type"), ("content-type", None)], b"{}", "invalid", None),
        (HEADERS, b'{"attributes":{"a":' + b"[" * 100_000, "invalid", None),  # would exhaust the stack
    ],
)
def test_what_is_no_breach_event_is_refused_with_its_reason(
    headers: Headers, value: bytes | None, reason: str, field: str | None
) -> None:
    with pytest.raises(BadRecord) as caught:
        decode_published(headers, value)
    assert (caught.value.reason, caught.value.field) == (reason, field)
