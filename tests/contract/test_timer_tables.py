"""What the timer asks of its tables; PostgreSQL and the tables in memory that unit tests use both pass all of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from typing import Any

import pytest

from services.timer.lease import Crew, Lease
from services.timer.lease_store import LeaseStore
from services.timer.retention_store import RetentionStore
from services.timer.source_store import Heard, SourceStore
from services.timer.store import TimerStore
from services.timer.write_set import HeardRow, HearingRow, SourceRow, WriteSet
from shared.db import BadData, Database
from shared.errors import Fenced, Unavailable
from shared.events import SECOND
from tests.factories import item_row, move, outbox_row, write_set
from tests.fakes_sources import FakeSources
from tests.fakes_timer import FakeLeases, FakeStore, Tables, Time

A, B = "default/ticket/a", "default/ticket/b"
UNSTORABLE = "default/ticket/" + "".join(chr(0x4E00 + n) for n in range(2_000))  # no index holds so long a key


@dataclass
class Twin:
    """The tables of four partitions, by whichever implementation."""

    leases: Any
    store: Any
    sources: Any
    retention: Any

    async def expire(self) -> None:
        """Let the time of a lease pass."""
        raise NotImplementedError

    async def owned(self, instance: str = "me", partition: int = 0) -> Lease:
        """A partition's lease, taken."""
        lease: Lease | None = await self.leases.take(instance, partition)
        assert lease is not None
        return lease

    async def lease(self, partition: int = 0) -> Lease:
        """A partition's lease as it stands."""
        found: list[Lease] = await self.leases.leases()
        return found[partition]


class InMemory(Twin):
    """The tables of unit tests."""

    def __init__(self) -> None:
        self.time = Time()
        tables = Tables(self.time)
        store = FakeStore(tables)
        super().__init__(FakeLeases(tables), store, FakeSources(tables), store)
        self.store.refuses = {UNSTORABLE}

    async def expire(self) -> None:
        """Let the time of a lease pass."""
        self.time.pass_s(3.1)


class InPostgres(Twin):
    """The real ones."""

    def __init__(self, database: Database) -> None:
        stores = (LeaseStore(database), TimerStore(database), SourceStore(database), RetentionStore(database))
        super().__init__(*stores)
        self.database = database

    async def expire(self) -> None:
        """Let the time of a lease pass, by setting everything back instead."""
        for statement in (
            "UPDATE timer.lease SET expires_at = expires_at - interval '3.1 s'",
            "UPDATE timer.member SET seen_at = seen_at - interval '3.1 s'",
        ):
            await self.execute(statement)

    async def execute(self, statement: str) -> None:
        """Run a statement."""
        async with self.database.raw("test") as connection:
            await connection.execute(statement)


TABLES = (
    "timer.lease, timer.member, timer.item, timer.history, timer.outbox, timer.installation, timer.policy_version,"
    " timer.heard, timer.source, timer.hearing"
)


@pytest.fixture(params=["in memory", "PostgreSQL"])
async def twin(request: pytest.FixtureRequest) -> AsyncIterator[Twin]:
    """Empty tables, of both kinds in turn."""
    if request.param == "in memory":
        made: Twin = InMemory()
        await made.leases.install(4)
        yield made
        return
    database = Database(request.getfixturevalue("database_url"))
    try:
        postgres = InPostgres(database)
        await postgres.execute(f"TRUNCATE {TABLES}")
        await postgres.leases.install(4)
        yield postgres
    finally:
        await database.close()


# --- who owns what ---


async def test_a_lease_is_free_at_first(twin: Twin) -> None:
    lease = await twin.lease()
    assert (lease.partition, lease.owner, lease.epoch, lease.revision, lease.next_offset) == (0, None, 0, 0, None)
    assert (lease.published_through, lease.items, dict(lease.open_clocks), lease.expired) == (0, 0, {}, True)
    assert [each.partition for each in await twin.leases.leases()] == [0, 1, 2, 3]


