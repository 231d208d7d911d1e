"""A long run at half of what the path can do: whether memory and tables stay as they are, and nothing falls behind."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from statistics import median
from typing import Final

from tests.bench import traffic
from tests.bench.figures import at_most, kept
from tests.bench.harness import ROOT, Bench
from tests.bench.usage import memory_mib
from tests.bench.work import Work
from tests.processes import PlazoProcess

SAMPLE_S: Final = 10.0
AROUND: Final = 6  # samples that are averaged at half time and at the end, so that no single one decides
GROWTH: Final = 1.1
BEHIND_S: Final = 1.0  # of traffic
FALLBACK_RATE: Final = 10_000  # a second, where `path_2k` was never measured
KEEP_DAYS: Final = 2 / 1_440
"""After two minutes a ticket that is over is forgotten, so that as many go as come long before half time."""
_TABLES: Final = (
    "SELECT c.relname || '|' || pg_total_relation_size(c.oid) FROM pg_class c"
    " JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = 'timer' AND c.relkind = 'r'"
)


@dataclass(frozen=True, slots=True)
class Sample:
    """What was there at one time."""

    memory_mib: float
    tables_mib: dict[str, float]
    behind: int  # events not folded

    @property
    def all_tables_mib(self) -> float:
        """All tables together."""
        return sum(self.tables_mib.values())


async def steady(work: Work) -> None:
    """MINUTES at half of what `path_2k` reached: memory and tables at the end to those at half time; what is behind."""
    rate = _half(work)
    async with (
        work.open_site() as site,
        site.installation("steady") as bench,
        bench.running("timer", "ingest", KEEP_CLOSED_DAYS=f"{KEEP_DAYS:.6f}") as running,
    ):
        work.say(f"{work.name}: {work.sizes.minutes:g} minutes of {rate:,} events/s")
        meter, load = bench.meter(running), traffic.start(bench, rate, first=0)
        samples = await _watched(work, bench, running)
        written, used = await load.stop(), meter.read()
    work.series.add("steady_rate", written, "events/s", note="half of what path_2k reached")
    work.series.used("steady_rate", used)
    _compare(work, samples, written)


async def _watched(work: Work, bench: Bench, running: dict[str, PlazoProcess]) -> list[Sample]:
    samples: list[Sample] = []
    begun = time.monotonic()
    count = max(int(work.sizes.minutes * 60 / SAMPLE_S), 2)
    for number in range(1, count + 1):
        await asyncio.sleep(max(begun + number * SAMPLE_S - time.monotonic(), 0))
        samples.append(sample := await _sample(bench, running))
        if number % AROUND == 0:
            tables = ", ".join(f"{name} {size:.0f}" for name, size in sample.tables_mib.items() if size >= 1)
            work.say(f"minute {number / AROUND:.0f}: {sample.memory_mib:.0f} MiB, tables MiB: {tables or 'small'};"
                     f" {sample.behind:,} events behind")  # fmt: skip
    return samples


async def _sample(bench: Bench, running: dict[str, PlazoProcess]) -> Sample:
    behind = await bench.lag()
    rows = [row.split("|") for row in await asyncio.to_thread(bench.sql, _TABLES)]
    tables = {name: int(size) / (1 << 20) for name, size in rows}
    return Sample(sum(memory_mib(process.pid) for process in running.values()), tables, behind)


def _compare(work: Work, samples: list[Sample], rate: float) -> None:
    half, series = len(samples) // 2, work.series
    around = min(AROUND, half)
    middle, end = samples[half - around : half], samples[-around:]
    memory = [median(one.memory_mib for one in part) for part in (middle, end)]
    tables = [median(one.all_tables_mib for one in part) for part in (middle, end)]
    series.add("steady_memory", memory[1], "MiB", note="ingest and timer at the end")
    series.add("steady_memory_ratio", memory[1] / memory[0], "×", at_most(GROWTH), note="end to half time")
    series.add("steady_tables", tables[1], "MiB", note=_largest(end[-1]))
    series.add("steady_tables_ratio", tables[1] / tables[0], "×", at_most(GROWTH), note="end to half time")
    series.add("steady_behind", end[-1].behind / rate, "s of traffic", at_most(BEHIND_S), note="not folded at the end")


def _largest(sample: Sample) -> str:
    largest = sorted(sample.tables_mib.items(), key=lambda pair: -pair[1])[:3]
    return "at the end: " + ", ".join(f"{name} {size:.0f}" for name, size in largest)


def _half(work: Work) -> int:
    figures = kept(ROOT / ".bench" / "latest.json")
    found = [each.value for each in figures if each.name == "path_2k_per_s" and not each.sizes]
    if not found:
        work.say(f"path_2k was not measured here in full: {FALLBACK_RATE:,} events/s instead of half of that")
        return FALLBACK_RATE
    return int(found[0] / 2)
