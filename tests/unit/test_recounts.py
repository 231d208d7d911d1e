"""Recounts: what Plazo alone writes onto its topic of events, and takes from nobody."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.ingest.normalize import Origin, Unusable, normalize
from services.ingest.sources import canonical
from shared.cloudevents import ANY_TENANT
from shared.errors import BadRecord
from shared.events import EVENT_TYPES, RECOUNTS, Event, Recount
from shared.recounts import decode_event, decode_recorded, encode_event
from tests.factories import DUE, ticket_event

RECOUNTED = ticket_event(type="ticket.recounted", recount=Recount("v2", "new contract", "ana"))
recounts = st.builds(
    Recount,
    policy_version=st.none() | st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=128),
    reason=st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=200),
    by=st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=100),
)


def structured(**changes: Any) -> bytes:
    """A recount as a line of a file, with *changes* of its fields."""
    fields = {
        "specversion": "1.0",
        "id": "42-0",
        "source": "/desk",
        "type": "ticket.recounted",
        "subject": "42",
        "time": "2026-01-05T12:00:00Z",
        "data": {"policy_version": "v2", "reason": "new contract", "by": "ana"},
    }
    return msgspec.json.encode(fields | changes)


@given(recounts, st.sampled_from(sorted(RECOUNTS)))
def test_what_is_written_is_read_as_it_was(recount: Recount, event_type: str) -> None:
    written = ticket_event(type=event_type, kind=event_type.partition(".")[0], recount=recount)
    _, value, headers = encode_event(written)
    assert decode_event(headers, value) == written


def test_other_events_are_read_as_ever() -> None:
    written = ticket_event(attributes={"priority": "high"})
    _, value, headers = encode_event(written)
    assert decode_event(headers, value) == written


@pytest.mark.parametrize("headers", [[], [("content-type", b"application/cloudevents+json")]])
def test_a_recount_is_read_from_a_file_too(headers: list[tuple[str, bytes]]) -> None:
    assert decode_recorded(structured()) == RECOUNTED
    assert decode_event(headers, structured()) == RECOUNTED
    assert decode_recorded(structured(data={})).recount == Recount()


@pytest.mark.parametrize(
    ("data", "field"),
    [
        ({"policy_version": 5}, "data.policy_version"),
        ({"policy_version": ""}, "data.policy_version"),
        ({"reason": "x" * 2_001}, "data.reason"),  # it goes into every item's history
        ("text", "data"),
    ],
)
def test_a_wrong_field_is_named(data: Any, field: str) -> None:
    with pytest.raises(BadRecord) as raised:
        decode_recorded(structured(data=data))
    assert (raised.value.reason, raised.value.field) == ("invalid", field)


@pytest.mark.parametrize("event_type", ["ticket.exploded", "fax.recounted"])
def test_a_type_that_nobody_writes_stays_unknown(event_type: str) -> None:
    with pytest.raises(BadRecord, match=event_type):
        decode_recorded(structured(type=event_type))
    _, value, headers = encode_event(RECOUNTED)
    with pytest.raises(BadRecord, match=event_type):
        decode_event([(name, event_type.encode() if name == "ce_type" else text) for name, text in headers], value)


def test_the_character_that_no_database_stores_is_refused() -> None:
    with pytest.raises(BadRecord, match=r"U\+0000"):
        decode_recorded(structured(data={"reason": "a\0b"}))


@pytest.mark.parametrize("mode", ["binary", "structured", "batched"])
def test_ingest_takes_no_recount_from_upstream(mode: str) -> None:
    _, value, headers = encode_event(RECOUNTED)
    record = {"binary": (headers, value), "structured": ([], structured()), "batched": ([], b"[" + structured() + b"]")}
    found = normalize(*record[mode], Origin("canonical", ANY_TENANT, 10_000), latest=DUE)
    [refused] = found
    assert isinstance(refused, Unusable)
    assert refused.error.reason == "unknown_type"
    assert "'ticket.recounted', which Plazo alone writes" in str(refused.error)


def test_over_http_it_is_refused_by_its_type() -> None:
    [problem] = canonical.problems(structured(), ANY_TENANT)
    assert (problem.reason, problem.field) == ("unknown_type", "type")


def test_recounts_are_no_events_of_a_source() -> None:
    assert RECOUNTS.isdisjoint(EVENT_TYPES)


def test_an_event_that_was_stored_before_recounts_were_is_read() -> None:
    fields = Event.__struct_fields__
    before = msgspec.msgpack.encode(tuple(getattr(RECOUNTED, name) for name in fields[: fields.index("recount")]))
    assert msgspec.msgpack.decode(before, type=Event).recount is None
