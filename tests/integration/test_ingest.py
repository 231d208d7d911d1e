"""Ingest on a broker: what is written upstream arrives keyed by item, once it is known where it belongs."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
import msgspec
import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from confluent_kafka import Producer as TransactionalProducer

from deploy.local.embedded_kafka import EmbeddedKafka
from deploy.local.ports import free_port
from services.ingest.__main__ import build
from services.ingest.service import IngestService
from services.ingest.settings import Settings
from shared.cloudevents import decode_record, encode_record
from shared.configuration import load
from shared.errors import Refused
from shared.events import Event, Headers, parse_instant
from shared.kafka.connection import Outgoing, Place
from shared.kafka.offsets import Offsets
from shared.kafka.producer import Producer, partition_of
from shared.lifecycle import Signals
from shared.metrics import Metrics
from shared.web import Health, application
from tests.processes import PlazoProcess
from tests.servers import Topics

STRUCTURED: Headers = [("content-type", b"application/cloudevents+json")]
BATCH: Headers = [("content-type", b"application/cloudevents-batch+json")]


@dataclass
class Installation:
    """Ingest's own topics, and some upstream ones, under a group that nobody else uses."""

    topics: Topics
    name: str
    settings: Settings = field(init=False)
    environment: dict[str, str] = field(init=False)

    def __post_init__(self) -> None:
        self.environment = {
            "KAFKA_BOOTSTRAP": self.topics.broker.bootstrap,
            "TOPIC_PREFIX": self.topics.name(f"{self.name}."),
            "INGEST_GROUP": self.topics.name(f"{self.name}.ingest"),
            "INGEST_SESSION_TIMEOUT_MS": "6000",
            "UPSTREAM_TOPICS": f"{self.upstream('tickets')},{self.upstream('calls')}:canonical",
        }
        self.settings = load(Settings, self.environment)
        for topic in ("sla.events.v1", "sla.intake.v1", "sla.deadletters.v1", "tickets", "calls"):
            self.topics.create(f"{self.name}.{topic}", 4)

    def upstream(self, name: str) -> str:
        return self.topics.name(f"{self.name}.{name}")

    @property
    def places(self) -> list[Place]:
        return [Place(upstream.topic, n) for upstream in self.settings.upstream for n in range(4)]

    async def write(self, name: str, *records: tuple[Headers, bytes | None]) -> None:
        """Put records on an upstream topic, all with the key `upstream-key`."""
        producer = Producer(self.settings.connection, "test")
        await producer.start()
        try:
            outgoing = [Outgoing(b"upstream-key", value, headers) for headers, value in records]
            await producer.send(self.upstream(name), outgoing)
        finally:
            await producer.stop()

    async def held(self, topic: str) -> list[Any]:
        """Every record that *topic* holds now."""
        consumer = AIOKafkaConsumer(bootstrap_servers=self.settings.kafka_bootstrap, isolation_level="read_committed")
        await consumer.start()
        try:
            places = [TopicPartition(topic, n) for n in range(4)]
            consumer.assign(places)
            await consumer.seek_to_beginning()
            ends = await consumer.end_offsets(places)
            found: list[Any] = []
            while [tp for tp in places if await consumer.position(tp) < ends[tp]]:
                for records in (await consumer.getmany(timeout_ms=100)).values():
                    found += records
            return found
        finally:
            await consumer.stop()

    async def events(self) -> list[Event]:
        return [decode_record(record.headers, record.value) for record in await self.held(self.settings.topics.events)]

    async def has_events(self, count: int) -> list[Event]:
        """All events, once there are *count* of them."""
        await until(self._caught_up)
        found = await self.events()
        assert len(found) >= count, found
        return found

    async def _caught_up(self) -> bool:
        offsets = Offsets(self.settings.connection, "test")
        try:
            ends = await offsets.ends(self.places)
            return ends == await offsets.committed(self.settings.ingest_group, self.places)
        finally:
            await offsets.stop()


async def until(condition: Callable[[], Awaitable[bool]], within_s: float = 30.0) -> None:
    """Wait until *condition* holds; fail when it does not in time."""
    deadline = time.monotonic() + within_s
    while not await condition():
        assert time.monotonic() < deadline, f"{condition} does not hold after {within_s} s"
        await asyncio.sleep(0.05)


@asynccontextmanager
async def running(settings: Settings) -> AsyncIterator[IngestService]:
    """Ingest in this process, started, running, and stopped as a signal would."""
    service, signals = build(settings, Metrics("test", "test")), Signals()
    try:
        await service.start()
        async with asyncio.TaskGroup() as group:
            group.create_task(service.run(signals))
            try:
                yield service
            finally:
                signals.stop.set()
    finally:
        await service.stop()


