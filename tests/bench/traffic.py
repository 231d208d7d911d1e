"""Other traffic while something is measured: a process of its own that writes a steady number of events a second.

    python -m tests.bench.traffic BOOTSTRAP TOPIC RATE FIRST

It writes a batch every 20 ms until it is told to stop, and then says how many events it wrote in how many seconds.
"""

from __future__ import annotations

import asyncio
import signal
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Final

from deploy.local.tether import Command, Tethered
from shared.kafka.connection import Connection, Outgoing
from shared.kafka.producer import Producer
from tests.bench.harness import Bench
from tests.bench.workload import Shape, Traffic

TICK_S: Final = 0.02
IN_FLIGHT: Final = 2_000


@dataclass
class Load:
    """Traffic under way."""

    rate: int
    log: Path
    _process: Tethered

    async def stop(self) -> float:
        """End it; the events a second that it really wrote.

        Raises:
            AssertionError: it had ended by itself.
        """
        assert self._process.ended() is None, f"the traffic ended by itself: {self.log.read_text()[-500:]}"
        await asyncio.to_thread(self._process.stop)
        sent, seconds = self.log.read_text().splitlines()[-1].split()
        return int(sent) / float(seconds)


def start(bench: Bench, rate: int, first: int) -> Load:
    """Write *rate* events a second upstream, of tickets numbered from *first* on, until it is stopped."""
    log = bench.site.folder / f"{bench.prefix}traffic-{first}.log"
    argv = [sys.executable, "-m", __name__, bench.site.broker.bootstrap, bench.upstream, str(rate), str(first)]
    return Load(rate, log, Tethered(Command(argv, log)))


def events(traffic: Traffic, count: int) -> Iterator[Outgoing]:
    """The next *count* events, which happen now."""
    now = time.time_ns() // 1000
    pairs = chain.from_iterable(traffic.at(now) for _ in range(count))
    return (Outgoing(*pair) for pair in pairs)


async def write(bootstrap: str, topic: str, rate: int, first: int) -> tuple[int, float]:
    """Write until SIGTERM; (events, seconds)."""
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    traffic = Traffic(Shape(0, in_flight=IN_FLIGHT, seed=first, first=first))
    producer = Producer(Connection(bootstrap), "bench-traffic")
    await producer.start()
    begun, sent = time.monotonic(), 0
    try:
        while not stop.is_set():
            # By the time that has passed, not by counting batches: what was late is caught up.
            wanted = int((time.monotonic() - begun) * rate)
            await producer.send(topic, events(traffic, wanted - sent))
            sent = wanted
            await asyncio.sleep(TICK_S)
        return sent, time.monotonic() - begun
    finally:
        await producer.stop()


def main() -> None:
    """Write what the command line says."""
    bootstrap, topic, rate, first = sys.argv[1:]
    print(*asyncio.run(write(bootstrap, topic, int(rate), int(first))))


if __name__ == "__main__":
    main()
