"""The notifier on a real broker and database, with receivers that answer, fail, and keep silent."""

from __future__ import annotations

import asyncio
import base64
import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from pathlib import Path

import httpx2
import pytest
from standardwebhooks import Webhook as Verifier

from deploy.local.ports import free_port
from services.notifier.delivery import Delivery, Outcome
from services.notifier.service import NotifierService, World
from services.notifier.settings import Settings
from shared.breach_records import BreachRecord
from shared.configuration import load
from shared.events import SECOND, Instant, Span
from shared.kafka.connection import Connection, Outgoing
from shared.kafka.loop import Subscription, consume
from shared.kafka.producer import Producer
from shared.lifecycle import Signals
from shared.metrics import Metrics
from tests.factories import breach, breach_record, silence, silence_record
from tests.processes import PlazoProcess
from tests.receivers import Answer, HttpReceiver, MailReceiver, Posted, http_receiver, mail_receiver
from tests.servers import Topics

SECRET = "whsec_" + base64.b64encode(bytes(range(32))).decode()
NUMBERS = count(1)


@dataclass
class Installation:
    """The topics, database and files of one test."""

    bootstrap: str
    database_url: str
    prefix: str
    folder: Path
    producer: Producer
    delivered: list[Delivery] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)
    ahead: Span = 0  # how far the notifier's clock is ahead of the wall's

    @property
    def routes(self) -> Path:
        return self.folder / "notify.yaml"

    @property
    def environment(self) -> dict[str, str]:
        return {
            "KAFKA_BOOTSTRAP": self.bootstrap,
            "DATABASE_URL": self.database_url,
            "NOTIFY_ROUTES": str(self.routes),
            "TOPIC_PREFIX": self.prefix,
            "NOTIFIER_GROUP": f"{self.prefix}notifier",
            "HOOK_SECRET": SECRET,
            "WEBHOOK_ALLOW": "127.0.0.1",
        }

    def route(self, *receivers: HttpReceiver, match: str = "{}", concurrency: int = 4) -> None:
        """Every breach to every one of *receivers*, or to the console where there is none."""
        # The tests share a database: a receiver's name says whose it is.
        named = [f"{self.prefix}{n}" for n, _ in enumerate(receivers)]
        lines = ["receivers:", "  terminal: {console: {}}"]
        for name, each in zip(named, receivers, strict=True):
            hook = f"{{url: '{each.url}', secret_env: HOOK_SECRET, timeout: 5s}}"
            lines.append(f"  {name}: {{webhook: {hook}, concurrency: {concurrency}}}")
        lines += ["routes:", f"  - {{match: {match}, receivers: [{', '.join(named or ['terminal'])}], name: all}}"]
        lines += ["  - {receivers: [], name: rest}"]
        self.routes.write_text("\n".join(lines))

    async def publish(self, breaches: Iterable[BreachRecord]) -> None:
        """Publish *breaches* as the timer does."""
        records = [Outgoing(*breach_record(each)) for each in breaches]
        await self.producer.send(f"{self.prefix}sla.breaches.v1", records)

    def now(self) -> Instant:
        return time.time_ns() // 1000 + self.ahead


@pytest.fixture
async def installed(topics: Topics, database_url: str, tmp_path: Path) -> AsyncIterator[Installation]:
    number = next(NUMBERS)
    for name in ("sla.breaches.v1", "sla.deadletters.v1"):
        topics.create(f"{number}.{name}", partitions=2)
    producer = Producer(Connection(topics.broker.bootstrap), "test")
    await producer.start()
    yield Installation(topics.broker.bootstrap, database_url, topics.name(f"{number}."), tmp_path, producer)
    await producer.stop()


@dataclass
class Running:
    service: NotifierService
    metrics: Metrics
    signals: Signals