@asynccontextmanager
async def client(service: IngestService) -> AsyncIterator[httpx2.AsyncClient]:
    """Its HTTP side."""
    app = application("test", [service.router()], Health({"kafka": service.ready}), Metrics("test", "test"), None)
    transport = httpx2.ASGITransport(app=app)
    async with httpx2.AsyncClient(transport=transport, base_url="http://ingest") as http:
        yield http


def event(number: int, event_type: str = "ticket.created", **more: Any) -> dict[str, Any]:
    return {
        "specversion": "1.0",
        "id": f"e-{number}",
        "source": "/test",
        "type": event_type,
        "subject": str(number),
        "time": "2026-01-05T08:00:00Z",
        **more,
    }


def structured(number: int, event_type: str = "ticket.created", **more: Any) -> bytes:
    return msgspec.json.encode(event(number, event_type, **more))


def binary(number: int, event_type: str) -> tuple[Headers, bytes]:
    headers = [(f"ce_{name}", value.encode()) for name, value in event(number, event_type).items()]
    return headers, b'{"attributes": {"priority": "high"}}'


async def test_events_of_three_modes_on_two_topics_arrive_keyed_by_item(topics: Topics) -> None:
    installation = Installation(topics, "modes")
    async with running(installation.settings):
        await installation.write("tickets", (STRUCTURED, structured(1)), binary(2, "ticket.resolved"))
        batch = msgspec.json.encode([event(3, "call.queued"), event(4, "call.answered")])
        await installation.write("calls", (BATCH, batch), ([], structured(5, "call.ended")))
        found = await installation.has_events(5)
    assert {(each.subject, each.item) for each in found} == {
        ("1", "default/ticket/1"),
        ("2", "default/ticket/2"),
        ("3", "default/call/3"),
        ("4", "default/call/4"),
        ("5", "default/call/5"),
    }
    for record in await installation.held(installation.settings.topics.events):
        assert record.key.decode() == decode_record(record.headers, record.value).item
        assert record.partition == partition_of(record.key, 4)


async def test_what_cannot_be_used_is_a_dead_letter_with_everything_about_it(topics: Topics) -> None:
    installation = Installation(topics, "dead")
    bad = structured(2, "ticket.exploded")
    batch = b"[" + structured(3) + b", " + bad + b"]"
    async with running(installation.settings):
        await installation.write(
            "tickets",
            ([*STRUCTURED, ("traceparent", b"00-ab")], bad),
            (BATCH, batch),
            (STRUCTURED, None),
            (STRUCTURED, b"\xff not json"),
            (STRUCTURED, structured(4, time="2099-01-01T00:00:00Z")),
        )
        assert [each.subject for each in await installation.has_events(1)] == ["3"]
    letters = sorted(await installation.held(installation.settings.topics.deadletters), key=_offset)
    told = [dict(letter.headers) for letter in letters]
    assert [letter.value for letter in letters] == [bad, bad, None, b"\xff not json", letters[4].value]
    assert [each["plazo_reason"] for each in told] == [
        *(b"unknown_type", b"unknown_type", b"undecodable", b"undecodable", b"clock_skew")
    ]
    assert {letter.key for letter in letters} == {b"upstream-key"}
    first = told[0]
    assert (first["traceparent"], first["content-type"]) == (b"00-ab", b"application/cloudevents+json")
    assert (first["plazo_topic"], first["plazo_offset"]) == (installation.upstream("tickets").encode(), b"0")
    assert (first["plazo_field"], first["plazo_stage"]) == (b"type", b"ingest")
    assert b"canonical event type" in first["plazo_message"]
    assert told[1]["plazo_index"] == b"1"


def _offset(record: Any) -> int:
    return int(dict(record.headers)["plazo_offset"])


@pytest.mark.kafka
async def test_the_committed_position_reaches_the_end_also_behind_a_transactions_marker(topics: Topics) -> None:
    installation = Installation(topics, "marker")
    writer = TransactionalProducer(
        {"bootstrap.servers": topics.broker.bootstrap, "transactional.id": installation.upstream("writer")}
    )
    writer.init_transactions(10)
    async with running(installation.settings):
        writer.begin_transaction()
        for number in range(3):
            writer.produce(installation.upstream("tickets"), structured(number), partition=2)
        writer.commit_transaction(10)
        writer.begin_transaction()
        writer.produce(installation.upstream("tickets"), structured(9), partition=2)
        writer.flush(10)
        writer.abort_transaction(10)
        found = await installation.has_events(3)
    assert sorted(each.subject for each in found) == ["0", "1", "2"]


async def test_a_restart_goes_on_where_it_stopped(topics: Topics) -> None:
    installation = Installation(topics, "restart")
    async with running(installation.settings):
        await installation.write("tickets", (STRUCTURED, structured(1)))
        await installation.has_events(1)
    await installation.write("tickets", (STRUCTURED, structured(2)))
    async with running(installation.settings):
        found = await installation.has_events(2)
    assert sorted(each.subject for each in found) == ["1", "2"]


