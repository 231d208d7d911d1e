"""Events a second through the whole path: upstream topic, ingest, timer, positions committed."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass

import httpx2

from tests.bench import streams
from tests.bench.figures import at_least, at_most
from tests.bench.harness import PARTITIONS, Bench, Site
from tests.bench.usage import peak_mib
from tests.bench.work import RUNS, Work
from tests.bench.workload import Shape, lifecycles
from tests.processes import PlazoProcess

MIB: float = 300.0  # that ingest and timer may use with 100,000 open items
CPU_US = 31.0  # of ingest, timer and PostgreSQL for an event
COMPARED = 5  # runs of each, where another program is compared with: its runs differ by a third
OURS = ("ingest", "timer", "postgres")


@dataclass(frozen=True, slots=True)
class Throughput:
    """What one run measured."""

    events: int
    seconds: float
    cpu_s: dict[str, float]  # by process
    peaks_mib: dict[str, float]  # of memory
    stages: dict[str, float]  # of the timer -> seconds

    @property
    def per_second(self) -> float:
        """Events a second."""
        return self.events / self.seconds

    @property
    def cpu_us(self) -> float:
        """CPU time of ingest, timer and PostgreSQL for an event, in microseconds."""
        return sum(self.cpu_s[name] for name in OURS) * 1e6 / self.events


async def path_2k(work: Work) -> None:
    """Events a second through ingest and timer, with 2,000 tickets in flight; CPU time of an event; memory."""
    await _path(work, Shape(work.sizes.events, in_flight=2_000))


async def path_100k(work: Work) -> None:
    """The same with 100,000 tickets in flight."""
    await _path(work, Shape(work.sizes.events, in_flight=100_000))


async def _path(work: Work, shape: Shape) -> None:
    peer = await asyncio.to_thread(streams.prepared, work.folder.parent, work.say)
    runs = COMPARED if peer is not None and work.runs == RUNS else work.runs
    async with work.open_site() as site:
        upstream = f"{work.name}.upstream"
        site.broker.create_topic(upstream, PARTITIONS)
        events = await site.write(upstream, lifecycles(shape, time.time_ns() // 1000))
        for turn in work.turns(f"{events:,} events, {shape.in_flight:,} in flight", runs):
            # Each goes first as often as the other: what one leaves to be flushed hinders the next.
            if peer is not None and turn % 2:
                await _measure_peer(work, site, peer, upstream=upstream, events=events)
            async with site.installation(f"{work.name}{turn}", upstream) as bench:
                _note(work, await measure(bench, events))
            if peer is not None and not turn % 2:
                await _measure_peer(work, site, peer, upstream=upstream, events=events)
            _compare(work)
            work.keep()


def _note(work: Work, found: Throughput) -> None:
    work.say(describe(found))
    name, series = work.name, work.series
    series.add(f"{name}_per_s", found.per_second, "events/s")
    series.used(f"{name}_per_s", found.cpu_s)
    series.add(f"{name}_cpu", found.cpu_us, "µs/event", at_most(CPU_US) if name == "path_2k" else None,
               note="ingest, timer and PostgreSQL")  # fmt: skip
    series.add(f"{name}_memory", sum(found.peaks_mib.values()), "MiB", at_most(MIB), note="peaks of ingest and timer")


async def _measure_peer(work: Work, site: Site, peer: streams.Peer, *, upstream: str, events: int) -> None:
    found = await streams.measure(site, peer, upstream=upstream, events=events)
    work.say(f"Kafka Streams: {found.per_second:,.0f} events/s, {found.cpu_us:.1f} µs CPU an event")
    name, series = f"{work.name}_streams", work.series
    series.add(f"{name}_per_s", found.per_second, "events/s", note="Kafka Streams on the same records")
    series.used(f"{name}_per_s", found.cpu_s)
    series.add(f"{name}_cpu", found.cpu_us, "µs/event", note="its process alone, start of the JVM included")
    series.add(f"{name}_memory", found.memory_mib, "MiB", note="resident at the end")


def _compare(work: Work) -> None:
    series, ours, theirs = work.series, f"{work.name}_per_s", f"{work.name}_streams_per_s"
    if not series.values(theirs):
        return
    # The figure is the ratio of the medians so far, and its range that of the single runs.
    series.ratio(f"{work.name}_times_streams", ours, theirs, goal=at_least(1.0),
                 note="ours with the ingest hop, calendars, policies, repeats and disorder")  # fmt: skip


async def measure(bench: Bench, events: int) -> Throughput:
    """Start ingest and timer on *events* that are upstream, and time from the first forwarded to the last committed."""
    async with bench.running("timer") as running:
        ingest = bench.process("ingest")
        async with ingest:
            meter = bench.meter({**running, "ingest": ingest})
            # The first record is forwarded a batch after it was read at most; ingest shows no earlier sign of it.
            begun = await bench.progress(bench.written, 1)
            await bench.caught_up()
            return Throughput(
                events=events,
                seconds=time.monotonic() - begun,
                cpu_s=meter.read(),
                peaks_mib={name: peak_mib(each.pid) for name, each in {**running, "ingest": ingest}.items()},
                stages=await _stages(running["timer"]),
            )


async def _stages(timer: PlazoProcess) -> dict[str, float]:
    async with httpx2.AsyncClient() as client:
        text = (await client.get(f"http://127.0.0.1:{timer.env['HTTP_PORT']}/metrics")).text
    prefix = 'sla_timer_batch_stage_seconds_sum{stage="'
    lines = [line for line in text.splitlines() if line.startswith(prefix)]
    return {line[len(prefix) :].partition('"')[0]: float(line.rpartition(" ")[2]) for line in lines}


def describe(found: Throughput) -> str:
    """The measurement in a few lines for a person."""
    micro = 1_000_000 / found.events
    stages = ", ".join(f"{stage} {seconds:.2f} s" for stage, seconds in sorted(found.stages.items()))
    return (
        f"{found.per_second:,.0f} events/s ({found.events:,} events in {found.seconds:.2f} s)\n"
        f"  CPU µs an event: {', '.join(f'{name} {used * micro:.1f}' for name, used in found.cpu_s.items())}\n"
        f"  memory MiB: {', '.join(f'{name} {peak:.0f}' for name, peak in found.peaks_mib.items())}\n"
        f"  the timer's stages: {stages}"
    )