async def test_taking_raises_the_epoch(twin: Twin) -> None:
    taken = await twin.leases.take("me", 0)
    assert (taken.owner, taken.epoch, taken.expired) == ("me", 1, False)
    assert (await twin.leases.take("me", 0)).epoch == 2  # after a restart under the same name


async def test_a_live_lease_is_nobody_elses_to_take(twin: Twin) -> None:
    await twin.owned()
    assert await twin.leases.take("you", 0) is None
    assert (await twin.lease()).owner == "me"


async def test_an_expired_lease_is_anybodys_to_take(twin: Twin) -> None:
    await twin.owned()
    await twin.expire()
    assert (await twin.lease()).expired
    assert (await twin.owned("you")).epoch == 2


async def test_renewing_keeps_a_lease_alive_also_one_that_had_expired(twin: Twin) -> None:
    await twin.owned()
    await twin.expire()
    assert await twin.leases.renew("me", {0: 1}) == {0}
    assert await twin.leases.take("you", 0) is None


async def test_only_what_is_still_ours_is_renewed(twin: Twin) -> None:
    await twin.owned()
    await twin.owned("me", 1)
    await twin.owned("me", 2)
    await twin.expire()
    await twin.owned("you", 1)
    await twin.owned("me", 2)  # ours, but under an epoch that this process does not know
    assert await twin.leases.renew("me", {0: 1, 1: 1, 2: 1, 3: 1}) == {0}
    assert (await twin.lease(1)).owner == "you"


async def test_a_released_lease_can_be_taken_at_once(twin: Twin) -> None:
    await twin.owned()
    await twin.leases.release("me", 0, 1)
    assert (await twin.lease()).owner is None
    assert (await twin.owned("you")).epoch == 2


async def test_what_is_not_ours_is_not_released(twin: Twin) -> None:
    await twin.owned()
    await twin.leases.release("me", 0, 7)
    await twin.leases.release("you", 0, 1)
    assert (await twin.lease()).owner == "me"


async def test_who_leaves_frees_everything_and_counts_no_more(twin: Twin) -> None:
    assert await twin.leases.beat("me", in_touch=True) == Crew(1, 1)
    assert await twin.leases.beat("you", in_touch=False) == Crew(2, 1)
    await twin.owned("me", 0)
    await twin.owned("you", 1)
    await twin.leases.leave("me")
    assert [each.owner for each in await twin.leases.leases()] == [None, "you", None, None]
    assert await twin.leases.beat("you", in_touch=True) == Crew(1, 1)


async def test_who_is_silent_counts_no_more(twin: Twin) -> None:
    await twin.leases.beat("me", in_touch=True)
    await twin.expire()
    assert await twin.leases.beat("you", in_touch=True) == Crew(1, 1)
    assert await twin.leases.beat("me", in_touch=False) == Crew(2, 1)


async def test_the_partition_count_is_frozen_at_the_first_start(twin: Twin) -> None:
    assert await twin.leases.install(8) == 4
    assert len(await twin.leases.leases()) == 4


async def test_of_many_takers_one_gets_the_lease(twin: Twin) -> None:
    taken = await asyncio.gather(*(twin.leases.take(f"p{n}", 0) for n in range(8)))
    assert len([lease for lease in taken if lease is not None]) == 1


async def test_time_goes_forward(twin: Twin) -> None:
    before = await twin.leases.now()
    assert before > 1_700_000_000 * SECOND
    assert await twin.leases.now() >= before


# --- the write lane's tables ---


async def test_a_write_set_is_written_whole(twin: Twin) -> None:
    await twin.owned()
    await twin.store.write(write_set(A, B))
    lease = await twin.lease()
    assert (lease.revision, lease.next_offset, lease.items, lease.open_clocks) == (1, 10, 1, {"running/medium": 1})
    assert sorted(await twin.store.items([(0, A), (0, B), (1, A)])) == [item_row(A), item_row(B)]
    assert [key for _, key, _ in await twin.store.histories([(0, B), (0, A)])] == [A, B]
    assert await twin.store.outbox(0, 0, 10) == [outbox_row(1, key=A.encode()), outbox_row(2, key=B.encode())]
    assert await twin.store.standing([0, 1, 9]) == {0: (1, 1), 1: (0, 0)}


