"""A day of a real help desk's log through the notifier, 600 times as fast: who hears how often, and nothing is lost.

The log's own timer is the backtest, which `test_replay` holds to the real one. What it publishes on the day goes onto
the breach topic at the log's pace, while the notifier's clock runs as fast: quiet hours, groups and escalations are
those of the day. `-s` shows the table.
"""

from __future__ import annotations

import asyncio
import os
import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import groupby
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from services.notifier import routes_file
from services.notifier.delivery import Delivery, Outcome
from services.notifier.routing import route
from services.notifier.service import NotifierService, World
from services.notifier.settings import Settings
from services.timer import backtest
from services.timer.policy_file import load as load_policies
from services.timer.rulebook import Rulebook
from shared.breach_records import BreachRecord
from shared.cloudevents import decode_structured
from shared.configuration import load
from shared.events import SECOND, Instant, instant, moment, parse_instant
from shared.kafka.connection import Connection, Outgoing
from shared.kafka.producer import Producer
from shared.lifecycle import Signals
from shared.metrics import Metrics
from tests.e2e.helpdesk import LOG, POLICIES, encoded, events, read_log
from tests.factories import breach_record
from tests.plant import until
from tests.servers import Topics

pytestmark = pytest.mark.skipif(not LOG.exists(), reason="the log does not lie beside the project")

SPEED = 600
ROME = ZoneInfo("Europe/Rome")
DAY = datetime(2012, 8, 2, tzinfo=ROME)  # of all days the one on which most is told
LATER = datetime(2012, 8, 6, 12, tzinfo=ROME)
HOURS = float(os.environ.get("REPLAYED_HOURS", "4"))  # up to 19:00; 19 of them, the whole day, take a minute
ACTIVE = timedelta(days=30)  # what was last touched before has nothing due on the day
HOUR = 3_600 * SECOND
ROUTES = """
receivers:
  live-desk: {console: {}, rate_limit: 30/h}
  team:
    console: {}
    quiet_hours: {zone: Europe/Rome, open: {mon-fri: 08:00-17:00}, breaks_through: []}
  on-call: {console: {}}
  lead: {console: {}}
escalations:
  standard: {steps: [{at: +2h, receivers: [lead]}]}
routes:
  - {name: live, match: {kind: [chat, call]}, receivers: [live-desk]}
  - name: urgent
    match: {kind: ticket, priority: [high, urgent]}
    receivers: [on-call]
    escalation: standard
    continue: true
  - {name: tickets, receivers: [team], group_by: [customer], group_wait: 10m, group_interval: 1h}
"""
TABLE = """
WITH digests AS (SELECT DISTINCT digest_id AS id FROM notifier.delivery WHERE digest_id IS NOT NULL)
SELECT receiver,
       count(*) FILTER (WHERE digests.id IS NULL AND step IS NULL) AS events,
       count(*) FILTER (WHERE digests.id IS NULL AND step IS NOT NULL) AS steps,
       count(*) FILTER (WHERE digests.id IS NULL AND state = 'delivered') AS alone,
       count(*) FILTER (WHERE state = 'digested') AS together,
       count(*) FILTER (WHERE digests.id IS NOT NULL AND state = 'delivered') AS digests,
       count(*) FILTER (WHERE state IN ('superseded', 'muted', 'silenced')) AS untold,
       count(*) FILTER (WHERE state IN ('pending', 'held', 'failed')) AS lost
FROM notifier.delivery LEFT JOIN digests USING (id) GROUP BY receiver ORDER BY receiver
"""
WAITING = """
SELECT (SELECT count(*) FROM notifier.delivery WHERE state IN ('pending', 'held'))
     + (SELECT count(*) FROM notifier.alert WHERE next_step_at IS NOT NULL)
"""
UNTOLD_BREACHES = """
SELECT count(*) FROM notifier.delivery AS d JOIN notifier.received AS r USING (bucket, event_id)
WHERE r.type = 'sla.clock.breached.v1' AND d.state NOT IN ('delivered', 'digested')
  AND NOT EXISTS (SELECT FROM notifier.received AS back
                  WHERE back.breach_id = r.breach_id AND back.type = 'sla.breach.retracted.v1')
  -- What waited together with its end is told by it.
  AND NOT EXISTS (SELECT FROM notifier.delivery AS later JOIN notifier.received AS told USING (bucket, event_id)
                  WHERE told.breach_id = r.breach_id AND told.type = 'sla.breach.stopped.v1'
                    AND later.receiver = d.receiver AND later.state IN ('delivered', 'digested'))
"""


