"""One installation under faults: its processes, what lies between them and the servers, its traffic, its receiver.

async with site(ground, folder, "row-3") as here:
    async with here.process("ingest"), here.process("timer"), here.process("notifier"):
        await here.traffic(items=200, over_s=10)     # returns once all of it is with the brokers
        await here.calm()                            # all is folded, published, told and delivered
    await here.agree()                               # and is what a run without faults would give
"""

from __future__ import annotations

import base64
import time
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import httpx2
import msgspec
from standardwebhooks import Webhook

from deploy.local.embedded_postgres import EmbeddedPostgres
from deploy.local.ports import free_port
from deploy.local.real_kafka import RealKafka
from services.timer import backtest
from services.timer.policy_file import load
from services.timer.rulebook import Rulebook
from shared.cloudevents import decode_structured
from shared.database_url import url_of
from shared.events import SECOND, Instant, parse_instant, rfc3339
from shared.kafka.connection import Connection, Place
from shared.kafka.offsets import Offsets
from tests.agreement import assert_no_gaps, assert_same, told, without_repeats
from tests.e2e.helpdesk import encoded
from tests.faults.traffic import LONGEST_S, POLICIES, SLACK_S, Sent, Upstream, planned
from tests.faults.wire import Wire, wire
from tests.oracle.readers import held_true, what_was
from tests.plant import Plant, Published, plant, until
from tests.processes import PlazoProcess
from tests.receivers import HttpReceiver, Posted, http_receiver
from tests.servers import Databases, Topics

SECRET: Final = "whsec_" + base64.b64encode(bytes(range(32))).decode()
ROUTES: Final = """
receivers: {{desk: {{webhook: {{url: '{url}', secret_env: HOOK_SECRET}}, concurrency: 8}}}}
routes:
  - {{name: breaches, match: {{type: [breached]}}, receivers: [desk]}}
  - {{name: rest, receivers: []}}
"""
PATIENCE_S: Final = 120.0
BREACHED: Final = "sla.clock.breached.v1"
_WHAT: Final = {
    "sla.clock.warning.v1": "warning",
    "sla.clock.breached.v1": "breached",
    "sla.breach.stopped.v1": "stopped",
    "sla.breach.cancelled.v1": "cancelled",
    "sla.breach.retracted.v1": "retracted",
}


@dataclass(frozen=True)
class Ground:
    """The servers of a run, on which each row has its own topics and database."""

    kafka: RealKafka
    postgres: EmbeddedPostgres
    databases: Databases


