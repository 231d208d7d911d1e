"""Events a second through the whole path: upstream topic, ingest, timer, positions committed."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass

import httpx2

from shared.kafka.offsets import Offsets
from tests.bench.harness import Bench, cpu_seconds, memory_mib
from tests.bench.workload import Shape, lifecycles
from tests.processes import PlazoProcess

STALLED_S = 120.0


@dataclass(frozen=True, slots=True)
class Throughput:
    """What one run measured."""

    events: int
    seconds: float
    ingest_cpu_s: float
    timer_cpu_s: float
    postgres_cpu_s: float
    ingest_mib: float
    timer_mib: float
    stages: dict[str, float]  # stage -> seconds

    @property
    def per_second(self) -> float:
        """Events a second."""
        return self.events / self.seconds


async def measure(bench: Bench, shape: Shape) -> Throughput:
    """Preload *shape* upstream, start ingest and timer, and time from the first record read to the last committed."""
    events = await bench.preload(lifecycles(shape, time.time_ns() // 1000))
    ingest, timer = bench.process("ingest"), bench.process("timer")
    offsets = await bench.offsets()
    try:
        async with timer:
            await timer.ready(f"http://127.0.0.1:{timer.env['HTTP_PORT']}/healthz/ready")
            database_before = bench.database_cpu_seconds()
            async with ingest:
                begun, ended = await _span(bench, offsets, events)
                return Throughput(
                    events=events,
                    seconds=ended - begun,
                    ingest_cpu_s=cpu_seconds(ingest.pid),
                    timer_cpu_s=cpu_seconds(timer.pid),
                    postgres_cpu_s=bench.database_cpu_seconds() - database_before,
                    ingest_mib=memory_mib(ingest.pid),
                    timer_mib=memory_mib(timer.pid),
                    stages=await _stages(timer),
                )
    finally:
        await offsets.stop()


async def _span(bench: Bench, offsets: Offsets, events: int) -> tuple[float, float]:
    # Progress is read from the database, whose positions are the truth.
    begun = None
    last, changed = -1, time.monotonic()
    while True:
        done = await bench.folded()
        now = time.monotonic()
        if done != last:
            last, changed = done, now
        if begun is None and await bench.read(offsets, "ingest", bench.upstream):
            begun = now
        if done >= events:
            return begun or now, now
        assert now - changed < STALLED_S, f"no progress for {STALLED_S} s at {done} of {events} events"
        await asyncio.sleep(0.02)


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
        f"  CPU µs an event: ingest {found.ingest_cpu_s * micro:.1f}, timer {found.timer_cpu_s * micro:.1f},"
        f" PostgreSQL {found.postgres_cpu_s * micro:.1f}\n"
        f"  memory MiB: ingest {found.ingest_mib:.0f}, timer {found.timer_mib:.0f}\n"
        f"  the timer's stages: {stages}"
    )