async def test_a_large_write_set_is_written_whole(twin: Twin) -> None:
    await twin.owned()
    many = [f"default/ticket/{n}" for n in range(1_000)]
    await twin.store.write(write_set(*many))
    await twin.store.write(write_set(*many, revision=1))
    found = await twin.store.partition_items(0)
    assert len(found) == 1_000
    assert {row.revision for row in found} == {1}
    assert len(await twin.store.histories([(0, many[7])])) == 2
    assert await twin.store.outbox_end(0) == 11_000


async def test_a_row_is_replaced_by_its_next_state(twin: Twin) -> None:
    await twin.owned()
    await twin.store.write(write_set(A))
    changed = item_row(
        A, state=b"other", ledger=b"l", next_due=5, clock_states=8, quarantined=True, seen=b"s", revision=1
    )
    await twin.store.write(WriteSet((move(revision=1),), (changed,)))
    assert await twin.store.items([(0, A)]) == [changed]


@pytest.mark.parametrize("wrong", [{"epoch": 2}, {"epoch": 0}, {"revision": 1}, {"partition": 9}])
@pytest.mark.parametrize("others", [0, 300])  # a small write set and a large one are written in different ways
async def test_a_lease_that_is_not_as_expected_fences_everything(
    twin: Twin, wrong: dict[str, int], others: int
) -> None:
    await twin.owned("me", 0)
    await twin.owned("me", 1)
    set_of_one = write_set(A, *(f"default/ticket/{n}" for n in range(others)), partition=1)
    both = replace(set_of_one, moves=(move(0, **wrong) if "partition" not in wrong else move(9), *set_of_one.moves))
    with pytest.raises(Fenced):
        await twin.store.write(both)
    assert await twin.store.items([(1, A)]) == []
    assert await twin.store.outbox_end(1) == 0
    assert (await twin.lease(1)).revision == 0


async def test_the_same_write_set_is_not_written_twice(twin: Twin) -> None:
    await twin.owned()
    await twin.store.write(write_set(A))
    with pytest.raises(Fenced):
        await twin.store.write(write_set(A))
    assert len(await twin.store.histories([(0, A)])) == 1


async def test_a_partition_taken_meanwhile_fences_the_old_owner_for_good(twin: Twin) -> None:
    await twin.owned()
    await twin.expire()
    await twin.owned("you")
    with pytest.raises(Fenced):
        await twin.store.write(write_set(A))
    await twin.store.write(write_set(A, epoch=2))


async def test_renewing_meanwhile_fences_nobody(twin: Twin) -> None:
    await twin.owned()

    async def renew() -> None:
        for _ in range(30):
            await twin.leases.renew("me", {0: 1})

    renewing = asyncio.create_task(renew())
    for revision in range(20):
        await twin.store.write(write_set(A, revision=revision))
    await renewing
    assert (await twin.lease()).revision == 20


async def test_of_two_writers_of_one_revision_one_wins(twin: Twin) -> None:
    await twin.owned()
    outcomes = await asyncio.gather(*(twin.store.write(write_set(key)) for key in (A, B)), return_exceptions=True)
    assert sorted(type(outcome).__name__ for outcome in outcomes) == ["Fenced", "NoneType"]
    assert len(await twin.store.partition_items(0)) == 1


async def test_what_cannot_be_stored_is_refused_and_nothing_is_written(twin: Twin) -> None:
    await twin.owned()
    with pytest.raises(BadData):
        await twin.store.write(write_set(A, UNSTORABLE))
    with pytest.raises(BadData):
        await twin.store.try_out(write_set(UNSTORABLE))
    assert await twin.store.partition_items(0) == []
    assert (await twin.lease()).revision == 0


async def test_trying_out_leaves_nothing_behind(twin: Twin) -> None:
    await twin.owned()
    await twin.store.try_out(write_set(A))
    assert await twin.store.partition_items(0) == []
    assert await twin.store.outbox_end(0) == 0
    await twin.store.write(write_set(A))


