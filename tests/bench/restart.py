"""How long no breach is published when a timer with many open clocks is killed and started again at once."""

from __future__ import annotations

import asyncio
import time
from typing import Final

from shared.events import SECOND, Instant
from tests.bench.figures import at_most
from tests.bench.harness import Bench, ready
from tests.bench.idle import fill
from tests.bench.reader import BreachReader, Seen, reading
from tests.bench.usage import memory_mib, peak_mib
from tests.bench.work import Work
from tests.bench.workload import probes
from tests.processes import PlazoProcess

EVERY: Final = 20  # clocks that fall due a second
LEAD_S: Final = 5.0  # before the first of them
BEFORE_S: Final = 5.0  # of them are published before the kill
AFTER_S: Final = 20.0  # of them are watched after the start
RETURN_S: Final = 60.0
LOOK_S: Final = 0.1
GOAL_S: Final = 3.0
GOAL_MIB: Final = 400.0


async def restart(work: Work) -> None:
    """The timer killed with OPEN clocks open and started at once under its name: until the next breach is readable."""
    async with work.open_site() as site, site.installation("restart") as bench:
        work.say(f"{work.name}: writing {work.sizes.open:,} open clocks")
        await fill(bench, work.sizes.open, time.time_ns() // 1000)
        async with bench.running("timer", "ingest") as running:
            for turn in work.turns(f"{EVERY} clocks fall due a second"):
                await _once(work, bench, running["timer"], turn)
                work.keep()


async def _once(work: Work, bench: Bench, timer: PlazoProcess, turn: int) -> None:
    watched = BEFORE_S + AFTER_S + RETURN_S
    with reading(bench) as reader:
        due = int((time.time() + LEAD_S) * SECOND)
        count = int(EVERY * watched)
        await bench.site.write(bench.upstream, probes(count, due, int(watched * SECOND), turn * count))
        await asyncio.sleep(LEAD_S + BEFORE_S)
        before = memory_mib(timer.pid)
        assert _first(reader, since=due), "nothing fell due before the kill"
        killed = time.time_ns() // 1000
        timer.kill()
        timer.start()
        first = await _returned(reader, killed)
        await ready(timer)
        await asyncio.sleep(max(killed / SECOND + AFTER_S - time.time(), 0))
        # What fell due meanwhile comes late; from then on the delay is as before.
        late = [one for one in reader.seen(killed, killed + int(AFTER_S * SECOND)) if one.readable - one.due > SECOND]
        caught_up = max((one.readable for one in late), default=first.readable)
    series = work.series
    series.add("restart_first", (first.readable - killed) / SECOND, "s", at_most(GOAL_S),
               note="kill → first breach readable")  # fmt: skip
    series.add("restart_caught_up", (caught_up - killed) / SECOND, "s", note="kill → nothing late by a second any more")
    series.add("restart_memory", peak_mib(timer.pid), "MiB", at_most(GOAL_MIB), note="the timer's peak since the start")
    series.add("restart_memory_before", before, "MiB", note="the timer's before the kill")


async def _returned(reader: BreachReader, killed: Instant) -> Seen:
    deadline = time.monotonic() + RETURN_S
    while not (found := _first(reader, since=killed)):
        assert time.monotonic() < deadline, f"no breach {RETURN_S} s after the kill"
        await asyncio.sleep(LOOK_S)
    return found


def _first(reader: BreachReader, *, since: Instant) -> Seen | None:
    """The first breach that was detected *since* an instant: one detected before may just have been on its way."""
    return next((one for one in reader.seen(0, 2**62) if one.detected > since), None)