@asynccontextmanager
async def running(installed: Installation) -> AsyncIterator[Running]:
    """A notifier within this process, ready."""
    metrics, signals = Metrics("test", "2026"), Signals()

    def note(delivery: Delivery, _outcome: Outcome) -> None:
        installed.delivered.append(delivery)

    world = World(installed.now, random.random, installed.environment, installed.lines.append, "test", note)
    service = NotifierService(load(Settings, installed.environment), metrics, world)
    try:
        await service.start()
        async with asyncio.TaskGroup() as group:
            task = group.create_task(service.run(signals))
            try:
                await until(lambda: task.done() or service._joined.is_set())
                assert await service.ready() is None
                yield Running(service, metrics, signals)
            finally:
                signals.stop.set()
    finally:
        await service.stop()


async def until(reached: Callable[[], bool], within_s: float = 20.0) -> None:
    """Wait until *reached*."""
    async with asyncio.timeout(within_s):
        while not reached():  # noqa: ASYNC110 # what is waited for has no event
            await asyncio.sleep(0.01)


@pytest.fixture
async def http() -> AsyncIterator[HttpReceiver]:
    async with http_receiver() as receiver:
        yield receiver


def many(number: int, start: int = 0) -> list[BreachRecord]:
    return [breach(f"event-{next(NUMBERS)}-{n}", item=f"default/ticket/{n}") for n in range(start, start + number)]


def has(mail: MailReceiver, number: int) -> bool:
    return len(mail.mails) == number


def ids(posted: list[Posted]) -> Counter[str]:
    return Counter(each.headers["webhook-id"] for each in posted)


async def test_a_breach_on_the_topic_reaches_its_receiver_signed(installed: Installation, http: HttpReceiver) -> None:
    installed.route(http)
    async with running(installed):
        await installed.publish(many(1))
        await http.until(lambda posted: len(posted) == 1)
        await until(lambda: len(installed.delivered) == 1)
    Verifier(SECRET).verify(http.posted[0].body, http.posted[0].headers)


async def test_a_fresh_breach_is_sent_at_once(installed: Installation, http: HttpReceiver) -> None:
    installed.route(http)
    async with running(installed):
        await installed.publish(many(1))
        await http.until(lambda posted: len(posted) == 1)
        waits = []
        for n in range(10):
            started = time.monotonic()
            await installed.publish(many(1, start=n))
            await http.until(lambda posted, wanted=n + 2: len(posted) == wanted)  # type: ignore[misc]  # the default binds n
            waits.append(time.monotonic() - started)
    # No poll stands between the topic and the receiver: the shortest one of any would be seen in the median.
    assert sorted(waits)[5] < 0.5, waits


async def test_a_breach_that_is_published_again_alerts_nobody_twice(
    installed: Installation, http: HttpReceiver
) -> None:
    installed.route(http)
    breaches = many(5)
    async with running(installed):
        await installed.publish(breaches * 2)
        await http.until(lambda posted: len(posted) == 5)
    async with running(installed):  # after a restart too
        await installed.publish([*breaches, *many(1, start=9)])
        await http.until(lambda posted: len(posted) == 6)
        await until(lambda: len(installed.delivered) == 6)
    assert len(http.posted) == 6
    assert set(ids(http.posted).values()) == {1}


async def test_a_silent_source_is_told_to_whom_its_route_names(installed: Installation, http: HttpReceiver) -> None:
    installed.route(http, match="{type: silent, source: /helpdesk}")
    silences = [silence("another", source="/pbx"), silence("this")]
    async with running(installed):
        await installed.publish(many(1))
        for key, value, headers in map(silence_record, silences):
            await installed.producer.send(f"{installed.prefix}sla.breaches.v1", [Outgoing(key, value, headers)])
        await http.until(lambda posted: len(posted) == 1)
        await until(lambda: len(installed.delivered) == 1)
    body = Verifier(SECRET).verify(http.posted[0].body, http.posted[0].headers)
    assert (body["type"], body["data"]["source"]) == ("sla.source.silent.v1", "/helpdesk")
    assert installed.delivered[0].reason == "route all: type is silent, source is /helpdesk"


