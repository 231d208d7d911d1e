"""From the instant at which a clock falls due until its breach is detected, and until a consumer can read it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final, NamedTuple

from shared.events import SECOND, Instant
from tests.bench import traffic
from tests.bench.figures import Series, at_most
from tests.bench.harness import Bench
from tests.bench.reader import BreachReader, Seen, reading
from tests.bench.traffic import Load
from tests.bench.work import Work, memory
from tests.bench.workload import probes
from tests.processes import PlazoProcess

LEAD_S: Final = 12.0  # for loading the clocks, and a second more for each LOADED of them
LOADED: Final = 4_000
SETTLED_S: Final = 4.0  # between loading and the first that falls due
LAST_S: Final = 1.7
OVERDUE_S: Final = 120.0  # until a run is given up
MEMORY_MIB: Final = 300.0
SUSTAINED_S: Final = 8.0  # for which a rate is tried
BEHIND_S: Final = 1.0  # of traffic that may wait at its end
SLOWER: Final = (1.0, 0.75, 0.5, 0.35, 0.25, 0.15, 0.1, 0.05)
OTHERS: Final = 100_000_000  # the number of the first ticket of the other traffic


class Goals(NamedTuple):
    """What a run should reach, in milliseconds."""

    detected_p50: float | None = None
    detected_p99: float | None = None
    readable_p50: float | None = None
    readable_p99: float | None = None


class Spread(NamedTuple):
    """Clocks, and the seconds over which they fall due; 0: all at one instant."""

    clocks: int
    seconds: int
    first: int = 0  # the number of the first ticket


class Fallen(NamedTuple):
    """The clocks of a run, fallen due, and what that took."""

    seen: list[Seen]
    cpu_s: dict[str, float]
    memory_mib: float  # of ingest and timer, while all of them were open
    other_rate: float  # other events that were written a second
    behind: int  # of all events, not folded when the last breach was read


QUIET: Final = Goals(4, 20, 10, 40)
BUSY: Final = Goals(readable_p99=150)
NO_GOALS: Final = Goals()


async def latency(work: Work) -> None:
    """Clocks that fall due over a minute without other traffic: until detected, until readable by a consumer."""
    async with work.installations() as installations:
        async for _, bench in installations:
            async with bench.running("timer", "ingest") as running:
                found = await due_over(bench, running, Spread(work.sizes.clocks, work.sizes.seconds))
                note(work.series, "latency", found, QUIET)
                work.series.add("latency_memory", found.memory_mib, "MiB", at_most(MEMORY_MIB),
                                note=f"ingest and timer, {work.sizes.clocks:,} items open")  # fmt: skip


async def latency_busy(work: Work) -> None:
    """The same under RATE other events a second, or the highest rate below it that is kept up with."""
    rate = work.sizes.rate
    async with work.installations() as installations:
        async for turn, bench in installations:
            async with bench.running("timer", "ingest") as running:
                rate = await _sustained(bench, rate, first=turn * OTHERS)
                load = partial(traffic.start, bench, rate, (turn + 100) * OTHERS)
                found = await due_over(bench, running, Spread(work.sizes.clocks, work.sizes.seconds), load)
                said = f"under {found.other_rate:,.0f} other events/s"
                note(work.series, "latency_busy", found, BUSY, said=said)
                work.series.add("latency_busy_rate", found.other_rate, "other events/s")
                work.series.add(
                    "latency_busy_behind", found.behind / rate, "s of traffic", note="not folded at the end"
                )


async def burst(work: Work) -> None:
    """Clocks that fall due at one instant: from then until the last breach is readable."""
    async with work.installations() as installations:
        async for _, bench in installations:
            async with bench.running("timer", "ingest") as running:
                found = await due_over(bench, running, Spread(work.sizes.clocks, 0))
                _note_burst(work.series, found)


def _note_burst(series: Series, found: Fallen) -> None:
    due = found.seen[0].due
    readable = [one.readable - due for one in found.seen]
    series.add("burst_last", max(readable) / SECOND, "s", at_most(LAST_S), note="due → the last one readable")
    series.used("burst_last", found.cpu_s)
    series.add("burst_first", min(readable) / SECOND, "s", note="due → the first one readable")
    detected = max(one.detected for one in found.seen) - due
    series.add("burst_detected", detected / SECOND, "s", note="due → the last one detected")


async def due_over(
    bench: Bench, running: dict[str, PlazoProcess], spread: Spread, load: Callable[[], Load] | None = None
) -> Fallen:
    """Open clocks, let them fall due with *load* beside, and read all of their breaches.

    Raises:
        AssertionError: a breach is missing, or the machine was too slow to open the clocks in time.
    """
    with reading(bench) as reader:
        due = await _opened(bench, spread)
        resident = memory(running)
        other = load() if load else None
        await asyncio.sleep(max(due / SECOND - time.time() - 1, 0))
        meter = bench.meter(running)
        await _read_all(reader, spread, due)
        used, behind = meter.read(), await bench.lag()
        rate = await other.stop() if other else 0.0
        seen = reader.seen(due, due + spread.seconds * SECOND)
    assert len(seen) == spread.clocks, f"{len(seen)} breaches of {spread.clocks} clocks"
    return Fallen(seen, used, resident, rate, behind)


async def _opened(bench: Bench, spread: Spread) -> Instant:
    due = int(time.time() + LEAD_S + spread.clocks / LOADED) * SECOND
    await bench.site.write(bench.upstream, probes(spread.clocks, due, spread.seconds * SECOND, spread.first))
    await bench.caught_up()
    late = time.time() - (due / SECOND - SETTLED_S)
    assert late < 0, f"opening {spread.clocks} clocks took {late:.1f} s too long to measure when they fall due"
    await asyncio.sleep(-late)
    return due


async def _read_all(reader: BreachReader, spread: Spread, due: Instant) -> None:
    # Most of the time goes by before all can be there; counting what was read takes the reader's thread the time.
    end = due + spread.seconds * SECOND
    await asyncio.sleep(max(end / SECOND - time.time(), 0))
    deadline = time.monotonic() + OVERDUE_S
    while len(reader.seen(due, end)) < spread.clocks and time.monotonic() < deadline:
        await reader.quiet()


async def _sustained(bench: Bench, rate: int, first: int) -> int:
    """The highest rate from *rate* down that is kept up with."""
    for number, share in enumerate(SLOWER):
        tried = int(rate * share)
        load = traffic.start(bench, tried, first + number * OTHERS // 10)
        await asyncio.sleep(SUSTAINED_S)
        behind = await bench.lag()
        await load.stop()
        await bench.caught_up()
        if behind < BEHIND_S * tried:
            return tried
    return tried


def note(series: Series, name: str, found: Fallen, goals: Goals, *, said: str = "") -> None:
    """Add the quantiles of a run to a series."""
    detected = sorted(one.detected - one.due for one in found.seen)
    readable = sorted(one.readable - one.due for one in found.seen)
    meant = {"detected": "due → stamped after the evidence gate", "readable": "due → read by a consumer"}
    for what, spans in (("detected", detected), ("readable", readable)):
        text = "; ".join(part for part in (meant[what], said) if part)
        for label, share in (("p50", 0.5), ("p99", 0.99)):
            limit = getattr(goals, f"{what}_{label}")
            goal = None if limit is None else at_most(limit)
            series.add(f"{name}_{what}_{label}", quantile(spans, share) / 1000, "ms", goal, note=text)
    series.used(f"{name}_readable_p99", found.cpu_s)


def quantile(ordered: Sequence[int], share: float) -> int:
    """The value below which a share of the values lies."""
    return ordered[min(int(share * len(ordered)), len(ordered) - 1)]
