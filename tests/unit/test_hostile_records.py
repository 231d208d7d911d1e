"""Whatever stands on a topic: it becomes events or dead letters, and never ends a reader."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.ingest.handlers import Ingest
from services.ingest.normalize import Origin, Unusable, normalize
from services.notifier import message
from services.notifier.body import body
from services.notifier.matching import Conditions, Pattern
from services.notifier.receivers import Console, Receiver
from services.notifier.routing import Route, Routes, route
from shared.breach_records import decode_published
from shared.cloudevents import Tenancy, encode_record
from shared.deadletters import dead_letter
from shared.dlq_limit import DlqLimit, DlqMeter
from shared.errors import MESSAGE_CHARACTERS, BadRecord
from shared.events import SECOND, Event, Headers, Topics, parse_instant
from shared.expression import Formula
from shared.hostile import MAX_DEPTH
from shared.kafka.connection import MAX_RECORD_BYTES
from shared.metrics import Metrics
from shared.recounts import decode_event, decode_recorded
from tests.factories import breach, breach_record, delivery
from tests.fakes import FakeProducer, FakeRecord
from tests.strategies_hostile import broken, header_lists, json_texts, nested, values

EXAMPLES = int(os.environ.get("HOSTILE_EXAMPLES", "100"))
FUZZ = settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
ORIGIN = Origin("canonical", Tenancy(), MAX_RECORD_BYTES)
NOON = parse_instant("2026-01-05T12:00:00Z")
SOUND = (
    b'{"specversion":"1.0","id":"e","source":"/s","type":"ticket.created","subject":"1","time":"2026-01-05T08:00:00Z"'
)
RECOUNT = SOUND.replace(b"ticket.created", b"ticket.recounted")
MATCHED = ("due_at", "policy", "priority", "tags", "cycle")
MATCH = {name: frozenset({"1", "null"}) for name in MATCHED}
PATTERNS = {name: Pattern("(a|b)*c?") for name in MATCHED}
WHEN = Formula("item.priority > 1 || tenant.startsWith('a') || item.tags.exists(tag, tag == policy) || elapsed_s > 3.0")
ROUTES = Routes(
    "notify.yaml",
    {"team": Receiver(console=Console()), "all": Receiver(console=Console())},
    (
        Route("some", Conditions(MATCH), ("team",), goes_on=True),
        Route("like", Conditions(patterns=PATTERNS), ("team",), goes_on=True),
        Route("said", Conditions(when=WHEN), ("team",), goes_on=True),
        Route("rest", Conditions(), ("team", "all")),
    ),
    {},
)
BINARY = [
    *(("ce_specversion", b"1.0"), ("ce_id", b"e"), ("ce_source", b"/s"), ("ce_type", b"ticket.created")),
    *(("ce_subject", b"1"), ("ce_time", b"2026-01-05T08:00:00Z"), ("content-type", b"application/json")),
]


def read(headers: Headers, value: bytes | None) -> list[Event | Unusable]:
    return normalize(headers, value, ORIGIN, latest=NOON)


def assert_can_be_stored(event: Event) -> None:
    """What ingest lets through, the timer reads as the same, and PostgreSQL and msgpack can hold."""
    _, value, headers = encode_record(event)
    assert decode_event(headers, value) == event
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(event), type=Event) == event
    texts = str(msgspec.to_builtins(event))
    assert "\\x00" not in texts
    texts.encode()


@FUZZ
@given(header_lists(), values())
def test_a_record_becomes_events_that_can_be_stored_or_says_why_not(headers: Headers, value: bytes | None) -> None:
    for found in read(headers, value):
        if isinstance(found, Event):
            assert_can_be_stored(found)
        else:
            assert str(found.error)
            assert len(str(found.error)) <= MESSAGE_CHARACTERS


@FUZZ
@given(header_lists(), values())
def test_the_timer_reads_a_record_or_says_why_not(headers: Headers, value: bytes | None) -> None:
    for event in (recovered(decode_event, headers, value), recovered(decode_recorded, value or b"")):
        assert isinstance(event, Event | None)


def recovered(decode: Callable[..., Event], *arguments: Any) -> Event | None:
    """What is decoded; None where it is refused with a reason."""
    try:
        return decode(*arguments)
    except BadRecord as exc:
        return None if str(exc) else pytest.fail("no reason")


_, PUBLISHED, PUBLISHED_HEADERS = breach_record(breach())
FIELDS = sorted(msgspec.json.decode(PUBLISHED))


@st.composite
def published(draw: st.DrawFn) -> bytes:
    """The data of a breach event in which up to three fields are something else, or are missing."""
    fields = {name: msgspec.Raw(msgspec.json.encode(value)) for name, value in msgspec.json.decode(PUBLISHED).items()}
    for name in draw(st.lists(st.sampled_from(FIELDS), max_size=3)):
        fields[name] = msgspec.Raw(draw(json_texts()) or b"0")
    if draw(st.integers(0, 5)) == 0:
        fields.pop(draw(st.sampled_from(FIELDS)), None)
    return msgspec.json.encode(fields)


@FUZZ
@given(header_lists() | st.just(PUBLISHED_HEADERS), published() | broken(published()) | values())
def test_what_the_notifier_reads_can_be_told_to_everybody(headers: Headers, value: bytes | None) -> None:
    try:
        record = decode_published(headers, value)
    except BadRecord as exc:
        assert str(exc)  # noqa: PT017 # both ways are right
        return
    assert len(route(ROUTES, record, NOON)) == 2
    told = delivery(record)
    for text in (message.line(record), message.subject(record), *message.thread(record)):
        assert text.isprintable()
    assert "\0" not in message.text(told)
    assert msgspec.json.decode(body(told))


@FUZZ
@given(st.lists(st.tuples(header_lists(), values()), max_size=6))
def test_nothing_of_a_batch_is_lost_silently(records: list[tuple[Headers, bytes | None]]) -> None:
    batch = [FakeRecord(value, headers, offset=offset) for offset, (headers, value) in enumerate(records)]
    producer, topics, metrics = FakeProducer(), Topics(), Metrics("test", "test")
    meter = DlqMeter(DlqLimit(in_a_row=0, share=1))
    ingest = Ingest(producer, topics, {"tickets": ORIGIN}, SECOND, metrics, now=lambda: NOON, meter=meter)
    asyncio.run(ingest.on_batch(batch))
    letters = producer.on(topics.deadletters)
    for record in batch:
        found = read(record.headers, record.value)
        mine = [each for each in letters if dict(each.headers)["plazo_offset"] == str(record.offset).encode()]
        assert len(mine) == sum(isinstance(each, Unusable) for each in found)
        for letter in mine:
            assert letter.key == record.key
            assert letter.value == record.value or "plazo_index" in dict(letter.headers)


@pytest.mark.parametrize(
    ("extra", "reason"),
    [
        (b',"x":"\xff"', None),  # what is not read need not be readable
        (b',"x":"\xff","data":{"attributes":{"a":' + nested(33) + b"}}", "undecodable"),  # until it is looked at
        (b',"x":1e999,"data":{"attributes":{"a":"\\u0000"}}', "undecodable"),
        (b',"data":{"complete":' + nested(900) + b"}", "invalid"),
        (b',"sequence":"' + b"9" * 100_000 + b'"', "invalid"),
        (b',"tenant":"' + b"t" * 129 + b'"', "invalid"),
        (b',"data":{"attributes":{"a":NaN}}', "undecodable"),
        (b',"data":{"attributes":{"a":1e400}}', "invalid"),
        (b',"data":{"attributes":{"a":18446744073709551616}}', "invalid"),
        (b',"data":{"attributes":{"a":"\\ud800"}}', "undecodable"),
        (b',"data":[1]', "invalid"),
        (b',"data":{"author":"nobody"}', "invalid"),  # no author that is known
        (b',"type":"ticket.exploded"', "unknown_type"),
    ],
)
def test_one_field_is_enough(extra: bytes, reason: str | None) -> None:
    (found,) = read([], SOUND + extra + b"}")
    assert (found.error.reason if isinstance(found, Unusable) else None) == reason


@pytest.mark.parametrize(
    "headers",
    [
        [*BINARY, ("ce_type", b"\xff")],
        [*BINARY, ("ce_id", b"\xed\xa0\x80")],
        [*BINARY, ("ce_id", b"")],
        [*BINARY, ("ce_subject", b"a\x00b")],
        [*BINARY, ("ce_time", b'2026"}')],
        [*BINARY, ("ce_sequence", b"1e3")],
        [*BINARY, ("content-type", b"application/avro")],
        [("ce_type", b"\xff")],
    ],
)
def test_headers_of_a_wrong_encoding_are_refused_by_ingest_and_timer(headers: Any) -> None:
    (found,) = read(headers, b"{}")
    assert isinstance(found, Unusable)
    with pytest.raises(BadRecord):
        decode_event(headers, b"{}")


def test_of_headers_that_come_twice_the_last_one_counts() -> None:
    (found,) = read([("ce_id", b"first"), *BINARY, ("ce_id", b"last")], b"{}")
    assert isinstance(found, Event)
    assert found.id == "last"


def test_headers_without_a_value_are_as_good_as_none() -> None:
    (found,) = read([*BINARY, ("ce_tenant", None), ("traceparent", None)], b"{}")  # type: ignore[list-item]  # Kafka's can be null
    assert isinstance(found, Event)


@pytest.mark.parametrize("extra", [b',"x":1e999}', b',"x":"\xff"}', b',"x":' + nested(5_000) + b"}"])
def test_a_recount_in_which_something_cannot_be_read_is_refused(extra: bytes) -> None:
    with pytest.raises(BadRecord):
        decode_event([], RECOUNT + extra)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("type", ["sla.clock.breached.v1"]),
        ("time", "0001-01-01T00:00:00+23:59"),
        ("time", "9999-12-31T23:59:59-23:59"),
    ],
)
def test_a_published_record_with_wrong_attributes_is_refused(field: str, value: object) -> None:
    event = {"id": "1", "type": "sla.clock.breached.v1", "time": "2026-01-05T12:00:00Z", field: value}
    with pytest.raises(BadRecord):
        decode_published([], msgspec.json.encode({**event, "data": msgspec.Raw(PUBLISHED)}))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("due_at", "tomorrow"),  # every text of an alert shows it
        ("detected_at", ""),
        ("clock_id", "a\r\nBcc: everybody"),  # it becomes a header of a mail
        ("breach_id", "x" * 129),
        ("item", "another/ticket/1"),
        ("attributes", {"a": [[[]]]}),
        ("explanation", [{"start": "x", "end": "y", "state": "running", "business_s": 1}]),
    ],
)
def test_a_published_record_with_wrong_data_is_refused(field: str, value: Any) -> None:
    data = {**msgspec.json.decode(PUBLISHED), field: value}
    if field == "attributes":
        data[field] = {"a": msgspec.Raw(nested(MAX_DEPTH))}
    with pytest.raises(BadRecord) as caught:
        decode_published(PUBLISHED_HEADERS, msgspec.json.encode(data))
    blamed = {"attributes": None, "explanation": "data.explanation[0].start"}
    assert caught.value.field == blamed.get(field, f"data.{field}")


def test_a_dead_letter_fits_onto_its_topic_whatever_its_record_was() -> None:
    headers = [(f"h{number}", b"x" * 1_000) for number in range(2_000)]
    record = FakeRecord(b"x" * 3_000_000, headers, key=b"k" * 1_000_000)
    letter = dead_letter(record, BadRecord("too_large", "y" * 100_000, "z"), stage="ingest")
    size = len(letter.key) + len(letter.value or b"") + sum(len(name) + len(text) for name, text in letter.headers)
    assert size < 1_000_000
    told = dict(letter.headers)
    assert told["plazo_truncated"] == b"3000000"
    assert int(told["plazo_headers_dropped"]) > 1_900