async def test_a_receiver_that_never_answers_delays_no_other(installed: Installation, http: HttpReceiver) -> None:
    never = asyncio.Event()
    async with http_receiver() as silent:
        silent.answer = lambda _posted: Answer(hold=never)
        installed.route(silent, http)
        async with running(installed):
            started = time.monotonic()
            await installed.publish(many(60))
            await http.until(lambda posted: len(posted) == 60)
            took = time.monotonic() - started
            assert len(silent.posted) == 4  # as many as may be under way at once
            never.set()
    assert took < 5.0, "the silent receiver's time limit was waited for"


async def test_a_receiver_that_asks_for_time_is_left_alone_without_using_up_attempts(
    installed: Installation, http: HttpReceiver
) -> None:
    http.answer = lambda _posted: Answer(429, {"retry-after": "3600"})
    installed.route(http, concurrency=1)
    async with running(installed):
        await installed.publish(many(10))
        await http.until(lambda posted: len(posted) == 1)
        with pytest.raises(TimeoutError):
            await http.until(lambda posted: len(posted) > 1, within_s=0.5)


async def test_a_restart_goes_on_with_what_was_to_be_tried_again(installed: Installation, http: HttpReceiver) -> None:
    http.answer = lambda _posted: Answer(503)
    installed.route(http)
    async with running(installed) as first:
        await installed.publish(many(3))
        await http.until(lambda posted: len(posted) == 3)
        await until(lambda: 'outcome="retry"} 3.0' in first.metrics.exposition().decode())
    http.answer = lambda _posted: Answer(200)
    installed.ahead = 6 * SECOND  # the first wait is 5 s
    async with running(installed):
        await http.until(lambda posted: len(posted) == 6)
        await until(lambda: len(installed.delivered) == 3)
    assert set(ids(http.posted).values()) == {2}
    assert {each.attempts for each in installed.delivered} == {1}


async def test_a_stop_gives_back_what_was_under_way(installed: Installation, http: HttpReceiver) -> None:
    never = asyncio.Event()
    http.answer = lambda _posted: Answer(hold=never)
    installed.route(http)
    async with running(installed):
        await installed.publish(many(1))
        await http.until(lambda posted: len(posted) == 1)
    http.answer = lambda _posted: Answer(200)
    async with running(installed):
        await http.until(lambda posted: len(posted) == 2)
        never.set()
        await until(lambda: len(installed.delivered) == 1)
    assert set(ids(http.posted).values()) == {2}


async def test_what_cannot_be_read_goes_to_the_dead_letters_and_stops_nothing(
    installed: Installation, http: HttpReceiver
) -> None:
    installed.route(http)
    good = many(1)[0]
    key, value, headers = breach_record(good)
    newer = [(name, b"sla.source.noisy.v1" if name == "ce_type" else text) for name, text in headers]
    bad = [Outgoing(key, b"{", headers), Outgoing(key, None, headers), Outgoing(key, value, newer)]
    await installed.producer.send(f"{installed.prefix}sla.breaches.v1", [*bad, Outgoing(key, value, headers)])
    async with running(installed):
        await http.until(lambda posted: len(posted) == 1)
    letters = await read(installed, "sla.deadletters.v1", 3)
    assert [dict(headers)["plazo_reason"] for headers in letters] == [b"undecodable", b"undecodable", b"unknown_type"]
    assert {dict(headers)["plazo_stage"] for headers in letters} == {b"notifier"}


async def read(installed: Installation, topic: str, number: int) -> list[Iterable[tuple[str, bytes]]]:
    found: list[Iterable[tuple[str, bytes]]] = []
    stop = asyncio.Event()

    async def keep(records: Iterable[object]) -> None:
        found.extend(record.headers for record in records)  # type: ignore[attr-defined]  # records, whatever their type
        if len(found) >= number:
            stop.set()

    subscription = Subscription((installed.prefix + topic,), f"{installed.prefix}reader")
    async with asyncio.timeout(20):
        await consume(Connection(installed.bootstrap), subscription, keep, stop=stop, joined=asyncio.Event())
    return found


