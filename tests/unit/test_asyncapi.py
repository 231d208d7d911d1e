"""`docs/asyncapi.yaml` says what the code writes and reads."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, get_args
from uuid import UUID

import msgspec
import pytest
import yaml
from jsonschema import Draft202012Validator
from referencing import Registry
from referencing.jsonschema import DRAFT202012

from services.cli.files import read_events, read_text
from services.cli.topics_file import PATH, read
from services.ingest.sources import canonical
from services.timer import fold, ledger
from services.timer.backtest import Arrival, published_of
from services.timer.calendar_data import INSTALLED
from services.timer.clock_record import clock_records
from services.timer.ledger import Output
from services.timer.migration import Migration, recounted
from services.timer.policy_file import load
from services.timer.rulebook import Rulebook
from services.timer.sources import event_id
from services.timer.write_set import ItemRow
from shared.breach_records import BREACH_TYPES, PUBLISHED_TYPES, decode_published
from shared.cloudevents import ANY_TENANT, Envelope, encode_record
from shared.deadletters import PREFIX, Part, dead_letter
from shared.errors import BadRecord, DeadLetterReason
from shared.event_data import EventData
from shared.events import (
    EVENT_TYPES,
    RECOUNTS,
    BreachEvent,
    ClockState,
    CountedSpan,
    Event,
    Headers,
    Recount,
    SourceSilence,
    parse_instant,
)
from shared.kafka.connection import MAX_RECORD_BYTES
from shared.published import breach_headers, silence_headers
from shared.recounts import decode_event, encode_event
from shared.version import VERSION

ROOT: Final = Path(__file__).resolve().parents[2]
EXAMPLES: Final = ROOT / "docs" / "examples" / "events.jsonl"
DOCUMENT: Final[dict[str, Any]] = yaml.safe_load((ROOT / "docs" / "asyncapi.yaml").read_text())
CHANNELS: Final[dict[str, Any]] = DOCUMENT["channels"]
MESSAGES: Final[dict[str, Any]] = DOCUMENT["components"]["messages"]
SCHEMAS: Final[dict[str, Any]] = DOCUMENT["components"]["schemas"]
PACK: Final = msgspec.msgpack.encode
CANONICAL: Final = ("CanonicalBinary", "CanonicalStructured", "CanonicalBatch")
BREACHES: Final = ("ClockWarning", "ClockBreached", "BreachStopped", "BreachCancelled", "BreachRetracted")
PUBLISHED: Final = (*BREACHES, "SourceSilent")


@dataclass
class Letter:
    """An upstream record without a key that is too large, and one of whose headers is too."""

    topic: str = "helpdesk.tickets"
    partition: int = 2
    offset: int = 7
    timestamp: int = 1_767_600_000_000
    key: bytes | None = None
    value: bytes | None = b"{" * (MAX_RECORD_BYTES + 1)
    headers: Headers = (("kept", b"yes"), ("large", b"x" * 100_000))


def faults(schema: dict[str, Any], value: Any) -> list[str]:
    """What of *value* a schema of the document does not allow."""
    validator = Draft202012Validator({**schema, "components": DOCUMENT["components"]})
    return [f"{error.json_path}: {error.message}" for error in validator.iter_errors(value)]


def texts(headers: Headers) -> dict[str, str]:
    """Headers as the document writes them."""
    return {name: text.decode() for name, text in headers}


def type_of(message: str) -> str:
    """The type of the events that a message of Plazo's own carries."""
    found: str = MESSAGES[message]["headers"]["allOf"][1]["properties"]["ce_type"]["const"]
    return found


def examples(*names: str) -> list[tuple[str, dict[str, Any]]]:
    """(message, example) of these messages."""
    return [(name, example) for name in names for example in MESSAGES[name]["examples"]]


def record(example: dict[str, Any]) -> tuple[Headers, bytes]:
    """An example as the headers and the value of a record."""
    headers = [(name, text.encode()) for name, text in example["headers"].items()]
    return headers, msgspec.json.encode(example["payload"])


def events_of(example: dict[str, Any]) -> list[Event]:
    """What ingest reads in an example."""
    headers, value = record(example)
    parts = canonical.split(headers, value)
    if parts is None:
        return canonical.read(headers, value, ANY_TENANT)
    return [event for part in parts for event in canonical.read([], part, ANY_TENANT)]


def references(value: Any) -> Iterator[str]:
    """Every `$ref` in *value*."""
    if isinstance(value, dict):
        yield from (inner for name, inner in value.items() if name == "$ref")
    if isinstance(value, dict | list):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from references(inner)


