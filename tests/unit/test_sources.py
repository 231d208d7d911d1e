"""The watch over sources: one silence is told once, through the outbox, and only on proof."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import msgspec

from services.timer.held import Held
from services.timer.holdings import SOURCES_MOST, Holding, Holdings
from services.timer.policy_file import load
from services.timer.rulebook import Rulebook
from services.timer.silence import BREAK, KEPT
from services.timer.sources import KEEP, KEEP_HABITS, LOOKS, Sources, event_id
from services.timer.write_set import OutboxRow, WriteSet, unpack_headers
from shared.events import DAY, SECOND, Instant, SourceSilence, Topics, parse_instant
from shared.metrics import Metrics
from tests.fakes_sources import FakeSources
from tests.fakes_timer import FakeStore, Tables, Time

POLICIES = """
calendars: {c: {time_zone: UTC, hours: {mon-sun: '00:00-24:00'}}}
policies: [{name: p, applies_to: {}, calendar: c, targets: {answer: 20s}}]
sources: {/desk: {silent_after: 1m, severity: high}, /never: never}
"""
DESK = ("default", "/desk")


class Desk:
    """Timer processes on one database. A round of the first partition's owner takes a second."""

    def __init__(self, text: str = POLICIES) -> None:
        self.time = Time()
        self.tables = Tables(self.time, 2)
        self.store = FakeStore(self.tables)
        self.rows = FakeSources(self.tables)
        self.rulebook = Rulebook(((0, load({"f": text})),))
        self.deaf = False  # whether nobody can prove that everything has been read
        self.stop = asyncio.Event()
        self.metrics = Metrics("test", "test")
        self.take()

    def take(self, partition: int = 0) -> None:
        """Another process begins to watch, and owns only that partition."""
        lease = self.tables.leases[partition]
        lease.epoch += 1
        self.holdings = Holdings()
        holding = Holding(partition, lease.epoch, revision=lease.revision, next_offset=None)
        holding.outbox_position = max((row.position for row in self.outbox), default=0)
        self.holdings.partitions[partition] = holding
        self.sources = Sources(
            holdings=self.holdings,
            rows=self.rows,
            proof=self,
            between=self.between,
            lane=self,
            rulebook=lambda: self.rulebook,
            topic=Topics().breaches,
            now=self.time,
            metrics=self.metrics,
        )

    async def proved(self, _: asyncio.Event) -> Instant | None:
        """Be the proof."""
        return None if self.deaf else self.time()

    async def between(self, call: Callable[[], Awaitable[None]]) -> None:
        """Be the turns."""
        await call()

    async def put(self, write_set: WriteSet, _: list[Held]) -> None:
        """Be the lane."""
        await self.store.write(write_set)

    def hear(self, *names: tuple[str, str], partition: int = 1) -> None:
        """Events of sources arrive now, and are committed on any partition."""
        for tenant, source in names or [DESK]:
            self.tables.heard[partition, tenant, source] = self.time() // SECOND * SECOND

    async def rounds(self, seconds: int, each: int = 1) -> None:
        """Let time pass, with a round each so many seconds."""
        for _ in range(0, seconds, each):
            self.time.pass_s(each)
            await self.sources.round(self.stop)

    @property
    def outbox(self) -> list[OutboxRow]:
        """What is to be published, in order."""
        return sorted(self.tables.outbox.values(), key=lambda row: row.position)

    @property
    def silences(self) -> list[SourceSilence]:
        """The same, read."""
        return [msgspec.json.decode(row.value or b"", type=SourceSilence) for row in self.outbox]

    def shown(self, metric: str) -> list[float]:
        """The values of a metric, whatever its labels."""
        lines = self.metrics.exposition().decode().splitlines()
        return [float(line.split()[-1]) for line in lines if line.startswith(metric + "{")]


async def test_a_source_that_is_quiet_for_too_long_is_told_of_once() -> None:
    desk = Desk()
    await desk.rounds(2)
    desk.hear()
    spoke_at = desk.time()
    await desk.rounds(60)
    assert desk.outbox == []
    await desk.rounds(600)
    [row], [event] = desk.outbox, desk.silences
    assert (event.tenant, event.source, event.severity) == ("default", "/desk", "high")
    assert parse_instant(event.last_event_at) == spoke_at
    assert (event.quiet_s, event.allowed_s, event.usual_gap_s) == (61.0, 60.0, None)
    assert (row.partition, row.topic, row.key) == (0, "sla.breaches.v1", b"default/source//desk")
    headers = dict(unpack_headers(row.headers))
    assert headers["ce_type"] == b"sla.source.silent.v1"
    assert headers["ce_id"].decode() == event_id(DESK, spoke_at)
    assert headers["ce_time"].decode() == event.evidence_through


async def test_the_next_silence_is_another_one() -> None:
    desk = Desk()
    await desk.rounds(2)
    for _ in range(2):
        desk.hear()
        await desk.rounds(100)
    assert len({dict(unpack_headers(row.headers))["ce_id"] for row in desk.outbox}) == 2


async def test_a_process_that_takes_over_tells_nothing_again_and_misses_nothing() -> None:
    desk = Desk()
    await desk.rounds(2)
    desk.hear()
    await desk.rounds(40)
    desk.take()
    await desk.rounds(40)
    assert len(desk.outbox) == 1  # the quiet before counted
    desk.take()
    await desk.rounds(200)
    assert len(desk.outbox) == 1


async def test_what_was_not_committed_is_told_by_the_next_owner_with_the_same_id() -> None:
    desk = Desk()
    await desk.rounds(2)
    desk.hear()
    spoke_at = desk.time()
    await desk.rounds(58)
    desk.holdings.drop(0)  # lost, and the process does not know what it was about to tell
    await desk.rounds(5)
    assert desk.outbox == []
    desk.take()
    await desk.rounds(5)
    assert [dict(unpack_headers(row.headers))["ce_id"].decode() for row in desk.outbox] == [event_id(DESK, spoke_at)]