async def test_a_change_of_the_routes_counts_and_a_bad_one_does_not(
    installed: Installation, http: HttpReceiver
) -> None:
    installed.route()
    async with running(installed) as now:

        def reloaded(value: str) -> bool:
            return (
                f'sla_config_last_reload_successful{{file="notify.yaml"}} {value}' in now.metrics.exposition().decode()
            )

        await installed.publish(many(1))
        await until(lambda: len(installed.lines) == 1)
        installed.routes.write_text("receivers: {}")
        await until(lambda: reloaded("0.0"))
        await installed.publish(many(1))
        await until(lambda: len(installed.lines) == 2)
        installed.route(http)
        await until(lambda: reloaded("1.0"))
        await installed.publish(many(1))
        await http.until(lambda posted: len(posted) == 1)
        assert len(installed.lines) == 2


async def test_a_mail_is_in_its_readers_words_and_in_the_built_in_form_when_a_template_fails(
    installed: Installation,
) -> None:
    subject = installed.folder / "words" / "es" / "subject.j2"
    subject.parent.mkdir(parents=True)
    async with mail_receiver() as mail:
        smtp = f"{{host: 127.0.0.1, port: {mail.port}, starttls: false}}"
        email = f"{{to: desk@example.com, from: plazo@example.com, smtp: {smtp}}}"
        installed.routes.write_text(
            f"receivers: {{{installed.prefix}desk: {{email: {email}, language: es, zone: Europe/Madrid}}}}\n"
            f"routes: [{{receivers: [{installed.prefix}desk]}}]\ntemplates: words\n"
        )
        for number, template in enumerate(("Nuestro {{ event.id }}", "Nuestro {{ evnt.id }}"), 1):
            subject.write_text(template)
            async with running(installed) as notifier:  # a template with mistakes does not keep it from starting
                await installed.publish(many(1, start=7))
                await until(partial(has, mail, number))
    good, failed = mail.mails
    text, html = (part.get_content() for part in good.iter_parts())
    assert good["Subject"] == "Nuestro 7"
    assert "13:00:00 CET" in text
    assert "13:00:00 CET" in html
    assert failed["Subject"] == "[Plazo] Breached: ticket 7, first response (standard-tickets)"
    assert "words/es/subject.j2:1: 'evnt' is undefined" in failed.get_content()
    faults = notifier.metrics.registry.get_sample_value("sla_notification_template_faults_total", {"kind": "breached"})
    assert faults == 1


async def test_a_missing_secret_keeps_the_notifier_from_starting(installed: Installation, tmp_path: Path) -> None:
    installed.routes.write_text(
        "receivers: {a: {webhook: {url: 'https://example.com', secret_env: NO_SUCH}}}\nroutes: [{receivers: [a]}]"
    )
    process = PlazoProcess(["notifier"], installed.environment, tmp_path / "log")
    process.start()
    assert await process.ended() == 2
    assert (
        "notify.yaml:1: receivers.a.webhook: expected a secret in the environment variable NO_SUCH" in process.output()
    )


@pytest.mark.kafka
async def test_two_processes_share_the_work_and_send_nothing_twice(
    installed: Installation, http: HttpReceiver, tmp_path: Path
) -> None:
    installed.route(http)
    ports = [free_port(), free_port()]
    processes = [
        PlazoProcess(
            ["notifier"],
            {**installed.environment, "HTTP_PORT": str(port), "INSTANCE": str(port)},
            tmp_path / f"log-{port}",
        )
        for port in ports
    ]
    async with processes[0], processes[1]:
        for process, port in zip(processes, ports, strict=True):
            await process.ready(f"http://127.0.0.1:{port}/healthz/ready")
        for n in range(10):
            await installed.publish(many(30, start=n * 30))
        await http.until(lambda posted: len(ids(posted)) == 300, within_s=60)
        shares = [await delivered(port) for port in ports]
    assert set(ids(http.posted).values()) == {1}
    assert sum(shares) == 300
    assert min(shares) > 0


async def delivered(port: int) -> float:
    """How many deliveries the process at *port* has counted."""
    async with httpx2.AsyncClient() as client:
        text = (await client.get(f"http://127.0.0.1:{port}/metrics")).text
    line = 'sla_notifications_total{channel="webhook",outcome="delivered"} '
    return sum(float(each.removeprefix(line)) for each in text.splitlines() if each.startswith(line))
