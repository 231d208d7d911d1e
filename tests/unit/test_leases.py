"""Who takes which partition, and what a process does about it in a round."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.timer.lease import Crew, Lease
from services.timer.leases import AT_ONCE, CUT_OFF_ROUNDS, RENEW_S, Ownership, Plan, plan
from shared.errors import Unavailable
from tests.fakes_timer import FakeLeases, Tables, Time


def lease(partition: int, owner: str | None = None, *, expired: bool = False) -> Lease:
    """A lease as a plan sees it."""
    fields: dict[str, Any] = dict.fromkeys(Lease._fields, 0)
    return Lease(**{**fields, "partition": partition, "owner": owner, "expired": expired})


def leases(owners: str) -> list[Lease]:
    """A letter a partition: `.` nobody's, small: expired, capital: live; the owner is the capital letter."""
    return [
        lease(number, None if letter == "." else letter.upper(), expired=letter.islower())
        for number, letter in enumerate(owners)
    ]


@pytest.mark.parametrize(
    ("owners", "owned", "members", "expected"),
    [
        ("....", set(), 1, {0, 1, 2, 3}),  # alone: everything
        ("BBBB", set(), 2, set()),  # a live lease is nobody else's to take
        ("bbbb", set(), 1, {0, 1, 2, 3}),  # a dead process's leases are free
        ("AAAA", set(), 1, {0, 1, 2, 3}),  # our own from before a restart, though they live still
        ("AABB", set(), 2, {0, 1}),  # the same beside another process
        ("AABB", {0, 1}, 2, {0, 1}),  # a fair share: nothing to do
        ("AAAA", {0, 1, 2, 3}, 2, {0, 1}),  # another process has come: give half back
        ("AAA.", {0, 1, 2}, 2, {0, 1}),  # also when something is free, for the other one to take
        ("AABBb", {0, 1}, 2, {0, 1, 4}),  # uneven: one of the two may have one more
        ("AABBB", {0, 1}, 2, {0, 1}),  # uneven, and the other one has it
        ("AAABBB.", {0, 1, 2}, 3, {0, 1, 2}),  # a third has come; of three shares 3, 2, 2 the first by name keeps 3
        ("BBBAAA.", {3, 4, 5}, 3, {3, 4, 5}),  # the same for the other order of partitions
        ("BBBCCC.", set(), 3, {6}),  # the newcomer takes what is free at once
        ("AA", set(), 0, {0, 1}),  # nobody counted yet, not even itself
        ("", set(), 3, set()),  # an installation without partitions
    ],
)
def test_a_process_plans_for_its_share(owners: str, owned: set[int], members: int, expected: set[int]) -> None:
    decided = plan(leases(owners), "A", frozenset(owned), members)
    assert owned - set(decided.release) | set(decided.take) == expected


def test_of_two_that_took_one_too_many_one_gives_it_back() -> None:
    both = leases("AAABBB")
    assert plan(both, "A", frozenset({0, 1, 2}), 3) == Plan(release=(2,))
    assert plan(both, "B", frozenset({3, 4, 5}), 3) == Plan(release=(5,))
    assert plan(leases("AAABBBB"), "B", frozenset({3, 4, 5, 6}), 3).release == (6, 5)


class Table:
    """Processes that look at one table of leases, as plans see it."""

    def __init__(self, partitions: int) -> None:
        self.partitions = partitions
        self.owners: dict[int, str] = {}
        self.owned: dict[str, set[int]] = {"A": set()}

    def look(self, name: str) -> None:
        """Let a process do what it plans."""
        table = [self._lease(number) for number in range(self.partitions)]
        decided = plan(table, name, frozenset(self.owned[name]), len(self.owned))
        for partition in decided.take:
            assert not any(partition in held for held in self.owned.values()), "a live lease was taken"
            self.owners[partition] = name
            self.owned[name].add(partition)
        for partition in decided.release:
            del self.owners[partition]
            self.owned[name].remove(partition)

    def do(self, name: str, what: str) -> None:
        """One thing that happens."""
        if what == "joins":
            self.owned.setdefault(name, set())
        elif what == "dies" and len(self.owned) > 1:
            self.owned.pop(name, None)
        elif name in self.owned:
            self.look(name)

    def _lease(self, number: int) -> Lease:
        # What a process does not hold it does not renew: also what was its own before it came back.
        owner = self.owners.get(number)
        return lease(number, owner, expired=owner is not None and number not in self.owned.get(owner, ()))


STEPS = st.lists(st.tuples(st.sampled_from("ABCDE"), st.sampled_from(["joins", "dies", "looks", "looks"])), max_size=40)


@given(partitions=st.integers(0, 16), steps=STEPS)
def test_shares_become_fair_and_no_live_lease_is_taken(partitions: int, steps: list[tuple[str, str]]) -> None:
    table = Table(partitions)
    for name, what in steps:
        table.do(name, what)
    for name in sorted(table.owned) * 6:
        table.look(name)
    shares = [len(share) for share in table.owned.values()]
    assert max(shares) - min(shares) <= 1
    assert sum(shares) == len(table.owners) == partitions