@dataclass
class FastClock:
    """The wall's clock until it is set to the day of the log; from then on it runs SPEED times as fast."""

    set_to: Instant | None = None
    set_at: Instant = 0

    def __call__(self) -> Instant:
        wall = time.time_ns() // 1000
        return wall if self.set_to is None else self.set_to + (wall - self.set_at) * SPEED

    def set(self, to: Instant) -> None:
        """Let it be *to* now."""
        self.set_at, self.set_to = time.time_ns() // 1000, to


@dataclass
class Day:
    """What the test runs, and what came of it."""

    topics: Topics
    database_url: str
    folder: Path
    clock: FastClock = field(default_factory=FastClock)
    messages: Counter[str] = field(default_factory=Counter)  # by receiver

    def settings(self) -> Settings:
        routes = self.folder / "notify.yaml"
        routes.write_text(ROUTES)
        environment = {
            "KAFKA_BOOTSTRAP": self.topics.broker.bootstrap,
            "DATABASE_URL": self.database_url,
            "NOTIFY_ROUTES": str(routes),
            "TOPIC_PREFIX": f"{self.topics.prefix}.",
            "NOTIFIER_GROUP": self.topics.name("notifier"),
        }
        return load(Settings, environment)

    def note(self, delivery: Delivery, _outcome: Outcome) -> None:
        self.messages[delivery.receiver] += 1


@pytest.fixture
def day(topics: Topics, database_url: str, tmp_path: Path) -> Day:
    for name in ("sla.breaches.v1", "sla.deadletters.v1", "sla.intake.v1"):
        topics.create(name, 4)
    return Day(topics, database_url, tmp_path)