async def test_many_partitions_that_the_group_never_read_are_read_at_once(topics: Topics) -> None:
    installation = Installation(topics, "fresh")
    wide = topics.create("fresh.wide", 64)
    settings = load(Settings, {**installation.environment, "UPSTREAM_TOPICS": wide})
    begun = time.monotonic()
    async with running(settings) as service:
        await until(lambda: _is_ready(service))
        await installation.write("wide", *[(STRUCTURED, structured(number)) for number in range(10)])
        offsets = Offsets(settings.connection, "test")
        places = [Place(wide, n) for n in range(64)]

        async def all_committed() -> bool:
            return await offsets.committed(settings.ingest_group, places) == await offsets.ends(places)

        await until(all_committed)
        await offsets.stop()
    assert time.monotonic() - begun < 15
    assert len(await installation.events()) == 10


async def _is_ready(service: IngestService) -> bool:
    return await service.ready() is None


@pytest.mark.kafka
async def test_a_second_process_takes_over_after_a_kill(topics: Topics, tmp_path: Path) -> None:
    installation = Installation(topics, "takeover")
    first, second = (
        PlazoProcess(["ingest"], {**installation.environment, "HTTP_PORT": str(port)}, tmp_path / f"{port}.log")
        for port in (free_port(), free_port())
    )
    async with first, second:
        for process in (first, second):
            await process.ready(f"http://127.0.0.1:{process.env['HTTP_PORT']}/healthz/ready")
        await installation.write("tickets", *[(STRUCTURED, structured(number)) for number in range(100)])
        await installation.has_events(100)
        first.kill()
        await installation.write("tickets", *[(STRUCTURED, structured(number)) for number in range(100, 200)])
        found = await installation.has_events(200)
        assert await second.stop() == 0
    assert {each.subject for each in found} == {str(number) for number in range(200)}


async def test_events_over_http_go_the_same_way(topics: Topics) -> None:
    installation = Installation(topics, "http")
    async with running(installation.settings) as service, client(service) as http:
        answer = await http.post("/v1/events", json=[event(1, tenant="acme"), event(2, "chat.started")])
        assert (answer.status_code, answer.json()) == (202, {"accepted": 2})
        found = await installation.has_events(2)
    assert {each.item for each in found} == {"acme/ticket/1", "default/chat/2"}


async def test_a_topic_that_does_not_exist_is_named_at_the_start(topics: Topics) -> None:
    installation = Installation(topics, "missing")
    settings = load(Settings, {**installation.environment, "UPSTREAM_TOPICS": topics.name("nowhere")})
    service = build(settings, Metrics("test", "test"))
    with pytest.raises(Refused, match=re.escape(f"no such topic: {topics.name('nowhere')} ")):
        await service.start()
    await service.stop()


async def test_without_a_broker_the_process_ends_with_one_sentence(tmp_path: Path) -> None:
    address = f"127.0.0.1:{free_port()}"
    process = PlazoProcess(["ingest"], {"KAFKA_BOOTSTRAP": address}, tmp_path / "log")
    process.start()
    assert await process.ended() == 1
    assert process.output().splitlines()[-1] == f"plazo: connect to Kafka at {address}: no broker answers"


async def test_without_kafka_the_door_answers_503_and_the_service_is_not_ready() -> None:
    with EmbeddedKafka() as broker:
        for topic in ("sla.events.v1", "sla.intake.v1", "sla.deadletters.v1"):
            broker.create_topic(topic, 1)
        environment = {"KAFKA_BOOTSTRAP": broker.bootstrap, "INGEST_ANSWER_S": "0.5"}
        async with running(load(Settings, environment)) as service, client(service) as http:
            await until(lambda: _is_ready(service))
            broker.take_down()
            answer = await http.post("/v1/events", json=event(1))
            assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
            assert (await http.get("/healthz/ready")).status_code == 503
            broker.bring_up()

            async def taken() -> bool:
                return (await http.post("/v1/events", json=event(1))).status_code == 202

            await until(taken)


async def test_a_large_batch_keeps_the_order_of_each_item(topics: Topics) -> None:
    installation = Installation(topics, "order")
    moments = [f"2026-01-05T08:{minute:02}:{second:02}Z" for minute in range(20) for second in range(60)]
    records = [(STRUCTURED, structured(n % 7, "ticket.updated", id=f"u-{n}", time=at)) for n, at in enumerate(moments)]
    await installation.write("tickets", *records)
    async with running(installation.settings):
        found = await installation.has_events(len(records))
    for number in range(7):
        times = [each.time for each in found if each.subject == str(number)]
        assert times == sorted(times)
    assert min(each.time for each in found) == parse_instant(moments[0])
    assert {encode_record(each)[0] for each in found} == {f"default/ticket/{n}".encode() for n in range(7)}
