"""The feed of clock states: latest state only, nothing forgotten over a failure or a change of owner."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import msgspec
import pytest

from services.timer import fold, ledger
from services.timer.clock_record import clock_records
from services.timer.feed import AT_ONCE, SENT, SHARE, SLICE, UNDER_LOAD, Feed
from services.timer.policy_file import load
from services.timer.rulebook import Rulebook
from services.timer.write_set import ItemRow, Move, WriteSet
from shared.errors import Unavailable
from shared.events import SECOND, ClockState, Event
from shared.kafka.connection import Outgoing

POLICIES = """
calendars: {always: {time_zone: UTC, hours: {mon-sun: ["00:00-24:00"]}}}
policies: [{name: p, applies_to: {}, calendar: always, targets: {first_response: 1h, resolution: 8h}}]
"""
RULES = Rulebook(((0, load({"p": POLICIES})),))


def row(key: str, *, revision: int = 0, retired: str = "") -> ItemRow:
    """An item with two clocks that run."""
    tenant, kind, subject = key.split("/")
    event = Event(1000 * SECOND, f"e-{subject}", "/s", "ticket.created", tenant, kind, subject)  # type: ignore[arg-type]  # a test's key
    state = msgspec.msgpack.encode(fold.apply(fold.EMPTY, event, RULES))
    return ItemRow(0, key, state, msgspec.msgpack.encode(ledger.EMPTY), None, 1, False, b"", revision, retired)


def write_set(*rows: ItemRow, revision: int = 0) -> WriteSet:
    return WriteSet((Move(0, 1, revision, 1, 0, 1, "{}"),), rows)


@dataclass
class Rows:
    """The committed rows."""

    rows: dict[str, ItemRow] = field(default_factory=dict)
    stored: list[Mapping[int, tuple[int, int]]] = field(default_factory=list)
    asked: list[Sequence[tuple[int, str]]] = field(default_factory=list)
    epoch: int = 1

    async def items(self, keys: Sequence[tuple[int, str]]) -> list[ItemRow]:
        self.asked.append(keys)
        return [self.rows[key]._replace(partition=partition) for partition, key in keys]

    async def changed(self, partition: int, revision: int) -> list[str]:
        return [key for key, found in self.rows.items() if found.revision >= revision]

    async def standing(self, partitions: Iterable[int]) -> Mapping[int, tuple[int, int]]:
        return dict.fromkeys(partitions, (self.epoch, 0))

    async def fed(self, revisions: Mapping[int, tuple[int, int]]) -> None:
        self.stored.append(revisions)


@dataclass
class Sent:
    """What was sent; fails while *down*. *meanwhile* happens while the next is on its way."""

    records: list[Outgoing] = field(default_factory=list)
    down: bool = False
    meanwhile: Callable[[], None] | None = None
    sizes: list[int] = field(default_factory=list)  # of each send

    async def send(self, topic: str, records: Iterable[Outgoing]) -> None:
        if self.down:
            raise Unavailable("no broker")
        assert topic == "clocks"
        happens, self.meanwhile = self.meanwhile, None
        if happens is not None:
            happens()
        before = len(self.records)
        self.records += records
        self.sizes.append(len(self.records) - before)


@pytest.fixture
def rows() -> Rows:
    return Rows()


@pytest.fixture
def sent() -> Sent:
    return Sent()


def fed(rows: Rows, sent: Sent, *, idle: bool = True, told_below: int = 0, revision: int = 0) -> Feed:
    feed = Feed(rows, sent, "clocks", idle=lambda: idle)
    feed.begin(0, epoch=1, told_below=told_below, revision=revision)
    return feed


def commit(feed: Feed, rows: Rows, *changed: ItemRow, revision: int = 0) -> None:
    rows.rows.update({each.key: each for each in changed})
    feed.committed(write_set(*changed, revision=revision))


async def test_every_clock_of_a_changed_item_is_told_under_its_id(rows: Rows, sent: Sent) -> None:
    feed = fed(rows, sent)
    commit(feed, rows, row("default/ticket/1", revision=0))
    await feed.round()
    states = [msgspec.json.decode(record.value or b"", type=ClockState) for record in sent.records]
    assert [(state.metric, state.state, state.due_at) for state in states] == [
        ("first_response", "running", "1970-01-01T01:16:40Z"),
        ("resolution", "running", "1970-01-01T08:16:40Z"),
    ]
    assert [record.key.decode() for record in sent.records] == [state.clock_id for state in states]


async def test_others_have_their_turn_while_records_are_made_and_they_are_sent_together(rows: Rows, sent: Sent) -> None:
    feed = fed(rows, sent)
    commit(feed, rows, *(row(f"default/ticket/{number}") for number in range(3 * SLICE)))
    turns = []

    async def other() -> None:
        while not sent.sizes:
            turns.append("mine")
            await asyncio.sleep(0)

    await asyncio.gather(feed.round(), other())
    assert len(turns) >= 3
    assert sent.sizes == [2 * 3 * SLICE]  # two clocks each


async def test_a_request_does_not_grow_with_what_is_to_be_told(rows: Rows, sent: Sent) -> None:
    feed = fed(rows, sent)
    commit(feed, rows, *(row(f"default/ticket/{number}") for number in range(2 * SENT + 1)))
    await feed.round()
    assert sent.sizes == [2 * SENT, 2 * SENT, 2]


async def test_an_item_that_changed_twice_is_told_once(rows: Rows, sent: Sent) -> None:
    feed = fed(rows, sent)
    commit(feed, rows, row("default/ticket/1"), revision=0)
    commit(feed, rows, row("default/ticket/1", revision=1), revision=1)
    await feed.round()
    assert len(sent.records) == 2
    assert rows.stored == [{0: (1, 2)}]


async def test_a_clock_that_late_evidence_removed_gets_a_tombstone(rows: Rows, sent: Sent) -> None:
    feed = fed(rows, sent)
    commit(feed, rows, row("default/ticket/1", retired="gone-1 gone-2"))
    await feed.round()
    assert [record.key for record in sent.records if record.value is None] == [b"gone-1", b"gone-2"]


async def test_nothing_is_forgotten_while_kafka_is_away(rows: Rows, sent: Sent) -> None:
    feed = fed(rows, sent)
    commit(feed, rows, row("default/ticket/1"))
    sent.down = True
    assert await feed.round() > 0
    assert rows.stored == []
    sent.down = False
    await feed.round()
    assert len(sent.records) == 2


async def test_a_new_owner_tells_what_its_predecessor_had_not(rows: Rows, sent: Sent) -> None:
    rows.rows = {each.key: each for each in (row("default/ticket/1", revision=4), row("default/ticket/2", revision=7))}
    feed = fed(rows, sent, told_below=6, revision=8)
    await feed.round()
    assert rows.asked == [[(0, "default/ticket/2")]]
    assert rows.stored == [{0: (1, 8)}]


async def test_a_partition_that_was_told_wholly_is_not_looked_through(rows: Rows, sent: Sent) -> None:
    rows.rows = {"default/ticket/1": row("default/ticket/1", revision=4)}
    await fed(rows, sent, told_below=8, revision=8).round()
    assert rows.asked == []


async def test_a_partition_that_was_lost_is_told_no_more(rows: Rows, sent: Sent) -> None:
    feed = fed(rows, sent)
    commit(feed, rows, row("default/ticket/1"))
    feed.drop(0)
    await feed.round()
    assert sent.records == []


@pytest.mark.parametrize(("idle", "most"), [(True, AT_ONCE), (False, UNDER_LOAD)])
async def test_a_busy_lane_leaves_the_feed_little(rows: Rows, sent: Sent, idle: bool, most: int) -> None:
    feed = fed(rows, sent, idle=idle)
    commit(feed, rows, *(row(f"default/ticket/{number}") for number in range(2 * AT_ONCE)))
    await feed.round()
    assert len(rows.asked[0]) == most
    assert rows.stored == []


async def test_the_more_is_waiting_the_more_is_told_under_load(rows: Rows, sent: Sent) -> None:
    feed = fed(rows, sent, idle=False)
    commit(feed, rows, *(row(f"default/ticket/{number}") for number in range(SHARE * (AT_ONCE + 1))))
    await feed.round()
    assert [len(keys) for keys in rows.asked] == [AT_ONCE, 1]


async def test_under_load_the_partitions_take_turns(rows: Rows, sent: Sent) -> None:
    feed = fed(rows, sent, idle=False)
    feed.begin(1, epoch=1, told_below=0, revision=0)
    of_both = [row(f"default/ticket/{number}") for number in range(UNDER_LOAD)]
    commit(feed, rows, *of_both)
    feed.committed(WriteSet((Move(1, 1, 0, 1, 0, 1, "{}"),), tuple(each._replace(partition=1) for each in of_both)))
    await feed.round()
    commit(feed, rows, *of_both)
    await feed.round()
    assert [{partition for partition, _ in keys} for keys in rows.asked] == [{0}, {1}]


async def test_what_is_forgotten_while_it_is_told_ends_with_its_tombstones(rows: Rows, sent: Sent) -> None:
    feed = fed(rows, sent)
    commit(feed, rows, row("default/ticket/1"), row("default/ticket/2"))
    sent.meanwhile = lambda: feed.committed(WriteSet((), removed=((0, "default/ticket/1"),)))
    await feed.round()
    of_first, others = [each.key for each in sent.records[:2]], sent.records[2:]
    assert [each.key for each in others if each.value is None] == of_first
    assert [each.value is None for each in others] == [False, False, True, True]


async def test_what_was_forgotten_before_it_was_told_is_not_told(rows: Rows, sent: Sent) -> None:
    feed = fed(rows, sent)
    commit(feed, rows, row("default/ticket/1"))
    feed.committed(WriteSet((), removed=((0, "default/ticket/1"),)))
    await feed.round()
    assert sent.records == []


def taken_over(rows: Rows, sent: Sent, *changed: ItemRow) -> Callable[[], None]:
    """Another process takes the partition, changes items and tells of them."""

    def happens() -> None:
        rows.epoch += 1
        rows.rows.update({each.key: each for each in changed})
        sent.records += [record for each in changed for record in clock_records(each)]

    return happens


async def test_what_a_process_that_stood_still_tells_late_is_followed_by_what_is_so(rows: Rows, sent: Sent) -> None:
    feed = fed(rows, sent)
    commit(feed, rows, row("default/ticket/a"), row("default/ticket/b"))
    sent.meanwhile = taken_over(rows, sent, row("default/ticket/a", revision=7))
    await feed.round()
    last = {record.key: revision_of(record) for record in sent.records}  # as compaction leaves them
    assert sorted(last.values()) == [0, 0, 7, 7]


async def test_what_is_told_late_stays_so_for_no_longer_than_kafka_is_away(rows: Rows, sent: Sent) -> None:
    feed = fed(rows, sent)
    commit(feed, rows, row("default/ticket/a"))
    takes_over = taken_over(rows, sent, row("default/ticket/a", revision=7))

    def happens() -> None:
        takes_over()
        sent.down = True

    sent.meanwhile = happens
    await feed.round()
    feed.drop(0)
    assert {revision_of(record) for record in sent.records[-2:]} == {0}
    sent.down = False
    await feed.round()
    assert {revision_of(record) for record in sent.records[-2:]} == {7}


async def test_where_nobody_took_over_everything_is_told_once(rows: Rows, sent: Sent) -> None:
    feed = fed(rows, sent)
    commit(feed, rows, row("default/ticket/a"))
    await feed.round()
    await feed.round()
    assert len(sent.records) == 2


def revision_of(record: Outgoing) -> int:
    """The revision in the state of a clock."""
    return msgspec.json.decode(record.value or b"", type=ClockState).revision