@pytest.fixture(scope="module")
def published() -> list[BreachRecord]:
    """All that the timer publishes in the HOURS of the day, in its order."""
    rulebook = Rulebook(((0, load_policies({"policies.yaml": POLICIES})),))
    end = instant(DAY.astimezone(UTC)) + 19 * HOUR
    log = [event for _, value in encoded(events(read_log())) if (event := decode_structured(value)).time < end]
    active = {event.item for event in log if event.time >= end - ACTIVE // timedelta(microseconds=1)}
    outputs = backtest.published([event for event in log if event.item in active], rulebook, end)
    records = sorted((BreachRecord(o.event_id, o.type, moment(o.time), o.event) for o in outputs), key=told_at)
    return [each for each in records if end - round(HOURS * HOUR) <= told_at(each) < end]


def told_at(record: BreachRecord) -> Instant:
    return parse_instant(record.data.detected_at)


async def test_a_day_of_a_help_desk_disturbs_people_seldom_and_loses_nothing(
    day: Day, published: Sequence[BreachRecord]
) -> None:
    async with running(day) as service:
        day.clock.set(told_at(published[0]) - 60 * SECOND)
        await feed(day, published)

        async def all_received() -> bool:
            return await count(service, "SELECT count(*) FROM notifier.received") == len(published)

        await until(all_received, "every event of the topic")
        day.clock.set(instant(LATER.astimezone(UTC)))  # the quiet hours are over by then, and all steps are due

        async def all_done() -> bool:
            return await count(service, WAITING) == 0

        await until(all_done, "everything that waited")
        table = await rows(service, TABLE)
        untold = await count(service, UNTOLD_BREACHES)
    print(shown(table, published))
    checked = routes_file.parse(ROUTES, "notify.yaml")
    expected = Counter(notice.receiver for each in published for notice in route(checked, each, told_at(each)))
    # Whom only a step told hears of the end too, though no route says so.
    assert {row["receiver"]: row["events"] for row in table if row["receiver"] != "lead"} == expected
    assert {row["receiver"]: row["alone"] + row["digests"] for row in table} == day.messages
    assert sum(row["lost"] for row in table) == untold == 0
    by_name = {row["receiver"]: row for row in table}
    assert by_name["team"]["digests"] > 0
    assert by_name["lead"]["steps"] > 0
    assert by_name["team"]["alone"] + by_name["team"]["digests"] < by_name["team"]["events"] / 2


async def feed(day: Day, published: Sequence[BreachRecord]) -> None:
    """Put each record onto the topic at its own time, by the fast clock."""
    producer = Producer(Connection(day.topics.broker.bootstrap), "day")
    await producer.start()
    try:
        for at, some in groupby(published, key=told_at):
            await asyncio.sleep(max(at - day.clock(), 0) / SPEED / SECOND)
            records = [Outgoing(*breach_record(each)) for each in some]
            await producer.send(day.topics.name("sla.breaches.v1"), records)
    finally:
        await producer.stop()


@asynccontextmanager
async def running(day: Day) -> AsyncIterator[NotifierService]:
    """A notifier within this process, whose loops look again 600 times as often as they mean to."""
    signals = Signals()
    world = World(day.clock, random.Random(7).random, {}, lambda _line: None, "test", day.note)
    service = NotifierService(day.settings(), Metrics("test", "2026"), world)
    try:
        await service.start()
        async with asyncio.TaskGroup() as group:
            running_ = group.create_task(service.run(signals))
            haste = group.create_task(hurry(service))
            try:
                await until(lambda: _joined(service), "the notifier to read")
                yield service
            finally:
                signals.stop.set()
                haste.cancel()
                with suppress(asyncio.CancelledError):
                    await asyncio.gather(running_, haste)
    finally:
        await service.stop()


async def _joined(service: NotifierService) -> bool:
    return service._joined.is_set()


async def hurry(service: NotifierService) -> None:
    """Wake the loops that sleep by the wall's clock."""
    while True:
        await asyncio.sleep(0.1)
        service._wake.set()
        service._ruling.release.set()


async def rows(service: NotifierService, query: str) -> list[Mapping[str, Any]]:
    async with service.database.raw("look at the day") as connection:
        return [dict(row) for row in await connection.fetch(query)]


async def count(service: NotifierService, query: str) -> int:
    async with service.database.raw("look at the day") as connection:
        return int(await connection.fetchval(query))


def shown(table: Sequence[Mapping[str, Any]], published: Sequence[BreachRecord]) -> str:
    """The table of the day: a line a receiver."""
    begin, end = (moment(told_at(published[place])).astimezone(ROME) for place in (0, -1))
    kinds = Counter(each.type.split(".")[2] for each in published)
    lines = [f"\n{len(published)} events from {begin:%Y-%m-%d %H:%M} to {end:%H:%M} in Rome, {dict(kinds)}"]
    names = ("receiver", "events", "steps", "alone", "together", "digests", "untold", "lost", "messages")
    lines += [" | ".join(f"{name:>9}" for name in names)]
    for row in table:
        messages = row["alone"] + row["digests"]
        lines.append(" | ".join(f"{value!s:>9}" for value in (*(row[name] for name in names[:-1]), messages)))
    return "\n".join(lines)


def test_the_clock_of_the_day_runs_as_fast_as_it_says() -> None:
    clock = FastClock()
    clock.set(instant(datetime(2012, 5, 7, tzinfo=UTC)))
    clock.set_at -= SECOND
    assert 0 <= clock() - instant(datetime(2012, 5, 7, 0, 10, tzinfo=UTC)) < 600 * SECOND
