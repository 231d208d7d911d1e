"""Alerts a second to local webhook receivers, and what one that is slow costs the others."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import yaml

from shared.events import SECOND, Instant, rfc3339
from shared.kafka.connection import Connection, Outgoing
from shared.kafka.producer import Producer
from tests.bench.figures import at_least, at_most
from tests.bench.harness import Bench, Site, ready
from tests.bench.latency import quantile
from tests.bench.webhooks import SLOW, Webhooks, webhooks
from tests.bench.work import Work
from tests.factories import breach, breach_record
from tests.processes import PlazoProcess

RECEIVERS: Final = 9  # the last of them is the slow one
CONCURRENCY: Final = 16  # attempts under way at each
RATE: Final = 300  # alerts a second, while their delay is measured
PACED: Final = 5  # a fifth of the alerts come at that rate
TICK_S: Final = 0.02
STALLED_S: Final = 60.0
GOAL_PER_S: Final = 1_000.0
GOAL_RATIO: Final = 1.1
SECRET: Final = "whsec_" + "QmVuY2htYXJrcyBzaWduIHdpdGggdGhpcyBrZXku"
Sent = dict[str, Instant]  # item -> when its breach was published


async def notifier(work: Work) -> None:
    """Alerts a second to local webhook receivers, one of which answers after 20 s; what that one costs the others."""
    count = work.sizes.deliveries
    async with work.open_site() as site:
        for turn in work.turns(f"{count:,} alerts to {RECEIVERS} receivers"):
            async with _notifier(site, f"many{turn}", slow=True) as running:
                await _many(work, running, count)
            for label, slow in (("without_slow", False), ("with_slow", True)):
                async with _notifier(site, f"{label}{turn}", slow=slow) as running:
                    delays = await _paced(running, count // PACED)
                name = f"notifier_p99_{label}"
                work.series.add(name, quantile(delays, 0.99) / 1000, "ms", note="breach published → alert received")
            work.series.ratio("notifier_p99_ratio", "notifier_p99_with_slow", "notifier_p99_without_slow",
                              at_most(GOAL_RATIO), note="of the others, with a slow one to without")  # fmt: skip
            work.keep()


class _Running:
    """A notifier of an installation, not started yet, and its receivers."""

    def __init__(self, bench: Bench, hooks: Webhooks, process: PlazoProcess) -> None:
        self.bench = bench
        self.hooks = hooks
        self.process = process

    async def received(self, others: int) -> list[tuple[str, Instant]]:
        """(item, instant) of the first arrival of every alert to the others, once all *others* are there."""
        count, changed = -1, time.monotonic()
        while True:
            arrived = [each for each in await self.hooks.arrivals() if each.path != SLOW]
            first = {each.item: each.at for each in reversed(arrived)}
            if len(first) >= others:
                return list(first.items())
            if len(first) != count:
                count, changed = len(first), time.monotonic()
            assert time.monotonic() - changed < STALLED_S, f"{count} of {others} alerts came, and then none for a while"
            await asyncio.sleep(0.5)


@asynccontextmanager
async def _notifier(site: Site, name: str, *, slow: bool) -> AsyncIterator[_Running]:
    async with site.installation(f"notifier_{name}") as bench:
        with webhooks(site.folder, f"webhooks-{name}") as hooks:
            routes = site.folder / f"notify-{name}.yaml"
            _write_routes(routes, hooks.url, SLOW if slow else "/fast/last")
            extra = {"NOTIFY_ROUTES": str(routes), "WEBHOOK_ALLOW": "127.0.0.0/8"}
            process = bench.process("notifier", extra)
            try:
                yield _Running(bench, hooks, process)
            finally:
                await process.stop()


async def _many(work: Work, running: _Running, count: int) -> None:
    bench, process = running.bench, running.process
    await _publish(bench, _breaches(0, count))
    process.start()
    await ready(process)
    meter = bench.meter({"notifier": process})
    at = sorted(at for _, at in await running.received(_to_others(count)))
    work.series.add("notifier_per_s", len(at) / ((at[-1] - at[0]) / SECOND), "alerts/s", at_least(GOAL_PER_S),
                    note="to the others, a slow one beside them")  # fmt: skip
    work.series.used("notifier_per_s", meter.read())


async def _paced(running: _Running, count: int) -> list[int]:
    running.process.start()
    await ready(running.process)
    sent = await _publish_paced(running.bench, count)
    return sorted(at - sent[item] for item, at in await running.received(_to_others(count)))


async def _publish_paced(bench: Bench, count: int) -> Sent:
    sent: Sent = {}
    producer = Producer(Connection(bench.site.broker.bootstrap), "bench")
    await producer.start()
    begun = time.monotonic()
    try:
        while len(sent) < count:
            wanted = min(int((time.monotonic() - begun) * RATE), count)
            some = _breaches(len(sent), wanted)
            now = time.time_ns() // 1000
            sent.update((str(number), now) for number in range(len(sent), wanted))
            await producer.send(bench.topics.breaches, some)
            await asyncio.sleep(TICK_S)
    finally:
        await producer.stop()
    return sent


async def _publish(bench: Bench, records: list[Outgoing]) -> None:
    producer = Producer(Connection(bench.site.broker.bootstrap), "bench")
    await producer.start()
    try:
        await producer.send(bench.topics.breaches, records)
    finally:
        await producer.stop()


def _breaches(first: int, end: int) -> list[Outgoing]:
    now = time.time_ns() // 1000
    found = []
    for number in range(first, end):
        record = breach(
            f"bench-{number}",
            at=now,
            item=f"default/ticket/{number}",
            due_at=rfc3339(now),
            breached_at=rfc3339(now),
            detected_at=rfc3339(now),
            attributes={"group": f"group-{number % RECEIVERS}", "priority": "high"},
        )
        found.append(Outgoing(*breach_record(record)))
    return found


def _to_others(count: int) -> int:
    return sum(number % RECEIVERS != RECEIVERS - 1 for number in range(count))


def _write_routes(file: Path, url: str, last: str) -> None:
    paths = [f"/fast/{number}" for number in range(RECEIVERS - 1)] + [last]
    receivers = {
        f"receiver-{number}": {
            "webhook": {"url": f"{url}{path}", "secret": SECRET, "timeout": "30s"},
            "concurrency": CONCURRENCY,
        }
        for number, path in enumerate(paths)
    }
    routes: list[dict[str, object]] = [
        {"name": f"to-{number}", "match": {"group": f"group-{number}"}, "receivers": [f"receiver-{number}"]}
        for number in range(RECEIVERS)
    ]
    nobody: dict[str, object] = {"name": "rest", "receivers": []}
    file.write_text(yaml.safe_dump({"receivers": receivers, "routes": [*routes, nobody]}, sort_keys=False))
