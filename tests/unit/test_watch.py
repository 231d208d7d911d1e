"""The watch: deadlines fire when their evidence is complete, neither before nor much later."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from services.timer.evidence import Evidence, Gate
from services.timer.holdings import Deadline, Holding, Holdings
from services.timer.watch import Watch
from shared.configuration import Upstream
from shared.errors import Unavailable
from shared.events import SECOND
from shared.kafka.connection import Place
from shared.metrics import Metrics
from tests.fakes_timer import FakeBrokers, Time, soon

UPSTREAM = Place("tickets", 0)
HOLD_MAX_S = 30


def own(partition: int) -> Place:
    """A partition of the events topic."""
    return Place("events", partition)


def key(name: str) -> str:
    """The key of a ticket."""
    return f"default/ticket/{name}"


class Post:
    """A watch over two partitions, with brokers whose records have all been read and folded."""

    def __init__(self) -> None:
        self.time = Time()
        self.brokers = FakeBrokers({UPSTREAM: 10, own(0): 5, own(1): 5}, {UPSTREAM: 10})
        self.holdings = Holdings()
        for number in (0, 1):
            self.holdings.partitions[number] = Holding(number, 1, revision=0, next_offset=5)
        self.deadlines = self.holdings.deadlines["ticket"]
        self.deadlines.horizon = self.time() + 3600 * SECOND
        self.folded = asyncio.Event()
        self.fired: list[tuple[str, Evidence]] = []
        self.watch = Watch(
            "ticket",
            holdings=self.holdings,
            gate=Gate(self.brokers, [Upstream(topic="tickets")], group="ingest", events_topic="events"),
            fire=self._fire,
            folded=self.folded,
            now=self.time,
            hold_max=HOLD_MAX_S * SECOND,
            metrics=Metrics("test", "test"),
        )

    async def _fire(self, entries: Sequence[Deadline], evidence: Evidence) -> None:
        self.fired += [(name.rpartition("/")[2], evidence) for _, _, name in entries]

    @property
    def names(self) -> list[str]:
        """The items that fired, in order."""
        return [name for name, _ in self.fired]

    def due(self, name: str, partition: int = 0, in_s: float = -1.0) -> None:
        """Have an item become due."""
        self.deadlines.add(self.time() + round(in_s * SECOND), partition, key(name))

    def pass_s(self, seconds: float) -> None:
        """Let time pass, and whatever sleeps look at it."""
        self.time.pass_s(seconds)
        self.deadlines.earlier.set()
        self.pulse()

    def fold(self, partition: int, to: int) -> None:
        """Have records folded."""
        self.holdings.partitions[partition].folded_to = to
        self.pulse()

    def pulse(self) -> None:
        """Wake who waits for records to be folded."""
        self.folded.set()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[asyncio.Event]:
        """The watch at work; it ends with the block."""
        stop = asyncio.Event()

        async def rounds() -> None:
            while not stop.is_set():
                await self.watch.round(stop)

        async with asyncio.timeout(10.0), asyncio.TaskGroup() as group:
            group.create_task(rounds())
            yield stop
            stop.set()

    async def looks(self, times: int = 3) -> None:
        """Wait until the watch has asked for what ingest has read so many times more."""
        answered = 0
        ask = self.brokers.committed

        async def counted(_group: str, places: Sequence[Place]) -> dict[Place, int | None]:
            nonlocal answered
            answered += 1
            return await ask(_group, places)

        self.brokers.committed = counted  # type: ignore[method-assign]  # counts, and asks as before
        await soon(lambda: answered >= times)
        self.brokers.committed = ask  # type: ignore[method-assign]


async def test_a_deadline_fires_when_it_has_passed_and_everything_has_been_read() -> None:
    post = Post()
    post.due("a")
    async with post.running():
        await soon(lambda: bool(post.fired))
    assert post.fired == [("a", Evidence(post.time(), late_possible=False))]


async def test_a_deadline_does_not_fire_before_it_has_passed() -> None:
    post = Post()
    post.due("exactly-now", in_s=0.0)
    post.due("passed", in_s=-0.000001)
    async with post.running():
        await soon(lambda: bool(post.fired))
        assert post.names == ["passed"]
        post.pass_s(0.000001)
        await soon(lambda: len(post.fired) == 2)
    assert post.names == ["passed", "exactly-now"]


async def test_an_earlier_deadline_ends_the_sleep() -> None:
    post = Post()
    post.due("late", in_s=100.0)
    async with post.running():
        await soon(lambda: not post.deadlines.earlier.is_set())
        post.due("early")
        await soon(lambda: post.names == ["early"])


async def test_nothing_fires_before_ingest_has_read_what_the_brokers_held() -> None:
    post = Post()
    post.brokers.read[UPSTREAM] = 9
    post.due("a")
    asked_at = post.time()
    async with post.running():
        await post.looks()
        post.pass_s(5)
        await post.looks()
        assert post.fired == []
        post.brokers.held[UPSTREAM] = 99  # what came later is not waited for
        post.brokers.read[UPSTREAM] = 10
        await soon(lambda: bool(post.fired))
    assert post.fired == [("a", Evidence(asked_at, late_possible=False))]


async def test_the_own_end_is_asked_for_after_ingest_has_read_everything() -> None:
    post = Post()
    post.brokers.read[UPSTREAM] = 9
    post.due("a")
    async with post.running():
        await post.looks()
        post.brokers.held[own(0)] = 6  # the record that ingest has just forwarded
        post.brokers.read[UPSTREAM] = 10
        await soon(lambda: 0 in post.watch._waiting)
        assert post.fired == []
        post.fold(0, 6)
        await soon(lambda: bool(post.fired))


async def test_a_backlog_is_waited_for_however_long() -> None:
    post = Post()
    post.brokers.held[UPSTREAM] = 10_000
    post.due("a")
    async with post.running():
        for read in range(100, 10_000, 1_100):
            post.brokers.read[UPSTREAM] = read
            await post.looks()
            post.pass_s(HOLD_MAX_S - 1)
            await post.looks()
        assert post.fired == []
        post.brokers.read[UPSTREAM] = 10_000
        await soon(lambda: bool(post.fired))
    assert not post.fired[0][1].late_possible


async def test_evidence_that_makes_no_progress_is_given_up() -> None:
    post = Post()
    post.brokers.read[UPSTREAM] = 9
    post.due("a")
    async with post.running():
        await post.looks()
        post.pass_s(HOLD_MAX_S - 1)
        await post.looks()
        assert post.fired == []
        post.pass_s(1)
        await soon(lambda: bool(post.fired))
        assert post.fired[0][1].late_possible
        post.due("b")  # and the next one does not wait all over again
        post.pass_s(1)
        await soon(lambda: post.names == ["a", "b"])
        post.brokers.read[UPSTREAM] = 10
        post.due("c")
        post.pass_s(1)
        await soon(lambda: post.names == ["a", "b", "c"])
    assert not post.fired[2][1].late_possible


async def test_with_the_brokers_away_deadlines_fire_after_one_wait() -> None:
    post = Post()
    post.brokers.down = Unavailable("no broker answers")
    post.due("a")
    async with post.running():
        await soon(lambda: post.watch._upstream_hold.since is not None)
        post.pass_s(HOLD_MAX_S - 1)
        await soon(lambda: post.watch._upstream_hold._looked == post.time())
        assert post.fired == []
        post.pass_s(2)
        await soon(lambda: bool(post.fired))
    assert post.fired[0][1].late_possible


async def test_partitions_that_are_folded_fire_while_others_catch_up() -> None:
    post = Post()
    post.brokers.held[own(1)] = 50
    post.due("behind", 1)
    post.due("ready", 0)
    async with post.running():
        await soon(lambda: post.names == ["ready"])
        post.due("another", 0)
        await soon(lambda: post.names == ["ready", "another"])
        post.fold(1, 50)
        await soon(lambda: post.names == ["ready", "another", "behind"])
    assert not post.fired[2][1].late_possible


async def test_a_partition_that_never_catches_up_with_its_end_still_fires_what_was_due_before() -> None:
    post = Post()
    post.brokers.held[own(0)] = 50
    post.due("a")
    asked_at = post.time()
    async with post.running():
        await soon(lambda: 0 in post.watch._waiting and post.watch._waiting[0].end == 50)
        post.brokers.held[own(0)] = 1_000  # always more to come than is folded
        post.pass_s(1)
        post.due("b")
        await soon(lambda: bool(post.watch._waiting[0].later))
        post.fold(0, 50)
        await soon(lambda: post.names == ["a"])
        assert post.fired[0][1] == Evidence(asked_at, late_possible=False)
        await soon(lambda: 0 in post.watch._waiting and post.watch._waiting[0].end == 1_000)
        post.fold(0, 1_000)
        await soon(lambda: post.names == ["a", "b"])


async def test_one_partition_that_is_stuck_is_given_up_though_the_others_advance() -> None:
    post = Post()
    post.brokers.held |= {own(0): 50, own(1): 50}
    post.due("stuck", 0)
    post.due("moving", 1)
    async with post.running():
        await soon(lambda: len(post.watch._waiting) == 2)
        for to in range(10, 50, 10):
            post.pass_s(HOLD_MAX_S / 3)
            post.fold(1, to)
            await soon(lambda to=to: post.watch._holds[post.holdings.partitions[1]]._progress == to)  # type: ignore[misc]  # a loop's value
        await soon(lambda: post.names == ["stuck"])
        assert post.fired[0][1].late_possible
        post.fold(1, 50)
        await soon(lambda: post.names == ["stuck", "moving"])
    assert not post.fired[1][1].late_possible


async def test_a_partition_that_is_lost_fires_nothing() -> None:
    post = Post()
    post.brokers.held[own(0)] = 50
    post.due("a")
    async with post.running():
        await soon(lambda: 0 in post.watch._waiting)
        post.due("b")
        post.holdings.drop(0)
        # It is ours again at once: what is due is loaded anew, and needs evidence of its own.
        post.holdings.partitions[0] = Holding(0, 3, revision=0, next_offset=5)
        await soon(lambda: not post.watch._waiting)
        assert post.fired == []
        post.due("c")
        await soon(lambda: 0 in post.watch._waiting)
        post.fold(0, 50)
        await soon(lambda: post.names == ["c"])


async def test_deadlines_of_partitions_that_are_not_ours_are_left_alone() -> None:
    post = Post()
    post.due("a", 7)
    post.due("b", 0)
    async with post.running():
        await soon(lambda: bool(post.fired))
    assert post.names == ["b"]


async def test_a_stop_ends_the_wait_for_evidence() -> None:
    post = Post()
    post.brokers.read[UPSTREAM] = 9
    post.due("a")
    async with asyncio.timeout(1.0), post.running() as stop:
        await post.looks()
        stop.set()
    assert post.fired == []


async def test_a_stop_ends_the_sleep() -> None:
    post = Post()
    async with asyncio.timeout(0.5), post.running():
        await soon(lambda: not post.deadlines.earlier.is_set())


async def test_an_end_before_what_is_folded_is_that_of_another_log_and_says_nothing() -> None:
    post = Post()
    post.holdings.partitions[0].folded_to = 5
    post.holdings.partitions[1].folded_to = 5
    post.brokers.held[own(0)] = 2  # the topic was deleted and made again
    async with post.running():
        post.due("gone", partition=0)
        post.due("there", partition=1)
        await soon(lambda: post.names == ["there"])
        for _ in range(2):
            post.pass_s(HOLD_MAX_S / 2)
            await soon(lambda: post.watch._holds[post.holdings.partitions[0]]._looked == post.time())
        await soon(lambda: post.names == ["there", "gone"])
    assert post.fired[1][1].late_possible
