"""The codec of canonical events: what it accepts, what it refuses, and that its two ways of decoding agree."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import msgspec
import pytest
from cloudevents.core.bindings import kafka as binding
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent
from hypothesis import given
from hypothesis import strategies as st

from shared.cloudevents import Tenancy, decode_record, decode_structured, encode_record
from shared.errors import BadRecord
from shared.event_data import FIRST_INSTANT, LAST_INSTANT
from shared.events import EVENT_TYPES, SNAPSHOTS, Event, Headers, Snapshot, instant, moment, parse_instant, rfc3339
from shared.hostile import MAX_DEPTH, refuse_deep_nesting

STRUCTURED: Headers = [("content-type", b"application/cloudevents+json; charset=UTF-8")]
CREATED: dict[str, Any] = {
    "specversion": "1.0",
    "id": "e-1",
    "source": "/helpdesk",
    "type": "ticket.created",
    "subject": "42",
    "time": "2026-01-05T09:00:00+01:00",
    "data": {"attributes": {"priority": "high", "tags": ["vip"], "group": None}, "author": "customer"},
}

texts = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=40)
tenants = st.text(st.characters(codec="utf-8", exclude_characters="\0/"), min_size=1, max_size=20)
instants = st.integers(FIRST_INSTANT, LAST_INSTANT - 1)
values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)

snapshots = st.builds(Snapshot, created_at=st.none() | instants, complete=st.booleans())


@st.composite
def events(draw: st.DrawFn) -> Event:
    event_type = draw(st.sampled_from(sorted(EVENT_TYPES)))
    return Event(
        time=draw(instants),
        id=draw(texts),
        source=draw(texts),
        type=event_type,
        tenant=draw(tenants),
        kind=event_type.partition(".")[0],  # type: ignore[arg-type]  # the types begin with the three kinds
        subject=draw(texts),
        sequence=draw(st.integers(-(10**18) + 1, 10**18 - 1)),
        attributes=draw(st.dictionaries(texts, values, max_size=4)),
        author=draw(st.sampled_from([None, "agent", "customer", "bot", "system"])),
        public=draw(st.booleans()),
        snapshot=draw(snapshots) if event_type in SNAPSHOTS else None,
    )


def structured(**changes: Any) -> bytes:
    """The sample event with *changes*; an Ellipsis leaves the field out."""
    return msgspec.json.encode({name: value for name, value in {**CREATED, **changes}.items() if value is not ...})


def binary(*, data: bytes = b"{}", **changes: Any) -> tuple[Headers, bytes]:
    """The sample event in binary mode with *changes* of its attributes; an Ellipsis leaves one out."""
    attributes = {name: value for name, value in {**CREATED, **changes}.items() if name != "data" and value is not ...}
    return [(f"ce_{name}", str(value).encode()) for name, value in attributes.items()], data


class TestRoundTrip:
    @given(events())
    def test_what_is_encoded_is_decoded_again(self, event: Event) -> None:
        _, value, headers = encode_record(event)
        assert decode_record(headers, value) == event

    @given(events())
    def test_the_key_is_the_item(self, event: Event) -> None:
        key, _, _ = encode_record(event)
        assert key.decode() == f"{event.tenant}/{event.kind}/{event.subject}"

    @given(events(), st.sampled_from([Tenancy(), Tenancy("acme", trusted=False), Tenancy("acme", trusted=True)]))
    def test_the_short_way_and_the_long_way_of_decoding_agree(self, event: Event, tenancy: Tenancy) -> None:
        _, value, headers = encode_record(event)
        # A parameter of the content type is all that it takes to leave the short way.
        long_way = [(name, text + b"; charset=utf-8" if name == "content-type" else text) for name, text in headers]
        assert decode_record(headers, value, tenancy) == decode_record(long_way, value, tenancy)

    @given(events())
    def test_encoded_records_are_never_too_deep(self, event: Event) -> None:
        refuse_deep_nesting(encode_record(event)[1])

    @given(instants)
    def test_an_instant_is_the_same_after_it_was_text(self, at: int) -> None:
        assert parse_instant(rfc3339(at)) == at

    @given(instants, st.integers(-14 * 60, 14 * 60))
    def test_an_instant_does_not_depend_on_the_offset_that_it_is_written_with(self, at: int, minutes: int) -> None:
        try:
            elsewhere = moment(at).astimezone(timezone(timedelta(minutes=minutes)))
        except OverflowError:
            return
        assert instant(elsewhere) == at


class TestAgainstTheCloudEventsLibrary:
    """What the SDK writes is read, and what is written here the SDK reads."""

    @staticmethod
    def event(**changes: Any) -> CloudEvent:
        attributes = {
            **{name: value for name, value in CREATED.items() if name != "data"},
            "time": datetime(2026, 1, 5, 8, tzinfo=UTC),
            "datacontenttype": "application/json",
            "tenant": "acme",
            "sequence": "7",
            **changes,
        }
        return CloudEvent(attributes, CREATED["data"])

    @pytest.mark.parametrize("write", [binding.to_binary, binding.to_structured])
    def test_its_records_are_decoded(self, write: Any) -> None:
        message = write(self.event(), JSONFormat())
        assert decode_record(list(message.headers.items()), message.value) == Event(
            time=parse_instant("2026-01-05T08:00:00Z"),
            id="e-1",
            source="/helpdesk",
            type="ticket.created",
            tenant="acme",
            kind="ticket",
            subject="42",
            sequence=7,
            attributes={"priority": "high", "tags": ["vip"], "group": None},
            author="customer",
        )

    @given(events())
    def test_it_decodes_our_records(self, event: Event) -> None:
        key, value, headers = encode_record(event)
        read = binding.from_kafka(binding.KafkaMessage(dict(headers), None, value), JSONFormat())
        assert (read.get_id(), read.get_source(), read.get_type()) == (event.id, event.source, event.type)
        assert read.get_subject() == event.subject
        assert read.get_time() == moment(event.time)
        assert read.get_extension("tenant") == event.tenant
        assert read.get_data() == msgspec.json.decode(value)
        assert key


class TestModes:
    def test_a_record_without_headers_is_a_structured_event(self) -> None:
        assert decode_record([], structured()) == decode_structured(structured())

    def test_the_content_type_of_structured_mode_wins_over_headers_of_binary_mode(self) -> None:
        headers, _ = binary(id="other")
        assert decode_record([*headers, *STRUCTURED], structured()).id == "e-1"

    def test_binary_mode_needs_no_content_type_and_no_data(self) -> None:
        headers, _ = binary()
        assert decode_record(headers, b"").attributes == {}

    def test_binary_data_that_is_not_json_is_refused(self) -> None:
        headers, _ = binary()
        with pytest.raises(BadRecord, match="expected JSON data") as refused:
            decode_record([*headers, ("content-type", b"text/plain")], b"hello")
        assert refused.value.field == "datacontenttype"

    def test_a_header_without_a_value_is_no_attribute(self) -> None:
        headers, data = binary(sequence=3)
        broken: Any = [*headers[:-1], ("ce_sequence", None)]
        assert decode_record(broken, data).sequence == 0

    def test_unknown_attributes_are_ignored(self) -> None:
        assert decode_structured(structured(traceparent="00-ab", dataschema="x:y")) == decode_structured(structured())


@pytest.mark.parametrize(
    ("changes", "reason", "field"),
    [
        ({"id": ...}, "invalid", None),  # msgspec names the missing field in the message
        ({"id": ""}, "invalid", "id"),
        ({"source": "x" * 513}, "invalid", "source"),
        ({"subject": 42}, "invalid", "subject"),  # an item's id is text
        ({"specversion": "0.3"}, "invalid", "specversion"),
        ({"type": "ticket.exploded"}, "unknown_type", "type"),
        ({"time": "2026-01-05T08:00:00"}, "invalid", "time"),  # no offset
        ({"time": "yesterday"}, "invalid", "time"),
        ({"time": "0001-01-01T00:00:00+14:00"}, "invalid", "time"),  # before the first year that exists
        ({"time": "9999-12-31T23:59:59-14:00"}, "invalid", "time"),  # after the last
        ({"time": "1899-12-31T23:59:59Z"}, "invalid", "time"),
        ({"sequence": "1_000"}, "invalid", "sequence"),  # Python would read it as a number
        ({"sequence": "٣"}, "invalid", "sequence"),  # and this
        ({"sequence": ""}, "invalid", "sequence"),
        ({"sequence": "9" * 19}, "invalid", "sequence"),  # more than 64 bits may hold
        ({"tenant": "a/b"}, "invalid", "tenant"),  # the item's key is tenant/kind/id
        ({"tenant": ""}, "invalid", "tenant"),
        ({"subject": "4\0002"}, "invalid", None),
        ({"data": {"attributes": {"a\0": 1}}}, "invalid", None),
        ({"data": {"attributes": {"a": [{"b": "\0"}]}}}, "invalid", None),
        ({"data": {"attributes": "none"}}, "invalid", "data.attributes"),
        ({"data": {"author": "nobody"}}, "invalid", "data.author"),
        ({"data": {"public": 1}}, "invalid", "data.public"),
        ({"data": "text"}, "invalid", "data"),
        ({"data": ..., "data_base64": "AAAA"}, "invalid", "data_base64"),  # would be lost without a word
    ],
)
def test_a_wrong_field_is_refused_by_name(changes: dict[str, Any], reason: str, field: str | None) -> None:
    with pytest.raises(BadRecord) as refused:
        decode_structured(structured(**changes))
    assert (refused.value.reason, refused.value.field) == (reason, field)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"id": ""}, "id"),
        ({"type": "ticket.exploded"}, "type"),
        ({"time": "2026-01-05T08:00:00"}, "time"),
        ({"time": '2026-01-05T08:00:00Z"'}, "time"),  # a quote of its own does not end the text early
        ({"time": "1899-12-31T23:59:59Z"}, "time"),
        ({"sequence": "1_000"}, "sequence"),
        ({"tenant": "a/b"}, "tenant"),
        ({"tenant": "a\0b"}, None),
        ({"subject": "4\0002"}, None),
        ({"source": "a\0b", "id": "c\0d"}, None),
        ({"specversion": "0.3"}, "specversion"),
    ],
)
@pytest.mark.parametrize("content_type", [b"application/json", b"application/json; charset=utf-8"])
def test_a_wrong_header_is_refused_by_name(changes: dict[str, Any], field: str | None, content_type: bytes) -> None:
    headers, data = binary(**changes)
    with pytest.raises(BadRecord) as refused:
        decode_record([*headers, ("content-type", content_type)], data)
    assert refused.value.field in {field, "tenant"}


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (b"", "undecodable"),
        (b"not json", "undecodable"),
        (b'{"id": "1"', "undecodable"),  # cut off
        (b"null", "invalid"),
        (b"42", "invalid"),
        (structured().replace(b"high", b"\xff\xfe"), "undecodable"),  # not UTF-8
        (structured().replace(b"high", rb"\ud800"), "undecodable"),  # half a surrogate pair
        (structured().replace(b'"high"', b"1e999"), "invalid"),  # no number that exists
        (structured().replace(b'"high"', b"[" * 100_000 + b"]" * 100_000), "invalid"),  # would exhaust the stack
        (structured().replace(b"high", b"\x00"), "undecodable"),  # a control character as it is
    ],
)
def test_what_is_no_json_event_is_refused(value: bytes, reason: str) -> None:
    with pytest.raises(BadRecord) as refused:
        decode_record([], value)
    assert refused.value.reason == reason


def test_a_record_without_a_value_is_refused() -> None:
    with pytest.raises(BadRecord, match="no value"):
        decode_record(STRUCTURED, None)


@pytest.mark.parametrize("name", ["id", "source", "subject", "tenant"])
def test_u0000_is_refused_in_every_name(name: str) -> None:
    headers, data = binary()
    with_nul = [(key, b"4\0002" if key == f"ce_{name}" else value) for key, value in headers]
    if name == "tenant":
        with_nul.append(("ce_tenant", b"4\0002"))
    for record in (([], structured(**{name: "4\0002"})), (with_nul, data)):
        with pytest.raises(BadRecord):
            decode_record(*record)


def test_an_escaped_backslash_before_u0000_is_harmless() -> None:
    assert decode_structured(structured().replace(b"high", rb"\\u0000")).attributes["priority"] == r"\u0000"


@pytest.mark.parametrize("number", [2**64, -(2**63) - 1, 10**39])
@pytest.mark.parametrize("shape", ["%d", "[1, %d]", '{"a": %d}'])
def test_whole_numbers_that_no_item_could_be_stored_with_are_refused(number: int, shape: str) -> None:
    hostile = (shape % number).encode()
    headers, _ = binary()
    records = [
        (STRUCTURED, structured().replace(b'"high"', hostile)),
        ([*headers, ("content-type", b"application/json")], b'{"attributes": {"n": %b}}' % hostile),
    ]
    for record in records:
        with pytest.raises(BadRecord, match="64 bits") as caught:
            decode_record(*record)
        assert (caught.value.reason, caught.value.field) == ("invalid", "data.attributes")


def test_whole_numbers_of_64_bits_can_be_written_again() -> None:
    for number in (2**64 - 1, -(2**63)):
        event = decode_structured(structured().replace(b'"high"', str(number).encode()))
        _, value, headers = encode_record(event)
        assert decode_record(headers, value) == event


@pytest.mark.parametrize("depth", [MAX_DEPTH, 450, 900, 990, 2_000])  # readers of all kinds run out of stack in between
def test_hostile_text_is_refused_however_deep_it_stands(depth: int) -> None:
    nested = b"[" * depth + rb'"\u0000"' + b"]" * depth
    with pytest.raises(BadRecord):
        decode_structured(structured().replace(b'"high"', nested))


@pytest.mark.parametrize("inner", [b"", b"1", b'{"a": "b"}'])
def test_nesting_has_a_limit(inner: bytes) -> None:
    depth = MAX_DEPTH - inner.count(b"{")
    refuse_deep_nesting(b"[" * depth + inner + b"]" * depth)
    with pytest.raises(BadRecord, match="nested"):
        refuse_deep_nesting(b"[" * (depth + 1) + inner + b"]" * (depth + 1))


def test_many_brackets_side_by_side_are_not_deep() -> None:
    refuse_deep_nesting(b"[" + b",".join([b"[]"] * 1000) + b"]")


class TestTenant:
    @pytest.mark.parametrize(
        ("named", "tenancy", "expected"),
        [
            (..., Tenancy(), "default"),
            ("acme", Tenancy(), "acme"),
            ("acme", Tenancy("ours", trusted=False), "ours"),  # nobody speaks for another tenant
            (..., Tenancy("ours", trusted=False), "ours"),
            (..., Tenancy("ours", trusted=True), "ours"),
            ("acme", Tenancy("ours", trusted=True), "acme"),
            ("eu/acme", Tenancy("ours", trusted=False), "ours"),  # what does not count may look as it likes
            (17, Tenancy("ours", trusted=False), "ours"),
        ],
    )
    def test_an_events_own_tenant_counts_only_where_it_is_trusted(
        self, named: Any, tenancy: Tenancy, expected: str
    ) -> None:
        headers, data = binary(tenant=named)
        assert decode_structured(structured(tenant=named), tenancy).tenant == expected
        assert decode_record([*headers, ("content-type", b"application/json")], data, tenancy).tenant == expected


class TestWhatParticularTypesSay:
    """Some fields of `data` count on the types that they are for, and on no other."""

    @staticmethod
    def both_ways(event_type: str, data: dict[str, Any]) -> Event:
        """The event as it is read in structured and in binary mode, which agree."""
        headers, value = binary(type=event_type, data=msgspec.json.encode(data))
        found = decode_structured(structured(type=event_type, data=data))
        assert decode_record([*headers, ("content-type", b"application/json")], value) == found
        assert decode_record(headers, value) == found
        return found

    def test_a_snapshot_says_since_when_its_item_is_there_and_whether_it_is_complete(self) -> None:
        data = {"created_at": "2026-01-05T07:00:00+01:00", "complete": True, "attributes": {"status": "open"}}
        found = self.both_ways("ticket.snapshot", data)
        assert found.snapshot == Snapshot(parse_instant("2026-01-05T06:00:00Z"), complete=True)
        assert found.attributes == {"status": "open"}

    def test_a_snapshot_need_not_say_either(self) -> None:
        assert self.both_ways("chat.snapshot", {"attributes": {}}).snapshot == Snapshot(None, complete=False)

    @pytest.mark.parametrize("event_type", ["ticket.merged", "ticket.snapshot"])
    @pytest.mark.parametrize("named", ["77", 77])  # an id is text, however it was written
    def test_the_item_that_goes_on_becomes_an_attribute(self, event_type: str, named: Any) -> None:
        found = self.both_ways(event_type, {"merged_into": named, "attributes": {"group": "g"}})
        assert found.attributes == {"group": "g", "merged_into": "77"}

    def test_on_other_types_the_fields_mean_nothing(self) -> None:
        data = {"created_at": "long ago", "complete": "yes", "merged_into": {}, "attributes": {"group": "g"}}
        found = self.both_ways("ticket.updated", data)
        assert (found.attributes, found.snapshot) == ({"group": "g"}, None)

    @pytest.mark.parametrize(
        ("event_type", "data", "field"),
        [
            ("ticket.snapshot", {"created_at": "yesterday"}, "data.created_at"),
            ("ticket.snapshot", {"created_at": "2026-01-05T08:00:00"}, "data.created_at"),  # without an offset
            ("ticket.snapshot", {"created_at": 1767600000}, "data.created_at"),
            ("ticket.snapshot", {"created_at": "0001-01-01T00:00:00Z"}, "data.created_at"),  # how some write "never"
            ("ticket.snapshot", {"created_at": "2026-01-05T08:00:00Z" * 9}, "data.created_at"),
            ("ticket.snapshot", {"complete": 1}, "data.complete"),
            ("ticket.snapshot", {"merged_into": ["77"]}, "data.merged_into"),
            ("ticket.merged", {"merged_into": ""}, "data.merged_into"),
            ("ticket.merged", {"merged_into": True}, "data.merged_into"),
            ("ticket.merged", {"merged_into": "7" * 513}, "data.merged_into"),
        ],
    )
    def test_where_they_count_they_must_be_right(self, event_type: str, data: dict[str, Any], field: str) -> None:
        with pytest.raises(BadRecord) as caught:
            self.both_ways(event_type, data)
        assert (caught.value.reason, caught.value.field) == ("invalid", field)