class Process:
    """An ownership with what it was told to begin and to give up."""

    def __init__(self, tables: Tables, name: str) -> None:
        self.store = FakeLeases(tables)
        self.begun: list[int] = []
        self.given_up: list[int] = []
        self.lost: list[int] = []
        self.broken: set[int] = set()
        self.in_touch = True
        self.ownership = Ownership(
            self.store,
            name,
            in_touch=lambda: self.in_touch,
            taken=self._begin,
            given_up=self._give_up,
            lost=self.lost.append,
        )

    async def _begin(self, taken: Lease) -> None:
        if taken.partition in self.broken:
            raise Unavailable("no broker answers")
        self.begun.append(taken.partition)

    async def _give_up(self, partition: int) -> None:
        self.given_up.append(partition)

    async def rounds(self, count: int = 10) -> None:
        """Some rounds, one after the other."""
        for _ in range(count):
            await self.ownership.round()


async def test_one_process_takes_everything() -> None:
    process = Process(Tables(Time(), 8), "a")
    await process.rounds()
    assert sorted(process.begun) == list(range(8))
    assert set(process.ownership.epochs.values()) == {1}


async def test_a_round_begins_with_a_few_partitions_so_that_the_others_are_renewed_in_time() -> None:
    process = Process(Tables(Time(), AT_ONCE + 1), "a")
    assert await process.ownership.round() == 0.0
    assert len(process.begun) == AT_ONCE
    assert await process.ownership.round() == RENEW_S
    assert len(process.begun) == AT_ONCE + 1


async def test_a_second_process_gets_half() -> None:
    tables = Tables(Time(), 8)
    first, second = Process(tables, "a"), Process(tables, "b")
    await first.rounds()
    await second.rounds(1)
    await first.rounds(1)
    await second.rounds()
    assert len(first.ownership.epochs) == len(second.ownership.epochs) == 4
    assert sorted(first.given_up) == sorted(second.begun)


async def test_a_process_that_is_silent_for_a_lease_loses_its_partitions() -> None:
    time = Time()
    tables = Tables(time, 4)
    first, second = Process(tables, "a"), Process(tables, "b")
    await first.rounds()
    time.pass_s(2.9)
    await second.rounds()
    assert second.begun == []
    time.pass_s(0.2)
    await second.rounds()
    assert sorted(second.begun) == [0, 1, 2, 3]
    await first.rounds(1)
    assert sorted(first.lost) == [0, 1, 2, 3]
    assert first.given_up == []


async def test_a_process_that_comes_back_under_its_name_takes_its_partitions_at_once() -> None:
    tables = Tables(Time(), 4)
    await Process(tables, "a").rounds()
    again = Process(tables, "a")
    await again.rounds(1)
    assert sorted(again.begun) == [0, 1, 2, 3]
    assert set(again.ownership.epochs.values()) == {2}


async def test_a_partition_that_cannot_be_begun_with_is_in_nobodys_way_and_is_taken_again() -> None:
    process = Process(Tables(Time(), 6), "a")
    process.broken = {0, 1, 2, 3, 4}
    await process.rounds()
    assert process.begun == [5]
    assert set(process.ownership.epochs) == {5}
    process.broken = set()
    await process.rounds()
    assert sorted(process.begun) == [0, 1, 2, 3, 4, 5]


async def test_a_lease_that_the_lane_found_lost_is_dropped_once() -> None:
    process = Process(Tables(Time(), 2), "a")
    await process.rounds()
    process.ownership.forget(1)
    process.ownership.forget(1)
    assert process.lost == [1]


async def test_a_clean_stop_gives_everything_back_at_the_same_time() -> None:
    tables = Tables(Time(), 3)
    process, waiting = Process(tables, "a"), asyncio.Barrier(3)
    await process.rounds()

    async def give_up_together(_: int) -> None:
        async with asyncio.timeout(1.0):
            await waiting.wait()

    process.ownership._given_up = give_up_together
    await process.ownership.release_all()
    assert [row.owner for row in await process.store.leases()] == [None, None, None]
    assert process.ownership.epochs == {}


async def test_whom_kafka_does_not_answer_gives_all_to_those_whom_it_does() -> None:
    tables = Tables(Time(), 4)
    cut_off, other = Process(tables, "a"), Process(tables, "b")
    for _ in range(6):
        await cut_off.rounds(1)
        await other.rounds(1)
    assert len(cut_off.ownership.epochs) == len(other.ownership.epochs) == 2
    cut_off.in_touch = False
    await cut_off.rounds(CUT_OFF_ROUNDS)
    assert len(cut_off.ownership.epochs) == 2  # Kafka may just have come back, and answer this process next
    await cut_off.rounds(1)
    await other.rounds()
    assert (len(cut_off.ownership.epochs), len(other.ownership.epochs)) == (0, 4)
    await cut_off.rounds()
    cut_off.in_touch = True
    for _ in range(6):
        await cut_off.rounds(1)
        await other.rounds(1)
    assert len(cut_off.ownership.epochs) == len(other.ownership.epochs) == 2


async def test_where_kafka_answers_nobody_everybody_keeps_what_it_has() -> None:
    tables = Tables(Time(), 4)
    first, second = Process(tables, "a"), Process(tables, "b")
    for _ in range(6):
        await first.rounds(1)
        await second.rounds(1)
    first.in_touch = second.in_touch = False
    await second.rounds(1)
    await first.rounds(2 * CUT_OFF_ROUNDS)
    await second.rounds(2 * CUT_OFF_ROUNDS)
    assert len(first.ownership.epochs) == len(second.ownership.epochs) == 2


async def test_without_the_database_leases_wait() -> None:
    class Away(FakeLeases):
        async def beat(self, instance: str, *, in_touch: bool) -> Crew:
            raise Unavailable("the database does not answer")

    tables = Tables(Time(), 1)
    process = Process(tables, "a")
    process.ownership._store = Away(tables)
    assert await process.ownership.round() == RENEW_S
    assert process.begun == []