async def test_deadlines_are_found_up_to_the_horizon(twin: Twin) -> None:
    await twin.owned()
    rows = tuple(item_row(f"default/ticket/{due}", next_due=due) for due in (-5, 10, 20, 21))
    await twin.store.write(WriteSet((move(),), (*rows, item_row(A))))
    found = await twin.store.deadlines([0, 1], 20)
    assert sorted(found) == [(-5, 0, "default/ticket/-5"), (10, 0, "default/ticket/10"), (20, 0, "default/ticket/20")]
    assert await twin.store.deadlines([1], 20) == []


async def test_a_history_that_is_rewritten_takes_the_place_of_all_that_was_there(twin: Twin) -> None:
    await twin.owned()
    for revision in range(2):
        await twin.store.write(write_set(A, B, revision=revision))
    rows = write_set(A, revision=2)
    anew = tuple(row._replace(events=b"anew") for row in rows.history)
    rows = replace(rows, history=(), rewritten=anew)
    await twin.store.try_out(rows)
    assert len(await twin.store.histories([(0, A)])) == 2
    await twin.store.write(rows)
    assert [events for _, _, events in await twin.store.histories([(0, A)])] == [b"anew"]
    assert len(await twin.store.histories([(0, B)])) == 2


async def test_an_item_that_is_removed_goes_with_its_history_and_the_others_stay(twin: Twin) -> None:
    await twin.owned()
    await twin.store.write(write_set(A, B))
    await twin.store.write(WriteSet((move(revision=1),), removed=((0, A),)))
    assert [row.key for row in await twin.store.items([(0, A), (0, B)])] == [B]
    assert [key for _, key, _ in await twin.store.histories([(0, A), (0, B)])] == [B]


async def test_items_at_rest_are_found_page_by_page_in_the_order_of_their_keys(twin: Twin) -> None:
    await twin.owned()
    keys = [f"default/ticket/{letter}" for letter in "dbac"]
    resting = tuple(item_row(key) for key in keys)
    await twin.store.write(WriteSet((move(),), (*resting, item_row("default/ticket/aa", next_due=5))))
    assert [row.key[-1] for row in await twin.retention.at_rest(0, "", 3)] == ["a", "b", "c"]
    assert [row.key[-1] for row in await twin.retention.at_rest(0, keys[3], 3)] == ["d"]
    assert await twin.retention.at_rest(1, "", 3) == []


async def test_histories_come_in_the_order_in_which_they_were_written(twin: Twin) -> None:
    await twin.owned()
    for revision in range(3):
        rows = write_set(A, revision=revision)
        history = tuple(row._replace(events=b"%d" % revision) for row in rows.history)
        await twin.store.write(replace(rows, history=history))
    assert [events for _, _, events in await twin.store.histories([(0, A)])] == [b"0", b"1", b"2"]


async def test_the_outbox_is_read_in_order_and_in_parts(twin: Twin) -> None:
    await twin.owned()
    await twin.store.write(WriteSet((move(),), outbox=tuple(outbox_row(position) for position in (3, 1, 7, 5))))
    assert [row.position for row in await twin.store.outbox(0, 0, 2)] == [1, 3]
    assert [row.position for row in await twin.store.outbox(0, 3, 10)] == [5, 7]
    assert await twin.store.outbox(1, 0, 10) == []
    assert (await twin.store.outbox_end(0), await twin.store.outbox_end(1)) == (7, 0)


async def test_what_was_published_is_trimmed_and_its_positions_are_remembered(twin: Twin) -> None:
    await twin.owned()
    await twin.store.write(WriteSet((move(),), outbox=tuple(outbox_row(position) for position in (1, 2, 3))))
    await twin.store.trim_outbox({(0, 1): 2})
    assert [row.position for row in await twin.store.outbox(0, 0, 10)] == [3]
    assert (await twin.lease()).published_through == 2
    await twin.store.write(WriteSet((move(revision=1, published_through=1),)))  # frozen before it was known
    assert (await twin.lease()).published_through == 2


