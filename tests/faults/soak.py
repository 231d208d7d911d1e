"""A soak: random faults for minutes, on a whole installation under load, while its processes share the work."""

from __future__ import annotations

import asyncio
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

from shared.errors import Unavailable
from shared.events import SECOND, parse_instant
from shared.failpoints import STATUS
from tests.faults.keeper import GAVE_UP, Kept
from tests.faults.site import BREACHED, Site
from tests.faults.strikes import PROCESSES, SERVERS, Fault, Strike, place, strikes
from tests.faults.wire import Wire
from tests.plant import Published
from tests.processes import PlazoProcess


class Server(Protocol):
    """A broker or a database that keeps its records."""

    def kill(self) -> None:
        """End it as a power cut would."""

    def start(self) -> None:
        """Start it under the same address."""


ITEMS_A_S: Final = (
    15.0  # three events each: a steady load that two cores bear beside six processes that start all the time
)
SLOW_S: Final = 0.05  # what each piece of up to 64 KiB takes longer on a slow network
CALM_S: Final = 300.0
STARTS: Final = 3  # of a server after a kill


@dataclass
class Soak:
    """One run on a site."""

    here: Site
    seed: int
    kept: dict[str, Kept] = field(default_factory=dict)
    wires: dict[tuple[str, str], Wire] = field(default_factory=dict)
    counts: Counter[str] = field(default_factory=Counter)
    _healed: bool = False
    _servers: dict[str, asyncio.Lock] = field(default_factory=lambda: {name: asyncio.Lock() for name in SERVERS})

    async def run(self, seconds: float) -> None:
        """Let it come in and be struck for so long, heal everything, and wait until all is told."""
        over = asyncio.Event()
        await self._lay_wires()
        async with asyncio.TaskGroup() as group:
            for name in PROCESSES:
                self.kept[name] = Kept(name, self._maker(name))
                group.create_task(self.kept[name].run(over))
            try:
                async with asyncio.TaskGroup() as trouble:
                    items = round(ITEMS_A_S * seconds)
                    trouble.create_task(self.here.traffic(items=items, over_s=seconds, seed=self.seed))
                    trouble.create_task(self._strike(trouble, strikes(self.seed, seconds)))
                self._healed = True
                await self.here.plant.database.close()  # its connections may be of a server that is gone
                await self.here.calm(CALM_S)
            finally:
                over.set()

    async def _lay_wires(self) -> None:
        for name in PROCESSES:
            self.wires[name, "kafka"] = await self.here.kafka_wire()
            self.wires[name, "postgres"] = await self.here.database_wire()

    def _maker(self, name: str) -> Callable[[int], PlazoProcess]:
        service = name.partition("-")[0]
        changes = {
            "KAFKA_BOOTSTRAP": self.wires[name, "kafka"].address,
            "DATABASE_URL": self.here.through(self.wires[name, "postgres"]),
        }

        def made(start: int) -> PlazoProcess:
            fail_at = "" if self._healed else place(self.seed, name, start)
            return self.here.process(service, name, FAIL_AT=fail_at, **changes)

        return made

    # --- faults ---

    async def _strike(self, group: asyncio.TaskGroup, plan: Iterable[Strike]) -> None:
        begun = time.monotonic()
        for strike in plan:
            await asyncio.sleep(max(0.0, begun + strike.at_s - time.monotonic()))
            group.create_task(self._play(strike))

    async def _play(self, strike: Strike) -> None:
        if strike.fault in (Fault.KILL, Fault.LEAVE, Fault.STOP):
            happened = await self._strike_process(strike)
        elif strike.fault is Fault.RESTART:
            happened = await self._restart(strike)
        else:
            happened = await self._strike_network(strike)
        self.counts[strike.fault if happened else f"{strike.fault} of what was away"] += 1

    async def _strike_process(self, strike: Strike) -> bool:
        kept = self.kept[strike.whom]
        if strike.fault is Fault.STOP:
            return await kept.stop(strike.lasts_s)
        return (kept.kill if strike.fault is Fault.KILL else kept.leave)(strike.lasts_s)

    async def _restart(self, strike: Strike) -> bool:
        ground = self.here.ground
        server: Server = ground.kafka if strike.whom == "kafka" else ground.postgres
        async with self._servers[strike.whom]:  # one at a time
            await asyncio.to_thread(server.kill)
            await asyncio.sleep(strike.lasts_s)
            await self._started(server)
        return True

    async def _started(self, server: Server) -> None:
        """Start a server, and start it again where it does not come up: one that was killed may end at once."""
        for left in reversed(range(STARTS)):
            try:
                await asyncio.to_thread(server.start)
            except Unavailable:
                self.counts["starts of a server in vain"] += 1
                if not left:
                    raise
            else:
                return

    async def _strike_network(self, strike: Strike) -> bool:
        wire = self.wires[strike.whom, strike.server]
        if strike.fault is Fault.CUT:
            wire.cut()
        elif strike.fault is Fault.HOLD:
            wire.hold()
            await asyncio.sleep(strike.lasts_s)
            wire.release()
        else:
            wire.delay_s = SLOW_S
            await asyncio.sleep(strike.lasts_s)
            wire.delay_s = 0.0
        return True

    # --- what came of it ---

    @property
    def kills(self) -> int:
        """How many processes ended as by a power cut: from outside, or at a place in the middle of their work."""
        return sum(kept.ends[status] for kept in self.kept.values() for status in (-signal.SIGKILL, STATUS))

    def assert_ends(self) -> None:
        """Processes ended by a fault, in order, or because a server was away when they started; never by a bug.

        Raises:
            AssertionError: names the process, its exit statuses, and where its log is.
        """
        usual = {0, -signal.SIGKILL, STATUS, GAVE_UP, -signal.SIGTERM}  # the last: asked to end while it started
        for kept in self.kept.values():
            log = self.here.folder / f"{kept.name}.log"
            assert set(kept.ends) <= usual, f"{kept.name} ended with {kept.ends}; see {log}"
            bugs = [line for line in log.read_text(errors="replace").splitlines() if _tells_of_a_bug(line)]
            assert not bugs, f"{kept.name} has a bug; see {log}:\n{bugs[0]}"

    def summary(self) -> str:
        """The seed, and what happened how often."""
        ends = Counter({status: sum(kept.ends[status] for kept in self.kept.values()) for status in (STATUS, GAVE_UP)})
        counts = ", ".join(f"{count} {what}" for what, count in sorted(self.counts.items()))
        return (
            f"SEED={self.seed}: {self.kills} kills, {ends[STATUS]} of them between two steps; {counts}; "
            f"{sum(kept.starts for kept in self.kept.values())} starts, {ends[GAVE_UP]} of them in vain"
        )


def _tells_of_a_bug(line: str) -> bool:
    # The client of Kafka has tasks of its own, and asks some of them no more how they ended.
    return "Traceback" in line and not ("never retrieved" in line and "aiokafka" in line)


def delays(published: Iterable[Published]) -> list[float]:
    """The seconds from each breach to its detection, sorted."""
    return sorted(
        (parse_instant(record.event.detected_at) - parse_instant(record.event.breached_at or "")) / SECOND
        for record in published
        if record.type == BREACHED
    )


def spread(seconds: Sequence[float]) -> str:
    """Sorted delays for a person."""
    middle, most = seconds[len(seconds) // 2], seconds[len(seconds) * 99 // 100]
    return f"breaches detected after {middle:.2f} s (p50), {most:.2f} s (p99), {seconds[-1]:.2f} s at most"