@dataclass
class Site:
    """One installation. Processes and wires that it gives end with the row."""

    ground: Ground
    plant: Plant
    receiver: HttpReceiver
    folder: Path
    sent: list[Sent] = field(default_factory=list)
    slowest_s: float = 0.0  # the longest time from an event until the brokers had it
    arrived: dict[str, Instant] = field(default_factory=dict)  # item -> when the brokers had the last that it has
    stack: AsyncExitStack = field(default_factory=AsyncExitStack)
    offsets: Offsets = field(init=False)
    _detours: list[int] = field(init=False)
    _under_way: int = 0  # how much traffic is being written

    def __post_init__(self) -> None:
        self.offsets = Offsets(Connection(self.ground.kafka.bootstrap), "faults")
        self._detours = list(self.ground.kafka.detours)

    # --- what runs ---

    def process(self, service: str, name: str | None = None, **changes: str) -> PlazoProcess:
        """A service that is not started yet, with *changes* of its settings; started and stopped by `async with`."""
        made = self.plant.process(service, name)
        return PlazoProcess(made.arguments, {**made.env, **changes}, made.log)

    async def kafka_wire(self) -> Wire:
        """A wire to the broker: a process with `KAFKA_BOOTSTRAP=wire.address` talks to it through this wire only."""
        detour = self._detours.pop()
        return await self.stack.enter_async_context(wire(self.ground.kafka.behind(detour), detour))

    async def database_wire(self) -> Wire:
        """A wire to the database; see `through`."""
        port = url_of(self.plant.database_url).port
        assert port is not None
        return await self.stack.enter_async_context(wire(port))

    def through(self, database: Wire) -> str:
        """`DATABASE_URL` of a process that reaches the database through a wire."""
        return (
            url_of(self.plant.database_url)
            .set(drivername="postgresql", port=database.port)
            .render_as_string(hide_password=False)
        )

    @asynccontextmanager
    async def everything(self, **changes: str) -> AsyncIterator[Mapping[str, PlazoProcess]]:
        """Ingest, two timers and the notifier, all ready; stopped in order at the end."""
        names = ("ingest", "timer-1", "timer-2", "notifier")
        made = {name: self.process(name.partition("-")[0], name, **changes) for name in names}
        async with AsyncExitStack() as stack:
            for process in made.values():
                await stack.enter_async_context(process)
            await self.ready(*made.values())
            yield made

    async def ready(self, *processes: PlazoProcess) -> None:
        """Wait until processes can do their work."""
        for process in processes:
            await process.ready(f"http://127.0.0.1:{process.env['HTTP_PORT']}/healthz/ready", within_s=PATIENCE_S)

    async def readiness(self, process: PlazoProcess) -> tuple[int, int]:
        """The statuses of `/healthz/live` and `/healthz/ready`."""
        async with httpx2.AsyncClient() as client:
            url = f"http://127.0.0.1:{process.env['HTTP_PORT']}/healthz"
            answers = [await client.get(f"{url}/{name}", timeout=30.0) for name in ("live", "ready")]
        return answers[0].status_code, answers[1].status_code

    async def metric(self, process: PlazoProcess, name: str) -> float:
        """A metric of a process, summed over its labels; *name* may go on with some of them: `sla_x{outcome="held"`."""
        async with httpx2.AsyncClient() as client:
            text = (await client.get(f"http://127.0.0.1:{process.env['HTTP_PORT']}/metrics", timeout=30.0)).text
        return sum(float(line.rpartition(" ")[2]) for line in text.splitlines() if line.startswith(name))

    # --- what comes in ---

    async def traffic(self, *, items: int, over_s: float, seed: int = 1) -> None:
        """Let items come in over so many seconds; returns once the brokers have all that happens to them."""
        upstream = Upstream(self.ground.kafka.bootstrap, self.plant.topics.name("helpdesk"))
        plan = planned(time.time_ns() // 1000, items=items, over_s=over_s, seed=seed)
        self.sent += plan
        self._under_way += 1
        await upstream.run(plan)
        self._under_way -= 1
        self.slowest_s = max(self.slowest_s, upstream.slowest_s)
        self.arrived |= upstream.arrived

    # --- what comes out ---

    async def calm(self, within_s: float = PATIENCE_S) -> None:
        """Wait until all traffic is read, folded, published, told and delivered, and no deadline is to come."""
        await until(self._all_sent, "all traffic to be written", within_s)
        await until(self._read_and_folded, "everything to be folded", within_s)
        await until(self._nothing_due, "every deadline to have passed", within_s + LONGEST_S)
        await until(self._nothing_waits, "everything to be published", within_s)
        await until(self.plant.fed, "the states of all clocks to be told", within_s)
        wanted = {record.event.breach_id for record in await self.plant.published() if record.type == BREACHED}
        await self.receiver.until(lambda posted: len(self._alerts()) >= len(wanted), within_s=within_s)

    async def lag(self) -> int:
        """How many records upstream and between ingest and timer are not read yet."""
        events = sum((await self.offsets.ends(await self._places("sla.events.v1"))).values())
        return await self.upstream_lag() + events - await self.plant.folded()

    async def upstream_lag(self) -> int:
        """How many records upstream ingest has not read yet."""
        places = await self._places("helpdesk") + await self._places("sla.intake.v1")
        committed = await self.offsets.committed(self.plant.topics.name("ingest"), places)
        ends = await self.offsets.ends(places)
        return sum(ends[place] - (committed.get(place) or 0) for place in places)

    async def _places(self, topic: str) -> list[Place]:
        name = self.plant.topics.name(topic)
        return [Place(name, number) for number in range(await self.offsets.partitions(name))]

    async def _all_sent(self) -> bool:
        return not self._under_way

    async def _read_and_folded(self) -> bool:
        return await self.lag() == 0

    async def _nothing_due(self) -> bool:
        async with self.plant.database.raw("look for deadlines") as connection:
            return not await connection.fetchval("SELECT count(*) FROM timer.item WHERE next_due IS NOT NULL")

    async def _nothing_waits(self) -> bool:
        return not await self.plant.waiting()

    def _alerts(self) -> Counter[str]:
        """webhook-id -> how often it was posted."""
        return Counter(each.headers["webhook-id"] for each in self.receiver.posted)

    # --- whether it is right ---

    async def agree(self, *, late: bool = False, alerts_again: bool = False, dead_letters: int = 0) -> None:
        """Compare what came out with what the same events give without any fault, told by two programs.

        *late*: the fault kept evidence away for longer than it is waited for, so breaches may have been told and taken
        back; what a reader holds as true in the end must be right all the same. So it is where the machine was too slow
        to write the events in time. *alerts_again*: an alert may have been
        sent more than once, with the same id.

        Raises:
            AssertionError: something is lost, invented, told differently, or delivered twice.
        """
        published = await self.plant.published()
        distinct = without_repeats(published)
        assert_no_gaps(distinct)
        end = rfc3339(time.time_ns() // 1000 + SECOND)
        held = held_true(_read(record) for record in distinct)
        assert_same(map(str, held), map(str, what_was(POLICIES, self.sent, end)), "breaches by the second opinion")
        if not late and self.slowest_s < SLACK_S:
            assert_same(told(distinct).elements(), self._expected(end).elements(), "all that is told, by backtest")
        clocks = await self.plant.clocks()
        assert clocks == await self.plant.stored_clocks()
        assert len(clocks) == len({state.clock_id for state in clocks.values()})
        self._assert_alerts(distinct, again=alerts_again)
        assert await self.plant.dead_letters() == dead_letters
        print(self._summary(published, distinct))

    def _expected(self, end: str) -> Counter[str]:
        rulebook = Rulebook(((0, load({"policies.yaml": POLICIES})),))
        events = [decode_structured(value) for _, value in encoded(self.sent)]
        return told(backtest.published(events, rulebook, parse_instant(end)))

    def _assert_alerts(self, distinct: list[Published], *, again: bool) -> None:
        alerts: dict[str, set[str]] = {}
        for each in self.receiver.posted:
            assert _is_signed(each)
            body = msgspec.json.decode(each.body)
            alerts.setdefault(body["data"]["breach_id"], set()).add(each.headers["webhook-id"])
        assert set(alerts) == {record.event.breach_id for record in distinct if record.type == BREACHED}
        assert {len(ids) for ids in alerts.values()} <= {1}
        if not again:
            assert set(self._alerts().values()) <= {1}

    def _summary(self, published: list[Published], distinct: list[Published]) -> str:
        kinds = Counter(record.type.split(".", 1)[1].removesuffix(".v1") for record in distinct)
        counts = ", ".join(f"{count} {kind}" for kind, count in sorted(kinds.items()))
        repeats = len(published) - len(distinct)
        slow = "" if self.slowest_s < SLACK_S else f"; events came up to {self.slowest_s:.1f} s late"
        return f"{len(self.sent)} events: {counts}; {repeats} repeats; {len(self.receiver.posted)} alerts{slow}"


def _is_signed(posted: Posted) -> bool:
    # The library's own check also refuses what was signed more than five minutes ago; soaks last longer.
    at = datetime.fromtimestamp(int(posted.headers["webhook-timestamp"]), UTC)
    signature = Webhook(SECRET).sign(posted.headers["webhook-id"], at, posted.body.decode())
    return signature in posted.headers["webhook-signature"].split()


def _read(record: Published) -> Mapping[str, object]:
    fields = {name: getattr(record.event, name) for name in record.event.__struct_fields__}
    return {"what": _WHAT[record.type], **fields}


@asynccontextmanager
async def site(ground: Ground, folder: Path, name: str, **settings: str) -> AsyncIterator[Site]:
    """An installation of its own, nothing running yet; *settings* are those of all its processes."""
    topics = Topics(ground.kafka, f"{name}-{free_port()}")
    with ground.databases.fresh(topics.prefix) as url:
        async with plant(topics, url, folder, POLICIES) as made, http_receiver() as receiver:
            routes = folder / "notify.yaml"
            routes.write_text(ROUTES.format(url=receiver.url))
            made.extra = {"NOTIFY_ROUTES": str(routes), "HOOK_SECRET": SECRET, "NOTIFIER_CLAIM_S": "61", **settings}
            here = Site(ground, made, receiver, folder)
            async with here.stack:
                here.stack.push_async_callback(here.offsets.stop)
                yield here