async def test_who_does_not_own_the_first_partition_says_nothing() -> None:
    desk = Desk()
    desk.take(partition=1)
    desk.hear()
    await desk.rounds(200)
    assert desk.outbox == []
    assert desk.shown("sla_source_silent") == []


async def test_without_proof_no_source_is_silent_and_the_time_does_not_count() -> None:
    desk = Desk()
    await desk.rounds(2)
    desk.hear()
    await desk.rounds(30)
    desk.deaf = True
    await desk.rounds(3_600, each=10)
    assert desk.outbox == []
    desk.deaf = False
    await desk.rounds(29)
    assert desk.outbox == []
    await desk.rounds(5)
    assert len(desk.outbox) == 1
    assert 60 < desk.silences[0].quiet_s < 65


async def test_nobody_heard_what_was_before_the_first_proof() -> None:
    desk = Desk()
    desk.hear()
    desk.time.pass_s(5_000)  # no timer runs
    await desk.rounds(50)
    assert desk.outbox == []
    await desk.rounds(30)
    assert len(desk.outbox) == 1


async def test_a_database_that_is_away_is_waited_for() -> None:
    desk = Desk()
    desk.rows.down = True
    desk.hear()
    await desk.rounds(5)
    desk.rows.down = False
    await desk.rounds(70)
    assert len(desk.outbox) == 1


async def test_habits_are_learned_from_all_partitions_and_outlive_the_process() -> None:
    desk = Desk()
    for minute in range(60):
        desk.hear(("default", "/learned"), partition=minute % 2)
        await desk.rounds(60, each=10)
    desk.take()
    await desk.rounds(10 * 60, each=10)
    [event] = desk.silences
    assert event.source == "/learned"
    assert (event.usual_gap_s, event.allowed_s) == (60.0, 600.0)
    assert 600.0 <= event.quiet_s <= 680.0


async def test_a_source_that_is_not_watched_is_never_silent() -> None:
    desk = Desk()
    for _ in range(30):
        desk.hear(("default", "/never"))
        await desk.rounds(60, each=10)
    await desk.rounds(DAY // SECOND, each=600)
    assert desk.outbox == []


async def test_a_change_of_the_policy_files_counts_at_once() -> None:
    desk = Desk()
    await desk.rounds(2)
    desk.hear(("default", "/never"))
    await desk.rounds(100)
    assert desk.outbox == []
    desk.rulebook = desk.rulebook.adding(desk.time(), load({"f": POLICIES.replace("/never: never", "/never: 30s")}))
    await desk.rounds(2)
    assert [event.source for event in desk.silences] == ["/never"]


async def test_the_tenants_of_a_source_are_watched_one_by_one() -> None:
    desk = Desk()
    await desk.rounds(2)
    desk.hear(("acme", "/desk"), ("other", "/desk"))
    for _ in range(10):
        await desk.rounds(20)
        desk.hear(("other", "/desk"))
    assert [event.tenant for event in desk.silences] == ["acme"]


async def test_the_gauges_say_when_each_source_was_heard_and_who_is_silent() -> None:
    desk = Desk()
    await desk.rounds(2)
    desk.hear(DESK, ("default", "/never"))
    spoke_at = desk.time() / SECOND
    await desk.rounds(2)
    assert desk.shown("sla_source_last_event_timestamp_seconds") == [spoke_at, spoke_at]
    assert desk.shown("sla_source_silent") == [0.0, 0.0]
    await desk.rounds(62)
    assert sorted(desk.shown("sla_source_silent")) == [0.0, 1.0]
    desk.hear()
    await desk.rounds(1)
    assert desk.shown("sla_source_silent") == [0.0, 0.0]
    desk.holdings.drop(0)
    await desk.rounds(1)
    assert desk.shown("sla_source_silent") == []  # somebody else shows them now


async def test_every_source_has_its_turn_however_many_are_quiet() -> None:
    desk = Desk(POLICIES.replace("/desk:", '"/desk*":'))
    await desk.rounds(2)
    desk.hear(*(("default", f"/desk/{n}") for n in range(3 * LOOKS)))
    await desk.rounds(60)
    assert desk.outbox == []
    await desk.rounds(3)
    assert len(desk.outbox) == 3 * LOOKS


async def test_of_a_flood_of_sources_the_rest_is_not_watched() -> None:
    desk = Desk()
    desk.hear(*(("default", f"/{n}") for n in range(SOURCES_MOST)))
    await desk.rounds(2)
    desk.hear(DESK)
    await desk.rounds(80)
    assert desk.outbox == []
    assert len(desk.tables.sources) == SOURCES_MOST


async def test_what_was_not_heard_for_four_weeks_is_forgotten() -> None:
    desk = Desk()
    await desk.rounds(2)
    desk.hear()
    await desk.rounds(2 * KEEP_HABITS // SECOND)
    assert len(desk.tables.sources) == 1
    await desk.rounds(KEPT // SECOND + 7_200, each=3_600)
    assert (desk.tables.sources, desk.tables.heard) == ({}, {})


async def test_what_is_known_is_stored_now_and_then_only() -> None:
    desk = Desk()
    assert KEEP < BREAK
    for _ in range(180):
        desk.hear()
        await desk.rounds(1)
        assert desk.tables.hearings[0].through > desk.time() - KEEP
    assert len(desk.store.written) == 180 * SECOND // KEEP
    assert len([each for each in desk.store.written if each.sources]) == 180 * SECOND // KEEP_HABITS
