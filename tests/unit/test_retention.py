"""Items that were over long ago are forgotten, without a trace and without coming back."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest
from msgspec.structs import replace

from services.timer import fold
from services.timer.handlers import Timer
from services.timer.holdings import Holding, Holdings
from services.timer.item import EMPTY
from services.timer.ledger import clock_id
from services.timer.retention import REST_S, SHARE, WAIT_S, Retention, is_done_with
from shared.events import SECOND, Event, Recount, Topics
from shared.kafka.connection import Record
from shared.metrics import Metrics
from shared.recounts import encode_event
from tests.fakes import FakeRecord
from tests.fakes_timer import FakeStore, Tables, Time
from tests.histories import DAY, at, history, rulebook
from tests.timer_desk import FakeLane

RULES = rulebook("- {name: plain, applies_to: {}, calendar: always, targets: {resolution: 8h, first_response: 2h}}")
KEEP = 10 * DAY


@pytest.mark.parametrize(
    ("story", "expected"),
    [
        ("09:00 created\n10:00 resolved", True),  # over, and every clock has ended
        ("09:00 created\n10:00 merged", True),  # final
        ("09:00 updated priority=high", True),  # never created
        ("09:00 created", False),  # open
        ("09:00 created\n10:00 agent_replied", False),  # open, though the reply was given
    ],
)
def test_an_item_is_done_with_once_nothing_runs_and_it_is_not_open(story: str, expected: bool) -> None:
    state = fold.refold(history(story), RULES)
    assert is_done_with(state, at("+1 00:00")) is expected
    assert not is_done_with(state, at("10:00")) or state.stage == "unknown"  # its last event is not older than that


def test_a_clock_that_still_runs_keeps_an_item_that_is_over() -> None:
    rules = rulebook(
        "- {name: p, applies_to: {}, calendar: always, require_reply: true, targets: {first_response: 2h}}"
    )
    assert not is_done_with(fold.refold(history("09:00 created\n10:00 resolved"), rules), at("+9 00:00"))


def test_an_item_without_events_is_not_done_with() -> None:
    assert not is_done_with(EMPTY, at("+9 00:00"))


def of_item(number: int, story: str) -> list[Event]:
    """A history of a ticket with that id."""
    return [replace(each, subject=str(number)) for each in history(story)]


class Site:
    """A timer and its retention on one partition; what is put into the lane is committed at once."""

    def __init__(self, *, keep: int = KEEP, keep_items: int = 1_000) -> None:
        self.time = Time(at("+1 00:00"))
        self.tables = Tables(self.time, 1)
        self.store = FakeStore(self.tables)
        self.holdings = Holdings()
        self.tables.leases[0].epoch = 1
        self.holding = self.holdings.partitions[0] = Holding(0, 1, revision=0, next_offset=0)
        self.metrics = Metrics("test", "test")
        self.lane = FakeLane(self.store, self.holdings, stands_still=False)
        self.timer = Timer(
            holdings=self.holdings,
            items=self.store,
            look=self.lane.drained,
            lane=self.lane,
            rulebook=lambda: RULES,
            topics=Topics(),
            now=self.time,
            metrics=self.metrics,
            keep_items=keep_items,
            begins=lambda: self.retention.begins,
        )
        self.retention = Retention(
            keep,
            holdings=self.holdings,
            rows=self.store,
            items=self.store,
            amid=self.amid,
            draft=self.timer.draft,
            clocks_topic=Topics().clocks,
            now=self.time,
        )
        self.offset = 0
        self.meanwhile: list[Event] = []  # what is folded before the next call between turns
        self.takes_s = 0.0  # until it is the call's turn

    async def amid(self, call: Callable[[], Awaitable[None]]) -> None:
        """Be the turns, in which other events may come first."""
        meanwhile, self.meanwhile = self.meanwhile, []
        await self.read(meanwhile)
        self.time.pass_s(self.takes_s)
        await call()
        await self.timer.close()

    async def fold(self, events: list[Event]) -> None:
        """Fold a batch and commit it."""
        await self.read(events)
        await self.timer.close()

    async def read(self, events: list[Event]) -> None:
        """Fold a batch, and leave the write set open."""
        records: list[Record] = []
        for each in events:
            key, value, headers = encode_event(each)
            records.append(FakeRecord(value, headers, "sla.events.v1", 0, self.offset, each.time // 1000, key))
            self.offset += 1
        if records:
            await self.timer.on_batch(self.holding, records)

    async def walk(self) -> None:
        """Look at every page once."""
        while await self.retention.round() < REST_S:
            pass

    @property
    def items(self) -> list[str]:
        """The ids of the items that exist, sorted."""
        return sorted(key.rpartition("/")[2] for _, key in self.tables.items)

    @property
    def sent(self) -> list[tuple[str, bytes, bytes | None]]:
        """(topic, key, value) of the outbox, in order."""
        return [(row.topic, row.key, row.value) for _, row in sorted(self.tables.outbox.items())]


LATER = "+5 09:00 created\n+5 10:00 agent_replied\n+5 11:00 resolved"
OVER = "09:00 created\n10:00 agent_replied\n11:00 resolved"


async def test_what_is_forgotten_goes_with_its_history_and_its_clocks() -> None:
    site = Site()
    await site.fold(of_item(1, OVER) + of_item(2, "09:00 created"))
    names = {clock_id("default/ticket/1", clock).encode() for clock in fold.refold(history(OVER), RULES).clocks}
    site.time.at = at("11:00") + KEEP + SECOND
    await site.walk()
    assert site.items == ["2"]
    assert {row.key for row in site.tables.history} == {"default/ticket/2"}
    assert {key for topic, key, value in site.sent if topic == "sla.clocks.v1" and value is None} == names
    assert len(names) == 2
    assert site.tables.leases[0].items == 1
    assert "default/ticket/1" not in site.holding.items


async def test_nothing_is_forgotten_before_its_time() -> None:
    site = Site()
    await site.fold(history(OVER))
    site.time.at = at("11:00") + KEEP
    await site.walk()
    assert site.items == ["1"]


async def test_without_a_retention_everything_is_kept() -> None:
    site = Site(keep=0)
    await site.fold(history(OVER))
    site.time.at = at("11:00") + 10_000 * DAY
    assert await site.retention.round() > 0
    assert site.items == ["1"]


async def test_repeats_of_what_was_forgotten_bring_nothing_back() -> None:
    site = Site()
    await site.fold(history(OVER))
    site.time.at = at("11:00") + KEEP + SECOND
    await site.walk()
    before = len(site.sent)
    await site.fold(history(OVER))
    assert site.items == []
    reasons = [topic for topic, _, _ in site.sent[before:]]
    assert reasons == ["sla.deadletters.v1"] * 3
    assert b"attributes" not in b"".join(value or b"" for _, _, value in site.sent[before:])


async def test_what_happens_anew_to_an_item_that_was_forgotten_has_no_clocks() -> None:
    site = Site()
    await site.fold(history(OVER))
    site.time.at = at("11:00") + KEEP + SECOND
    await site.walk()
    await site.fold(history("+11 09:00 reopened id=new"))
    assert site.items == ["1"]
    assert site.holding.items["default/ticket/1"].state.clocks == ()


async def test_an_item_to_which_something_happened_meanwhile_is_kept() -> None:
    site = Site()
    await site.fold(history(OVER))
    site.time.at = at("11:00") + KEEP + SECOND
    site.meanwhile = history("+10 09:00 reopened id=new")
    await site.walk()
    assert site.items == ["1"]
    assert site.tables.leases[0].items == 1


async def test_an_item_that_is_to_be_folded_again_is_kept_until_it_was() -> None:
    site = Site()
    await site.fold(history(OVER))
    site.time.at = at("11:00") + KEEP + SECOND
    site.meanwhile = history(OVER)[:1]  # a repeat
    await site.retention.round()
    assert site.items == ["1"]
    await site.walk()
    assert site.items == []


async def test_what_is_being_forgotten_is_not_forgotten_again() -> None:
    site = Site()
    await site.fold(of_item(1, OVER) + of_item(2, "09:00 created"))
    site.time.at = at("11:00") + KEEP + SECOND
    site.lane.stands_still = True
    await site.retention.round()
    assert await site.retention.round() == WAIT_S
    await site.lane.commit()
    assert await site.retention.round() > WAIT_S
    assert site.tables.leases[0].items == 1
    assert len([value for _, _, value in site.sent if value is None]) == 2  # its clocks


async def test_neither_an_old_event_nor_a_recount_brings_back_what_was_forgotten() -> None:
    site = Site()
    await site.fold(history(OVER))
    site.time.at = at("11:00") + KEEP + SECOND
    await site.walk()
    recount = replace(history("+10 11:30 updated")[0], type="ticket.recounted", recount=Recount())
    await site.fold([*history(OVER)[:1], recount])
    assert site.items == []


async def test_an_item_whose_row_is_not_what_is_so_yet_is_kept() -> None:
    site = Site()
    await site.fold(history(OVER))
    site.time.at = at("11:00") + KEEP + SECOND
    site.meanwhile = history("+10 09:00 reopened id=new")
    site.lane.stands_still = True
    await site.retention.round()
    await site.lane.commit()
    assert site.items == ["1"]
    assert site.holding.items["default/ticket/1"].state.stage == "open"


async def test_the_more_there_is_to_forget_and_the_less_busy_the_timer_is_the_shorter_it_rests() -> None:
    site = Site()
    for number in range(4):
        await site.fold(of_item(number, OVER if number else LATER))
    site.time.at = at("11:00") + KEEP + SECOND
    site.takes_s = 0.5
    assert await site.retention.round() == pytest.approx(REST_S / 16 + SHARE * 0.5)


async def test_a_quarantined_item_is_kept() -> None:
    site = Site()
    await site.fold(history(OVER))
    row = site.tables.items[0, "default/ticket/1"]
    site.tables.items[0, "default/ticket/1"] = row._replace(quarantined=True)
    site.time.at = at("11:00") + KEEP + SECOND
    await site.walk()
    assert site.items == ["1"]


async def test_the_walk_goes_page_by_page_over_all_that_is_there_and_begins_again() -> None:
    site = Site()
    many = [each for number in range(1_200) for each in of_item(number, OVER)]
    await site.fold(many)
    site.time.at = at("11:00") + KEEP + SECOND
    await site.walk()
    assert site.items == []
    await site.fold(history("+10 12:00 created\n+10 13:00 resolved"))
    site.time.at += 11 * DAY
    await site.walk()
    assert site.items == []


async def test_tables_do_not_grow_with_the_number_of_items_that_ever_were() -> None:
    site = Site(keep_items=10)
    sizes = []
    for day in range(30):
        story = f"+{day} 09:00 created\n+{day} 10:00 agent_replied\n+{day} 11:00 resolved"
        for number in range(20):
            await site.fold(of_item(100 * day + number, story))
        site.time.at = at(f"+{day} 23:00")
        await site.walk()
        sizes.append((len(site.tables.items), len(site.tables.history)))
    assert set(sizes[15:]) == {sizes[15]}
    assert sizes[15][0] == 10 * 20
