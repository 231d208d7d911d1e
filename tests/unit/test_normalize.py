"""From a record of any source to events, and what becomes of those that cannot be used."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.ingest.normalize import SOURCES, Origin, Unusable, normalize
from shared.cloudevents import Tenancy, encode_record
from shared.events import SECOND, Event, Headers, Instant, parse_instant, rfc3339

NOON: Instant = parse_instant("2026-01-05T12:00:00Z")
ORIGIN = Origin("canonical", Tenancy("acme", trusted=False), largest=2_000)
BATCH: Headers = [("content-type", b"application/cloudevents-batch+json")]


def event(number: int = 1, **changes: Any) -> dict[str, Any]:
    return {
        "specversion": "1.0",
        "id": f"e-{number}",
        "source": "/helpdesk",
        "type": "ticket.created",
        "subject": str(number),
        "time": "2026-01-05T08:00:00Z",
        **changes,
    }


def one(value: bytes | None, headers: Headers = (), latest: Instant = NOON) -> Event | Unusable:
    (found,) = normalize(headers, value, ORIGIN, latest=latest)
    return found


def refused(value: bytes | None, headers: Headers = (), latest: Instant = NOON) -> tuple[str, str | None]:
    found = one(value, headers, latest)
    assert isinstance(found, Unusable)
    return found.error.reason, found.error.field


def test_an_event_belongs_to_the_tenant_of_its_topic() -> None:
    found = one(msgspec.json.encode(event(tenant="somebody-else")))
    assert isinstance(found, Event)
    assert found.item == "acme/ticket/1"


@pytest.mark.parametrize(
    ("time", "expected"),
    [
        (NOON, None),  # exactly as late as can be
        (NOON + 1, ("clock_skew", "time")),
        (NOON + 3600 * SECOND, ("clock_skew", "time")),
        (NOON - 3600 * SECOND, None),  # the past is never too far
    ],
)
def test_an_event_from_the_future_is_refused(time: Instant, expected: tuple[str, str] | None) -> None:
    found = one(msgspec.json.encode(event(time=rfc3339(time))))
    assert (None if isinstance(found, Event) else (found.error.reason, found.error.field)) == expected


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (None, "undecodable"),  # a tombstone says nothing about an item
        (b"", "undecodable"),
        (b"{", "undecodable"),
        (msgspec.json.encode(event(type="x")), "unknown_type"),
        (b" " * 2_001, "too_large"),
        (b"[" + b" " * 2_000, "too_large"),
        (b"[{]", "undecodable"),  # a batch that cannot be taken apart is refused as a whole
    ],
)
def test_a_record_that_cannot_be_used_is_refused_as_a_whole(value: bytes | None, reason: str) -> None:
    found = one(value)
    assert isinstance(found, Unusable)
    assert (found.error.reason, found.part, found.position) == (reason, None, None)


def test_a_bad_event_of_a_batch_loses_no_other() -> None:
    bad, late = event(2, subject=""), event(4, time="2026-01-06T00:00:00Z")
    value = msgspec.json.encode([event(1), bad, event(3), late, 7])
    found = normalize(BATCH, value, ORIGIN, latest=NOON)
    assert [each.subject for each in found if isinstance(each, Event)] == ["1", "3"]
    unusable = [each for each in found if isinstance(each, Unusable)]
    assert [(each.error.reason, each.part, each.position) for each in unusable] == [
        ("invalid", msgspec.json.encode(bad), 1),
        ("clock_skew", msgspec.json.encode(late), 3),
        ("invalid", b"7", 4),
    ]


def test_a_batch_inside_a_batch_is_no_event() -> None:
    assert refused(b"[[" + msgspec.json.encode(event()) + b"]]", BATCH) == ("invalid", None)


header_names = st.sampled_from(["ce_id", "ce_type", "ce_time", "content-type"])


@given(st.binary(max_size=200), st.lists(st.tuples(header_names, st.binary(max_size=20))))
def test_no_bytes_whatever_raise_anything(value: bytes, headers: list[tuple[str, bytes]]) -> None:
    for found in normalize(headers, value, ORIGIN, latest=NOON):
        assert isinstance(found, Event | Unusable)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@given(st.dictionaries(st.sampled_from([*event(), "data", "tenant", "sequence"]), json_values))
def test_whatever_is_accepted_can_be_written_on(changes: dict[str, Any]) -> None:
    try:
        value = msgspec.json.encode(event(**changes))
    except (OverflowError, UnicodeEncodeError):
        return  # no JSON to begin with
    for found in normalize([], value, ORIGIN, latest=NOON):
        if isinstance(found, Event):
            encode_record(found)


def test_every_source_reads_and_splits() -> None:
    for source in SOURCES.values():
        assert callable(source.read)
        assert source.split([], b"") is None
