"""Events that go on as the bytes in which they came."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.ingest.normalize import Origin, normalize
from services.ingest.passage import STRUCTURED, Passage, passage
from services.ingest.status_file import built_in
from services.ingest.statuses import NO_STATUSES, StatusTable
from shared.cloudevents import Tenancy, decode_record, encode_record
from shared.events import Event, Headers, Instant, parse_instant

NOON: Instant = parse_instant("2026-01-05T12:00:00Z")
OURS = Tenancy()  # the default tenant's, which may speak for others
ACME = Tenancy("acme", trusted=False)


def event(**changes: Any) -> dict[str, Any]:
    return {
        "specversion": "1.0",
        "id": "e-1",
        "source": "/helpdesk",
        "type": "ticket.created",
        "subject": "1",
        "time": "2026-01-05T08:00:00Z",
        **changes,
    }


def passed(
    value: dict[str, Any] | bytes,
    tenancy: Tenancy = OURS,
    headers: Headers = (),
    *,
    statuses: StatusTable = NO_STATUSES,
    largest: int = 2_000,
) -> Passage | None:
    raw = value if isinstance(value, bytes) else msgspec.json.encode(value)
    return passage(headers, raw, Origin("canonical", tenancy, largest), latest=NOON, statuses=statuses)


@pytest.mark.parametrize(
    ("changes", "headers"),
    [
        ({}, ()),  # as little as an event can say
        ({}, STRUCTURED),
        ({"data": {"attributes": {"a": [1, {"b": None}]}, "author": "agent", "public": False}}, ()),
        ({"type": "ticket.snapshot", "data": {"created_at": "2026-01-05T07:00:00Z", "complete": True}}, ()),
        ({"sequence": "7", "tenant": "b", "datacontenttype": "application/json"}, ()),
        ({"time": "2026-01-05T13:00:00+01:00"}, ()),  # the last instant that may be
        ({"subject": "ü/1"}, ()),  # written as it is, not as \\u
    ],
)
def test_what_is_said_in_structured_mode_goes_on_as_it_is(changes: dict[str, Any], headers: Headers) -> None:
    value = msgspec.json.encode(event(**changes))
    found = passed(value, headers=headers)
    assert found is not None
    assert found.value is value


@pytest.mark.parametrize(
    ("value", "why"),
    [
        (b"", "nothing"),
        (b"[]", "a batch"),
        (b" {}", "space in front"),
        (b"{", "no JSON"),
        (event(id=""), "a field that is wrong"),
        (event(type="x"), "no type"),
        (event(type="ticket.recounted"), "a type that Plazo alone writes"),
        (event(time="2026-01-05T12:00:00.000001Z"), "in the future"),
        (event(time="1800-01-01T00:00:00Z"), "centuries ago"),
        (event(tenant="a/b"), "no tenant"),
        (event(sequence="x"), "no number"),
        (event(data_base64="e30="), "no JSON in it"),
        (event(data={"body": "a customer's words"}), "it says what is not to be handed on"),
        (event(phone="+34 600 000 000"), "here too"),
        (event(data={"attributes": {"a": "\0"}}), "U+0000"),
        (event(data={"attributes": {"a": 2**64}}), "a number that cannot be stored"),
        (event(data={"attributes": {"a": msgspec.Raw(b"[" * 40 + b"]" * 40)}}), "deep"),
        (event(type="ticket.snapshot", data={"complete": "yes"}), "a snapshot that is wrong"),
        (event(data={"attributes": {"a": "x" * 2_000}}), "too large"),
    ],
)  # fmt: skip
def test_what_is_unusual_or_wrong_is_looked_at_more_closely(value: dict[str, Any] | bytes, why: str) -> None:
    assert passed(value) is None, why


def test_binary_mode_is_written_anew() -> None:
    _, value, headers = encode_record(decode_record((), msgspec.json.encode(event())))
    assert passed(value, headers=headers) is None


def test_a_tombstone_does_not_pass() -> None:
    assert passage((), None, Origin("canonical", OURS, 2_000), latest=NOON, statuses=NO_STATUSES) is None


@pytest.mark.parametrize(
    ("tenancy", "tenant", "key"),
    [
        (OURS, None, b"default/ticket/1"),
        (OURS, "b", b"b/ticket/1"),
        (Tenancy("default", trusted=False), "b", None),  # it may not speak for b, so that must not stand there
        (ACME, None, b"acme/ticket/1"),
        (ACME, "acme", b"acme/ticket/1"),
        (ACME, "b", None),
        (Tenancy("acme"), None, b"acme/ticket/1"),
        (Tenancy("acme"), "b", b"b/ticket/1"),
    ],
)
def test_who_reads_it_takes_it_for_the_tenants_whose_it_is(
    tenancy: Tenancy, tenant: str | None, key: bytes | None
) -> None:
    found = passed(event() if tenant is None else event(tenant=tenant), tenancy)
    assert (None if found is None else found.key) == key
    if found is not None:
        assert decode_record(STRUCTURED, found.value).item.encode() == found.key


@pytest.mark.parametrize("name", [b'"tenant"', b'"te\\u006eant"'])
def test_a_tenant_that_is_null_in_any_spelling_does_not_undo_the_topics(name: bytes) -> None:
    value = msgspec.json.encode(event())[:-1] + b"," + name + b":null}"
    assert passed(value, ACME) is None
    assert passed(value, OURS) is not None


def test_an_event_that_gets_too_large_with_its_tenant_does_not_pass() -> None:
    value = msgspec.json.encode(event())
    assert passed(value, ACME, largest=len(value) + 16) is not None
    assert passed(value, ACME, largest=len(value) + 15) is None


@pytest.mark.parametrize(
    ("source", "attributes", "passes"),
    [
        ("/zendesk", {"status": "solved"}, False),  # to be mapped
        ("/zendesk", {"status": "open", "source_status": "new"}, True),  # was mapped before
        ("/zendesk", {"group": "g"}, True),
        ("/elsewhere", {"status": "solved"}, True),  # no table has it
    ],
)
def test_an_event_whose_status_is_to_be_mapped_is_written_anew(
    source: str,
    attributes: dict[str, Any],
    passes: bool,  # a row of a table
) -> None:
    found = passed(event(source=source, data={"attributes": attributes}), statuses=built_in())
    assert (found is not None) is passes


TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**65), 2**65) | st.floats(allow_nan=False, allow_infinity=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=5,
)
EVENTS = st.fixed_dictionaries(
    {},
    optional={
        "id": TEXTS,
        "subject": TEXTS,
        "type": st.sampled_from(["ticket.created", "call.queued", "ticket.merged", "ticket.snapshot", "x"]),
        "time": st.sampled_from(["2026-01-05T08:00:00.5+02:00", "2027-01-01T00:00:00Z", "never"]),
        "tenant": TEXTS | st.none(),
        "sequence": st.integers(-5, 5) | TEXTS,
        "data": st.fixed_dictionaries(
            {},
            optional={
                "attributes": st.dictionaries(TEXTS, VALUES, max_size=4),
                "author": st.sampled_from(["agent", "bot", "x"]),
                "complete": VALUES,
                "merged_into": VALUES,
            },
        ),
        "extra": VALUES,
    },
)


@given(EVENTS, st.sampled_from([OURS, ACME, Tenancy("acme"), Tenancy("default", trusted=False)]))
def test_what_passes_says_to_the_timer_what_it_would_say_written_anew(
    changes: dict[str, Any], tenancy: Tenancy
) -> None:
    value = msgspec.json.encode(event(**changes))
    origin = Origin("canonical", tenancy, 2_000)
    found = passage((), value, origin, latest=NOON, statuses=NO_STATUSES)
    if found is None:
        return
    (normal,) = normalize((), value, origin, latest=NOON)
    assert isinstance(normal, Event)
    key, written, headers = encode_record(normal)
    assert decode_record(STRUCTURED, found.value) == decode_record(headers, written) == normal
    assert (found.key, found.time, found.kind) == (key, normal.time, normal.kind)
    assert found.source == normal.source
    assert found.attributes == {name: normal.attributes[name] for name in found.attributes}
