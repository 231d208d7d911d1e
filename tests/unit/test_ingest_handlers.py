"""What ingest does with a batch of records."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import msgspec
import pytest
import structlog

from services.ingest.handlers import Ingest
from services.ingest.normalize import Origin
from services.ingest.status_file import built_in
from shared.cloudevents import Tenancy, decode_record
from shared.dlq_limit import DlqLimit, DlqMeter
from shared.errors import TooManyDeadLetters, Unavailable
from shared.events import SECOND, Topics, parse_instant
from shared.kafka.connection import MAX_RECORD_BYTES, Outgoing
from shared.metrics import Metrics
from tests.fakes import FakeProducer, FakeRecord

NOON = parse_instant("2026-01-05T12:00:00Z")
TOPICS = Topics("test.")


@pytest.fixture
def producer() -> FakeProducer:
    return FakeProducer()


@pytest.fixture
def metrics() -> Metrics:
    return Metrics("test", "test")


@pytest.fixture
def ingest(producer: FakeProducer, metrics: Metrics) -> Ingest:
    origins = {
        "tickets": Origin("canonical", Tenancy("acme", trusted=False), MAX_RECORD_BYTES),
        TOPICS.intake: Origin("canonical", Tenancy(), MAX_RECORD_BYTES),
    }
    return Ingest(producer, TOPICS, origins, 300 * SECOND, metrics, now=lambda: NOON)


def event(number: int = 1, **changes: Any) -> bytes:
    return msgspec.json.encode(
        {
            "specversion": "1.0",
            "id": f"e-{number}",
            "source": "/helpdesk",
            "type": "ticket.created",
            "subject": str(number),
            "time": "2026-01-05T11:59:00Z",
            **changes,
        }
    )


def headers(record: Outgoing) -> dict[str, bytes]:
    return dict(record.headers)


def value_of(metrics: Metrics, name: str, **labels: str) -> float | None:
    return metrics.registry.get_sample_value(name, labels)


async def test_events_go_on_in_order_keyed_by_item(ingest: Ingest, producer: FakeProducer) -> None:
    await ingest.on_batch([FakeRecord(event(number)) for number in (3, 1, 2)])
    written = producer.on(TOPICS.events)
    assert [record.key for record in written] == [b"acme/ticket/3", b"acme/ticket/1", b"acme/ticket/2"]
    assert [decode_record(record.headers, record.value).id for record in written] == ["e-3", "e-1", "e-2"]
    assert producer.on(TOPICS.deadletters) == []


async def test_an_event_in_structured_mode_goes_on_as_it_came(
    ingest: Ingest, producer: FakeProducer, metrics: Metrics
) -> None:
    record = FakeRecord(event(data={"attributes": {"status": "weird"}}), topic=TOPICS.intake)
    await ingest.on_batch([record])
    (written,) = producer.on(TOPICS.events)
    assert (written.value, headers(written)) == (record.value, {"content-type": b"application/cloudevents+json"})
    counted = {"source": "canonical", "kind": "ticket", "outcome": "accepted"}
    assert value_of(metrics, "sla_ingest_events_total", **counted) == 1
    assert value_of(metrics, "sla_ingest_unmapped_statuses_total", system="other") == 1


async def test_only_a_trusted_topic_speaks_for_other_tenants(ingest: Ingest, producer: FakeProducer) -> None:
    await ingest.on_batch([FakeRecord(event(1, tenant="b")), FakeRecord(event(2, tenant="b"), topic=TOPICS.intake)])
    assert [record.key for record in producer.on(TOPICS.events)] == [b"acme/ticket/1", b"b/ticket/2"]


async def test_a_dead_letter_has_everything_about_its_record(ingest: Ingest, producer: FakeProducer) -> None:
    record = FakeRecord(b"{}", [("trace", b"t"), ("plazo_reason", b"of last time")], partition=2, offset=17)
    await ingest.on_batch([FakeRecord(event()), record])
    (letter,) = producer.on(TOPICS.deadletters)
    assert (letter.key, letter.value) == (b"upstream-key", b"{}")
    assert headers(letter) == {
        "trace": b"t",
        "plazo_stage": b"ingest",
        "plazo_version": headers(letter)["plazo_version"],
        "plazo_reason": b"invalid",
        "plazo_field": b"",
        "plazo_message": b"Object missing required field `specversion`",
        "plazo_topic": b"tickets",
        "plazo_partition": b"2",
        "plazo_offset": b"17",
        "plazo_timestamp_ms": b"1767600000000",
    }
    assert len(producer.on(TOPICS.events)) == 1


async def test_a_bad_event_of_a_batch_is_a_dead_letter_of_its_own(ingest: Ingest, producer: FakeProducer) -> None:
    batch = FakeRecord(
        b"[" + event(1) + b"," + event(2, type="x") + b"]", [("content-type", b"application/cloudevents-batch+json")]
    )
    await ingest.on_batch([batch])
    (letter,) = producer.on(TOPICS.deadletters)
    assert letter.value == event(2, type="x")
    assert headers(letter)["plazo_index"] == b"1"
    # Sent again as it is, it is read as what it is: one structured event.
    assert headers(letter)["content-type"] == b"application/cloudevents+json"
    assert [record.key for record in producer.on(TOPICS.events)] == [b"acme/ticket/1"]


async def test_a_value_that_no_topic_could_hold_is_cut(ingest: Ingest, producer: FakeProducer) -> None:
    await ingest.on_batch([FakeRecord(b"x" * (MAX_RECORD_BYTES + 1), [("big", b"h" * 70_000)], key=b"k" * 20_000)])
    (letter,) = producer.on(TOPICS.deadletters)
    assert headers(letter)["plazo_reason"] == b"too_large"
    assert headers(letter)["plazo_truncated"] == str(MAX_RECORD_BYTES + 1).encode()
    assert headers(letter)["plazo_headers_dropped"] == b"1"
    size = len(letter.key) + len(letter.value or b"") + sum(len(name) + len(text) for name, text in letter.headers)
    assert size < 1_048_576


async def test_an_event_that_grows_when_written_again_is_refused_too(ingest: Ingest, producer: FakeProducer) -> None:
    numbers = b"[" + b",".join([b"1E15"] * 150_000) + b"]"  # each becomes 1000000000000000.0
    value = event(data={"attributes": {"a": []}, "body": "so it is written again"}).replace(b"[]", numbers)
    assert len(value) < MAX_RECORD_BYTES
    await ingest.on_batch([FakeRecord(value)])
    (letter,) = producer.on(TOPICS.deadletters)
    assert (letter.value, headers(letter)["plazo_reason"]) == (value, b"too_large")


async def test_a_record_without_key_or_value_keeps_its_place(ingest: Ingest, producer: FakeProducer) -> None:
    await ingest.on_batch([FakeRecord(None, key=None, partition=3)])
    (letter,) = producer.on(TOPICS.deadletters)
    assert (letter.key, letter.value) == (b"tickets/3", None)


@pytest.mark.parametrize("topic", [TOPICS.events, TOPICS.deadletters])
async def test_what_could_not_be_written_fails_the_batch(
    ingest: Ingest, producer: FakeProducer, metrics: Metrics, topic: str
) -> None:
    producer.away.add(topic)
    records = [FakeRecord(event()), FakeRecord(b"bad")]
    with pytest.raises(Unavailable):
        await ingest.on_batch(records)
    producer.away.clear()
    await ingest.on_batch(records)
    assert len(producer.on(TOPICS.deadletters)) == 1
    # Counted once, when the batch was done.
    assert value_of(metrics, "sla_dlq_messages_total", stage="ingest", reason="undecodable") == 1


async def test_what_became_of_the_records_is_counted(ingest: Ingest, metrics: Metrics) -> None:
    call = event(9, type="call.queued")
    await ingest.on_batch([*(FakeRecord(event(number)) for number in range(40)), FakeRecord(call), FakeRecord(b"?")])
    name = "sla_ingest_events_total"
    assert value_of(metrics, name, source="canonical", kind="ticket", outcome="accepted") == 40
    assert value_of(metrics, name, source="canonical", kind="call", outcome="accepted") == 1
    assert value_of(metrics, name, source="canonical", kind="unknown", outcome="dead_letter") == 1
    assert value_of(metrics, "sla_heartbeat_timestamp_seconds", stage="ingest") == NOON / SECOND
    ages = value_of(metrics, "sla_ingest_event_age_seconds_count", source="canonical")
    total = value_of(metrics, "sla_ingest_event_age_seconds_sum", source="canonical")
    assert ages
    assert total == 60 * ages  # all of them a minute old


async def test_status_names_are_forwarded_as_categories_and_unknown_ones_are_counted(
    producer: FakeProducer, metrics: Metrics
) -> None:
    origins = {"tickets": Origin("canonical", Tenancy(), MAX_RECORD_BYTES)}
    ingest = Ingest(producer, TOPICS, origins, 300 * SECOND, metrics, now=lambda: NOON, statuses=built_in())
    sent = [("/zendesk", "solved"), ("/zendesk", "strange"), ("/mine", "strange"), ("/mine", "open"), ("/mine", None)]
    values = [
        event(number, source=source, data={"attributes": {"status": status}})
        for number, (source, status) in enumerate(sent)
    ]
    with structlog.testing.capture_logs() as logged:
        await ingest.on_batch([FakeRecord(value, [], "tickets") for value in (*values, *values)])
    forwarded = [decode_record(record.headers, record.value).attributes for record in producer.on(TOPICS.events)]
    assert forwarded[:5] == [
        {"status": "resolved", "source_status": "solved"},
        {"status": "strange", "source_status": "strange"},
        {"status": "strange"},
        {"status": "open"},
        {"status": None},
    ]
    assert value_of(metrics, "sla_ingest_unmapped_statuses_total", system="zendesk") == 2
    assert value_of(metrics, "sla_ingest_unmapped_statuses_total", system="other") == 2
    named = [(line["source"], line["status"]) for line in logged if "status" in line]
    assert named == [("/zendesk", "strange"), ("/mine", "strange")]  # each once


def limited(ingest: Ingest, in_a_row: int) -> Ingest:
    return replace(ingest, meter=DlqMeter(DlqLimit(in_a_row=in_a_row)))


async def test_a_batch_that_is_all_bad_is_left_unread(ingest: Ingest, producer: FakeProducer, metrics: Metrics) -> None:
    ingest = limited(ingest, 3)
    with structlog.testing.capture_logs() as logs, pytest.raises(TooManyDeadLetters, match="3 records of tickets"):
        await ingest.on_batch([FakeRecord(b"x", offset=n) for n in range(7)])
    assert producer.on(TOPICS.deadletters) == []
    assert ingest.meter.stopped is not None
    assert value_of(metrics, "sla_dlq_limit_used", stage="ingest") == 1
    assert logs[-1]["first"] == "tickets/0@0"


async def test_a_mixed_stream_goes_on(ingest: Ingest, producer: FakeProducer, metrics: Metrics) -> None:
    ingest = limited(ingest, 3)
    for _ in range(5):
        await ingest.on_batch([FakeRecord(b"x"), FakeRecord(event()), FakeRecord(b"x")])
    assert len(producer.on(TOPICS.deadletters)) == 10
    assert value_of(metrics, "sla_dlq_limit_used", stage="ingest") == pytest.approx(1 / 3)


async def test_a_batch_of_events_is_bad_only_where_none_of_them_can_be_used(ingest: Ingest) -> None:
    kept = ("content-type", b"application/cloudevents-batch+json")
    mixed = FakeRecord(b"[" + event(1) + b"," + event(2, type="x") + b"]", [kept])
    bad = FakeRecord(b"[" + event(2, type="x") + b"," + event(3, type="x") + b"]", [kept])
    ingest = limited(ingest, 2)
    await ingest.on_batch([mixed, mixed, bad, mixed])
    with pytest.raises(TooManyDeadLetters):
        await ingest.on_batch([bad, bad])


async def test_dead_letters_that_cannot_be_written_yet_count_once(ingest: Ingest, producer: FakeProducer) -> None:
    ingest = limited(ingest, 2)
    producer.away.add(TOPICS.deadletters)
    for _ in range(3):
        with pytest.raises(Unavailable):
            await ingest.on_batch([FakeRecord(b"x")])
    producer.away.clear()
    await ingest.on_batch([FakeRecord(b"x")])
    assert ingest.meter.used == 0.5