def without_words(value: Any) -> Any:
    """A schema without what is only for people."""
    if isinstance(value, dict):
        return {name: without_words(inner) for name, inner in value.items() if name not in ("description", "title")}
    return [without_words(inner) for inner in value] if isinstance(value, list) else value


def in_code(kind: type[msgspec.Struct]) -> Any:
    """The schema of a type of the code."""
    _, schemas = msgspec.json.schema_components([kind], ref_template="#/components/schemas/{name}")
    return schemas[kind.__name__]


@pytest.fixture(scope="module")
def rulebook() -> Rulebook:
    """The sample policies."""
    policies = ROOT / "deploy" / "local" / "policies.yaml"
    return Rulebook(((0, load({"policies.yaml": policies.read_text()})),))


@pytest.fixture(scope="module")
def told(rulebook: Rulebook) -> list[Output]:
    """What the timer publishes of the events in docs/examples, each known when it says that it arrived."""
    known = [msgspec.json.decode(line)["data"]["arrived_at"] for line in EXAMPLES.read_bytes().splitlines()]
    pairs = zip(map(parse_instant, known), read_events(EXAMPLES), strict=True)
    arrivals = sorted((Arrival(at, event) for at, event in pairs), key=lambda arrival: arrival.at)
    return published_of(arrivals, rulebook, parse_instant("2026-01-08T00:00:00Z"))


def test_the_document_has_the_version_of_the_program() -> None:
    assert DOCUMENT["info"]["version"] == VERSION


def test_every_reference_leads_somewhere() -> None:
    resolver = Registry().with_resource("", DRAFT202012.create_resource(DOCUMENT)).resolver()
    assert [resolver.lookup(reference) for reference in references(DOCUMENT)]


def test_every_topic_is_there_as_it_is_created() -> None:
    wanted = read(read_text(PATH), str(PATH))
    found = {each["address"]: each["bindings"]["kafka"] for each in CHANNELS.values() if "bindings" in each}
    assert found == {
        name: {
            "partitions": topic.partitions,
            "replicas": topic.replicas,
            "topicConfiguration": {"cleanup.policy": [topic.cleanup], "retention.ms": topic.retention},
            "bindingVersion": "0.5.0",
        }
        for name, topic in wanted.items()
    }


def test_every_type_of_event_is_there_and_no_other() -> None:
    assert set(SCHEMAS["CanonicalHeaders"]["properties"]["ce_type"]["enum"]) == EVENT_TYPES
    assert set(SCHEMAS["Envelope"]["properties"]["type"]["enum"]) == EVENT_TYPES
    assert set(MESSAGES["ItemRecounted"]["headers"]["properties"]["ce_type"]["enum"]) == RECOUNTS
    assert {type_of(name) for name in BREACHES} == BREACH_TYPES
    assert {type_of(name) for name in PUBLISHED} == PUBLISHED_TYPES
    assert CHANNELS["breaches"]["messages"].keys() == set(PUBLISHED)


@pytest.mark.parametrize("kind", [BreachEvent, ClockState, CountedSpan, EventData, Recount, SourceSilence])
def test_a_schema_is_that_of_the_code(kind: type[msgspec.Struct]) -> None:
    assert without_words(SCHEMAS[kind.__name__]) == without_words(in_code(kind))


def test_the_schema_of_an_envelope_is_that_of_the_code_where_it_is_not_stricter() -> None:
    documented, code = without_words(SCHEMAS["Envelope"]), without_words(in_code(Envelope))
    for stricter in ("type", "tenant", "data_base64"):
        documented["properties"].pop(stricter, None)
        code["properties"].pop(stricter)
    assert documented == code


@pytest.mark.parametrize(("name", "example"), examples(*MESSAGES))
def test_an_example_is_as_its_schemas_say(name: str, example: dict[str, Any]) -> None:
    assert faults(MESSAGES[name]["headers"], example["headers"]) == []
    assert faults(MESSAGES[name]["payload"], example["payload"]) == []


@pytest.mark.parametrize(("name", "example"), examples(*CANONICAL))
def test_ingest_reads_an_example_and_writes_what_the_document_says(name: str, example: dict[str, Any]) -> None:
    events = events_of(example)
    assert events, name
    for event in events:
        key, value, headers = encode_record(event)
        assert key.decode() == event.item
        assert faults(MESSAGES["CanonicalBinary"]["headers"], texts(headers)) == []
        assert faults(MESSAGES["CanonicalBinary"]["payload"], msgspec.json.decode(value)) == []


