"""Whether other open clocks, which stay idle, slow down the path or delay breaches."""

from __future__ import annotations

import time
from typing import Final

from tests.bench.figures import at_least, at_most
from tests.bench.harness import Bench, ready
from tests.bench.idle import fill
from tests.bench.latency import Spread, due_over, quantile
from tests.bench.usage import peak_mib
from tests.bench.work import Work
from tests.bench.workload import Shape, lifecycles
from tests.processes import PlazoProcess

SHARE: Final = 5  # of the sizes: a fifth of the events, of the clocks and of the seconds, for each number of others
SLOWER: Final = 0.8  # of the events a second with the fewest others
LATER: Final = 1.2  # of the delay with the fewest others


async def growth(work: Work) -> None:
    """Events a second, and the delay of breaches, with 10 thousand to 3 million other clocks open."""
    async with work.open_site() as site:
        for others in work.sizes.idles:
            async with site.installation(f"growth{others}") as bench:
                work.say(f"{work.name}: writing {others:,} open clocks")
                await fill(bench, others, time.time_ns() // 1000)
                async with bench.running("timer", "ingest") as running:
                    for turn in work.turns(f"{others:,} other clocks"):
                        await _turn(work, bench, running, others=others, turn=turn)
            _compare(work, others)
            work.keep()


async def _turn(work: Work, bench: Bench, running: dict[str, PlazoProcess], *, others: int, turn: int) -> None:
    label = _label(others)
    per_second = await _path(bench, running["ingest"], work.sizes.events // SHARE, turn)
    work.series.add(f"growth_per_s_{label}", per_second, "events/s")
    clocks = max(work.sizes.clocks // SHARE, 10)
    spread = Spread(clocks, max(work.sizes.seconds // SHARE, 1), first=turn * clocks)
    found = await due_over(bench, running, spread)
    delays = sorted(one.readable - one.due for one in found.seen)
    work.series.add(f"growth_p99_{label}", quantile(delays, 0.99) / 1000, "ms", note="due → read by a consumer")
    work.series.used(f"growth_p99_{label}", found.cpu_s)
    work.series.add(f"growth_memory_{label}", peak_mib(running["timer"].pid), "MiB", note="the timer's peak")


async def _path(bench: Bench, ingest: PlazoProcess, events: int, turn: int) -> float:
    # The timer goes on; ingest is stopped while the events are written.
    await ingest.stop()
    shape = Shape(events, seed=turn, first=turn * events)
    sent = await bench.site.write(bench.upstream, lifecycles(shape, time.time_ns() // 1000))
    before = await bench.written()
    ingest.start()
    begun = await bench.progress(bench.written, before + 1)
    await bench.caught_up()
    seconds = time.monotonic() - begun
    await ready(ingest)
    return sent / seconds


def _compare(work: Work, others: int) -> None:
    first, label = _label(work.sizes.idles[0]), _label(others)
    if first == label:
        return
    note = f"with {label} others, to that with {first}"
    work.series.ratio(f"growth_per_s_ratio_{label}", f"growth_per_s_{label}", f"growth_per_s_{first}",
                      at_least(SLOWER), note=f"events/s {note}")  # fmt: skip
    work.series.ratio(f"growth_p99_ratio_{label}", f"growth_p99_{label}", f"growth_p99_{first}",
                      at_most(LATER), note=f"p99 {note}")  # fmt: skip


def _label(number: int) -> str:
    return f"{number // 1_000_000}M" if number % 1_000_000 == 0 else f"{number // 1_000}k"