async def test_who_lost_a_partition_trims_nothing_of_it(twin: Twin) -> None:
    await twin.owned()
    await twin.store.write(WriteSet((move(),), outbox=(outbox_row(1),)))
    await twin.expire()
    await twin.owned("you")
    await twin.store.trim_outbox({(0, 1): 1})
    assert await twin.store.outbox_end(0) == 1
    assert (await twin.lease()).published_through == 0


async def test_a_database_that_is_away_is_unavailable(twin: Twin) -> None:
    if isinstance(twin, InPostgres):
        away = Database(twin.database.url.set(port=1).render_as_string(hide_password=False))
        twin.store = TimerStore(away)
    else:
        twin.store.down = True
    with pytest.raises(Unavailable):
        await twin.store.write(write_set(A))
    with pytest.raises(Unavailable):
        await twin.store.standing([0])
    if isinstance(twin, InPostgres):
        await away.close()


# --- sources ---


async def test_a_source_was_heard_when_any_partition_heard_it_last(twin: Twin) -> None:
    await twin.owned(partition=0)
    await twin.owned(partition=1)
    first = (HeardRow(0, "default", "/a", 10), HeardRow(1, "default", "/a", 30), HeardRow(1, "acme", "/a", 5))
    await twin.store.write(WriteSet((move(0), move(1)), heard=first))
    assert sorted(await twin.sources.heard()) == [Heard("acme", "/a", 5), Heard("default", "/a", 30)]
    # A clock of a producer may be behind: what was heard is not unheard.
    await twin.store.write(WriteSet((move(1, revision=1),), heard=(HeardRow(1, "default", "/a", 20),)))
    assert sorted(await twin.sources.heard()) == [Heard("acme", "/a", 5), Heard("default", "/a", 30)]


async def test_what_is_known_of_sources_is_stored_and_overwritten(twin: Twin) -> None:
    await twin.owned()
    assert await twin.sources.sources(0) == []
    assert await twin.sources.hearing(0) is None
    rows = (SourceRow(0, "default", "/a", 1, 2, b"\x01", None), SourceRow(0, "acme", "/a", 1, 3, b"", 3))
    await twin.store.write(WriteSet((move(),), sources=rows, hearings=(HearingRow(0, 10, b"x"),)))
    assert sorted(await twin.sources.sources(0)) == sorted(rows)
    later = SourceRow(0, "default", "/a", 2, 9, b"\x03", 9)
    await twin.store.write(WriteSet((move(revision=1),), sources=(later,), hearings=(HearingRow(0, 20, b"y"),)))
    assert sorted(await twin.sources.sources(0)) == sorted((later, rows[1]))
    assert await twin.sources.hearing(0) == HearingRow(0, 20, b"y")
    assert await twin.sources.sources(1) == []


async def test_nothing_of_sources_is_written_by_who_lost_the_partition(twin: Twin) -> None:
    await twin.owned()
    with pytest.raises(Fenced):
        await twin.store.write(WriteSet((move(epoch=7),), heard=(HeardRow(0, "default", "/a", 10),)))
    assert await twin.sources.heard() == []


async def test_sources_that_were_not_heard_for_long_are_forgotten(twin: Twin) -> None:
    await twin.owned()
    heard = (HeardRow(0, "default", "/a", 10), HeardRow(0, "default", "/b", 20))
    known = (SourceRow(0, "default", "/a", 1, 10, b"", None), SourceRow(0, "default", "/b", 1, 20, b"", None))
    await twin.store.write(WriteSet((move(),), heard=heard, sources=known))
    await twin.sources.forget(20)
    assert await twin.sources.heard() == [Heard("default", "/b", 20)]
    assert await twin.sources.sources(0) == [known[1]]


async def test_a_source_with_the_longest_name_can_be_stored(twin: Twin) -> None:
    await twin.owned()
    longest = HeardRow(0, "\N{CJK UNIFIED IDEOGRAPH-4E00}" * 128, "\N{SLIGHTLY SMILING FACE}" * 512, 10)
    await twin.store.write(WriteSet((move(),), heard=(longest,)))
    assert await twin.sources.heard() == [Heard(*longest[1:])]