@pytest.mark.parametrize(("name", "example"), examples("ItemRecounted"))
def test_the_timer_reads_a_recount_and_it_is_written_as_the_document_says(name: str, example: dict[str, Any]) -> None:
    decided = Migration(UUID(int=7), parse_instant("2026-01-05T12:00:00Z"), "aa7ab4fb3e20c04b", "contract 2026", "ana")
    written = recounted(decided, "default/ticket/42")
    assert msgspec.structs.replace(decode_event(*record(example)), id=written.id) == written
    _, value, headers = encode_event(written)
    assert faults(MESSAGES[name]["headers"], texts(headers)) == []
    assert msgspec.json.decode(value) == example["payload"]


@pytest.mark.parametrize(("name", "example"), examples(*PUBLISHED))
def test_a_subscriber_reads_an_example(name: str, example: dict[str, Any]) -> None:
    found = decode_published(*record(example))
    assert found.type == type_of(name)
    assert msgspec.to_builtins(found.data) == example["payload"]


def test_what_the_timer_publishes_is_as_the_document_says(told: list[Output]) -> None:
    names = {type_of(name): name for name in BREACHES}
    assert {output.type for output in told} == BREACH_TYPES
    for output in told:
        event = output.event
        headers = breach_headers(
            event_id=output.event_id, event_type=output.type, item=event.item, tenant=event.tenant, time=output.time
        )
        assert faults(MESSAGES[names[output.type]]["headers"], texts(headers)) == []
        assert faults(MESSAGES[names[output.type]]["payload"], msgspec.to_builtins(event)) == []
        assert event.calendar_data == INSTALLED


def test_the_examples_of_breaches_are_published_of_the_example_events(told: list[Output]) -> None:
    # The version of the policies changes with the rules of time zones and holidays, which come from outside.
    def content(payload: dict[str, Any]) -> dict[str, Any]:
        return {name: value for name, value in payload.items() if name not in {"policy_version", "calendar_data"}}

    published = {output.event_id: content(msgspec.to_builtins(output.event)) for output in told}
    for _, example in examples(*BREACHES):
        assert published[example["headers"]["ce_id"]] == content(example["payload"])


def test_the_example_of_a_silence_has_the_id_and_the_headers_that_the_timer_gives_it() -> None:
    for _, example in examples("SourceSilent"):
        event = msgspec.convert(example["payload"], SourceSilence)
        named = event_id((event.tenant, event.source), parse_instant(event.last_event_at))
        headers = silence_headers(event_id=named, silence=event, time=parse_instant(event.evidence_through))
        assert texts(headers) == example["headers"]


def test_the_state_of_a_clock_is_as_the_document_says(rulebook: Rulebook) -> None:
    for key in sorted({event.item for event in read_events(EXAMPLES)}):
        state = fold.refold((event for event in read_events(EXAMPLES) if event.item == key), rulebook)
        row = ItemRow(
            partition=0, key=key, state=PACK(state), ledger=PACK(ledger.EMPTY), next_due=None, clock_states=0,
            quarantined=False, seen=b"", revision=17, retired="",
        )  # fmt: skip
        for told in clock_records(row):
            assert told.value is not None
            assert faults(MESSAGES["ClockState"]["headers"], texts(told.headers)) == []
            assert faults(MESSAGES["ClockState"]["payload"], msgspec.json.decode(told.value)) == []


def test_the_example_of_a_clock_can_be_read() -> None:
    for _, example in examples("ClockState"):
        assert msgspec.to_builtins(msgspec.convert(example["payload"], ClockState)) == example["payload"]


def test_a_dead_letter_is_as_the_document_says() -> None:
    error = BadRecord("invalid", "expected a time", "time")
    cut = dead_letter(Letter(), error, stage="ingest")
    part = dead_letter(Letter(), error, stage="ingest", part=Part(3, b"{}"))
    found = [{name: text for name, text in texts(each.headers).items() if name != "kept"} for each in (cut, part)]
    assert [faults(SCHEMAS["DeadLetterHeaders"], headers) for headers in found] == [[], []]
    properties = SCHEMAS["DeadLetterHeaders"]["properties"]
    assert {name for headers in found for name in headers} == properties.keys()
    assert set(properties[f"{PREFIX}reason"]["enum"]) == set(get_args(DeadLetterReason))
