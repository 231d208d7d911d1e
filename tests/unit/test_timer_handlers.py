"""What the timer does in a turn: events to items, deadlines to breaches, and what is written of both."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.timer import fold, ledger
from services.timer.calendar_data import INSTALLED
from services.timer.histories import held_of
from services.timer.item import ItemState
from services.timer.rulebook import Rulebook
from shared.dlq_limit import DlqLimit
from shared.errors import TooManyDeadLetters
from shared.events import Event, Recount
from tests.fakes import FakeRecord
from tests.histories import at, event
from tests.strategies_events import RULEBOOKS, histories
from tests.timer_desk import ITEM, RULES, Desk, created


async def test_an_event_becomes_an_item_with_its_history_and_its_next_deadline() -> None:
    desk = Desk()
    await desk.write(created())
    stored = desk.stored()
    assert stored.state == fold.refold([created()], RULES)
    assert stored.next_due == at("10:00")  # the warning at half of two hours
    assert desk.history() == ["001"]
    assert desk.holdings.deadlines["ticket"].earliest() == at("10:00")
    lease = desk.tables.leases[0]
    assert (lease.next_offset, lease.revision, lease.items) == (1, 1, 1)
    assert desk.published() == []


async def test_a_batch_of_nothing_new_still_moves_the_offset() -> None:
    desk = Desk()
    await desk.write(created())
    await desk.write(created())
    assert desk.tables.leases[0].next_offset == 2


@pytest.mark.parametrize("when", ["in the same batch", "in the same write set", "in the lane", "committed", "evicted"])
async def test_a_repeat_changes_nothing(when: str) -> None:
    desk = Desk(keep_items=0 if when == "evicted" else 1_000)
    first = created()
    if when == "in the same batch":
        await desk.fold(first, first)
    else:
        await desk.fold(first)
        if when in ("in the lane", "committed", "evicted"):
            await desk.timer.close()
        if when in ("committed", "evicted"):
            await desk.commit()
            await desk.timer.close()  # evicts
        await desk.fold(first)
    await desk.timer.close()
    await desk.commit()
    assert desk.history() == ["001"]
    assert desk.stored().state == fold.refold([first], RULES)
    assert desk.tables.leases[0].items == 1


@pytest.mark.parametrize("when", ["in the same batch", "in the same write set", "in the lane", "committed", "evicted"])
async def test_an_event_that_comes_late_is_folded_in_its_place(when: str) -> None:
    desk = Desk(keep_items=0 if when == "evicted" else 1_000)
    early = [created(), event("12:00 resolved", number=3)]
    late = event("09:30 updated status=pending", number=2)
    if when == "in the same batch":
        await desk.fold(*early, late)
    else:
        await desk.fold(*early)
        if when in ("in the lane", "committed", "evicted"):
            await desk.timer.close()
        if when in ("committed", "evicted"):
            await desk.commit()
            await desk.timer.close()  # evicts
        await desk.fold(late)
    await desk.timer.close()
    await desk.commit()
    assert desk.stored().state == fold.refold([*early, late], RULES)
    assert desk.history() == ["001", "002", "003"]


async def test_a_history_that_is_committed_while_it_is_asked_for_is_not_missed() -> None:
    desk = Desk()
    await desk.fold(created(), event("12:00 resolved", number=3))
    await desk.timer.close()
    read = desk.store.histories

    async def histories(keys: Sequence[tuple[int, str]]) -> list[tuple[int, str, bytes]]:
        found = await read(keys)
        await desk.commit()
        return found

    desk.store.histories = histories  # type: ignore[method-assign]  # a database that is busy just then
    late = event("09:30 updated status=pending", number=2)
    await desk.write(late)
    assert desk.stored().state == fold.refold([created(), event("12:00 resolved", number=3), late], RULES)


async def test_of_two_events_with_one_identity_the_one_that_comes_first_counts() -> None:
    desk = Desk()
    first, second = event("09:00 created", number=1), event("08:00 created", number=1)
    await desk.write(first)
    await desk.write(second)
    assert desk.stored().state == fold.refold([second], RULES)


async def test_what_cannot_be_decoded_becomes_a_dead_letter_and_the_rest_goes_on() -> None:
    desk = Desk()
    broken = FakeRecord(b"\xff", [("content-type", b"application/json")], "sla.events.v1", 0, 0, key=b"some-key")
    desk.offset = 1
    await desk.timer.on_batch(desk.holding, [broken, *desk.records([created()])])
    await desk.timer.close()
    await desk.commit()
    [letter] = [row for row in desk.tables.outbox.values() if row.topic == "sla.deadletters.v1"]
    assert (letter.key, letter.value) == (b"some-key", b"\xff")
    assert desk.tables.leases[0].next_offset == 2
    assert desk.history() == ["001"]


class BrokenRules(Rulebook):
    """Rules that fail, as a bug in the fold would."""

    def at(self, _: int) -> Any:
        """Fail."""
        raise RuntimeError("a bug")


async def test_an_item_that_cannot_be_folded_is_quarantined_and_the_others_go_on() -> None:
    desk = Desk()
    await desk.write(created())
    desk.rules = BrokenRules(RULES.versions)
    await desk.write(event("09:10 agent_replied", number=2))
    desk.rules = RULES
    await desk.write(event("09:20 agent_replied", number=3), msgspec.structs.replace(created(4), subject="2"))
    assert desk.stored().quarantined
    assert desk.stored().state == fold.refold([created()], RULES)
    assert desk.history() == ["001", "004"]
    assert desk.published() == ["dead letter quarantined"] * 2
    assert not desk.stored("default/ticket/2").quarantined


def released(number: int, time: str = "10:00") -> Event:
    """What `./plazo release` sends of an item."""
    found = event(f"{time} recounted", number=number)
    return msgspec.structs.replace(found, type="ticket.recounted", recount=Recount(None, "mended", "somebody"))


async def quarantined() -> tuple[Desk, Event]:
    """A desk whose item was set aside by its second event."""
    desk, failed = Desk(), event("09:10 agent_replied", number=2)
    await desk.write(created())
    desk.rules = BrokenRules(RULES.versions)
    await desk.write(failed)
    return desk, failed


@pytest.mark.parametrize("apart", [False, True])
async def test_an_item_that_is_released_is_folded_with_what_was_buried_of_it(*, apart: bool) -> None:
    desk, failed = await quarantined()
    desk.rules = RULES
    again, later = released(5), event("10:10 resolved", number=6)
    for batch in [[again], [failed], [later]] if apart else [[again, failed, later]]:
        await desk.fold(*batch)
    await desk.timer.close()
    await desk.commit()
    assert not desk.stored().quarantined
    assert desk.stored().state == fold.refold([created(), failed, again, later], RULES)
    await desk.write(failed)  # sent once more
    assert desk.stored().state == fold.refold([created(), failed, again, later], RULES)
    assert desk.published().count("dead letter quarantined") == 1


async def test_an_item_that_is_released_too_early_is_set_aside_again() -> None:
    desk, failed = await quarantined()
    await desk.write(released(5), failed)
    assert desk.stored().quarantined
    assert desk.published() == ["dead letter quarantined"] * 3


async def test_where_nothing_can_be_folded_the_timer_stops_and_writes_nothing() -> None:
    desk = Desk(BrokenRules(RULES.versions), limit=DlqLimit(in_a_row=3))
    with pytest.raises(TooManyDeadLetters, match="3 records"):
        await desk.write(*(msgspec.structs.replace(created(number), subject=str(number)) for number in range(3)))
    assert (desk.lane.waiting, desk.tables.items) == ([], {})
    assert desk.timer.refusals.stopped is not None


async def test_a_breach_of_a_quarantined_item_says_that_evidence_may_be_missing() -> None:
    desk = Desk()
    await desk.write(created())
    desk.rules = BrokenRules(RULES.versions)
    await desk.write(event("09:10 agent_replied", number=2))
    desk.rules = RULES
    await desk.fire()
    assert {breach.late_evidence_possible for breach in desk.breaches()} == {True}


@pytest.mark.parametrize(
    ("loss", "doubtful"),
    [
        ("08:30", False),  # the clocks began behind it
        ("09:30", True),  # they were open when records were lost
    ],
)
async def test_a_breach_of_a_clock_that_may_have_ended_in_lost_records_says_so(loss: str, doubtful: bool) -> None:
    desk = Desk()
    desk.holdings.partitions[0].loss_at = at(loss)
    await desk.write(created())
    await desk.fire()
    assert {breach.late_evidence_possible for breach in desk.breaches()} == {doubtful}


async def test_a_deadline_publishes_what_is_due_and_a_second_time_nothing() -> None:
    desk = Desk()
    await desk.write(created())
    desk.time.at = at("11:30")
    await desk.fire()
    told = desk.published()
    assert told == ["clock.warning first_response", "clock.breached first_response"]
    assert desk.stored().next_due == at("17:00")
    assert desk.holdings.deadlines["ticket"].earliest() == at("17:00")
    await desk.fire((at("10:00"), 0, ITEM))
    assert desk.published() == told


async def test_a_deadline_that_no_longer_holds_is_dropped() -> None:
    desk = Desk()
    await desk.write(created(), event("09:05 agent_replied", number=2))
    desk.time.at = at("11:30")
    revision = desk.tables.leases[0].revision
    await desk.fire((at("10:00"), 0, ITEM), (at("10:00"), 0, "default/ticket/unknown"), (at("10:00"), 7, ITEM))
    assert desk.published() == []
    assert desk.tables.leases[0].revision == revision  # nothing was written


async def test_a_deadline_whose_evidence_does_not_reach_it_waits() -> None:
    desk = Desk()
    await desk.write(created())
    desk.time.at = at("10:00")  # the very instant: an answer at it would be in time
    await desk.fire((at("10:00"), 0, ITEM))
    assert desk.published() == []


async def test_an_item_that_left_the_memory_fires_all_the_same() -> None:
    desk = Desk(keep_items=0)
    await desk.write(created())
    await desk.timer.close()
    assert desk.holding.items == {}
    desk.time.at = at("11:30")
    await desk.fire()
    assert desk.published() == ["clock.warning first_response", "clock.breached first_response"]


async def test_deadlines_beyond_the_horizon_are_not_kept_in_memory() -> None:
    desk = Desk()
    desk.holdings.deadlines["ticket"].horizon = at("09:30")
    await desk.write(created())
    assert len(desk.holdings.deadlines["ticket"]) == 0
    assert desk.stored().next_due == at("10:00")


async def test_late_evidence_takes_a_breach_back_in_the_same_write_set() -> None:
    desk = Desk()
    await desk.write(created())
    desk.time.at = at("11:30")
    await desk.fire()
    await desk.write(event("10:30 agent_replied", number=2))
    assert desk.published()[2:] == ["breach.retracted first_response"]
    assert desk.breaches()[2].breach_id == desk.breaches()[1].breach_id
    assert [breach.sequence for breach in desk.breaches()] == [1, 2, 3]
    assert {breach.calendar_data for breach in desk.breaches()} == {INSTALLED}


async def test_evidence_that_may_be_incomplete_is_marked() -> None:
    desk = Desk()
    await desk.write(created())
    desk.time.at = at("11:30")
    await desk.fire(late_possible=True)
    assert {breach.late_evidence_possible for breach in desk.breaches()} == {True}


async def test_items_in_write_sets_that_are_not_committed_stay_in_memory() -> None:
    desk = Desk(keep_items=0)
    await desk.fold(created())
    await desk.timer.close()
    assert list(desk.holding.items) == [ITEM]
    await desk.commit()
    await desk.timer.close()
    assert desk.holding.items == {}
    assert not desk.holding.complete


async def test_the_items_that_were_used_last_stay_in_memory() -> None:
    desk = Desk(keep_items=2 * 2)  # two partitions share it
    for number in (1, 2, 3, 4):
        await desk.write(msgspec.structs.replace(created(number), subject=str(number)))
        await desk.write(msgspec.structs.replace(event("10:00 updated", number=10 + number), subject="1"))
        await desk.timer.close()
    assert desk.holding.items.keys() == {"default/ticket/4", "default/ticket/1"}


async def test_where_every_item_is_in_memory_a_new_one_is_not_looked_up() -> None:
    desk = Desk()
    desk.store.down = True
    await desk.fold(created())
    assert ITEM in desk.holding.items


async def test_where_some_items_left_the_memory_an_unknown_one_is_looked_up() -> None:
    desk = Desk(keep_items=0)
    await desk.write(created())
    await desk.timer.close()
    await desk.write(event("09:05 agent_replied", number=2), msgspec.structs.replace(created(3), subject="2"))
    assert desk.stored().state == fold.refold([created(), event("09:05 agent_replied", number=2)], RULES)
    assert desk.tables.leases[0].items == 2


async def test_nothing_of_a_lost_partition_is_written_though_it_is_ours_again() -> None:
    desk = Desk()
    await desk.fold(created())
    desk.holdings.drop(0)
    desk.take(0)
    await desk.fold(msgspec.structs.replace(created(2), subject="2"))
    await desk.timer.close()
    await desk.commit()
    assert [key for _, key in desk.tables.items] == ["default/ticket/2"]
    assert desk.history() == ["002"]
    assert desk.tables.leases[0].items == 1


async def test_the_states_that_are_counted_are_those_that_were_told() -> None:
    desk = Desk()
    await desk.write(created())
    assert desk.tables.items[0, ITEM].clock_states == 1
    desk.time.at = at("11:30")
    await desk.fire()
    assert +desk.holding.open_clocks == {"breached/medium": 1, "running/medium": 1}
    assert desk.tables.items[0, ITEM].clock_states == 1 | 8


@st.composite
def arrivals(draw: st.DrawFn) -> list[list[Event]]:
    """Batches in which the events of three items come in any order, some of them again."""
    events = [
        msgspec.structs.replace(each, subject=str(number))
        for number in range(3)
        for each in draw(histories(max_size=6))
    ]
    again = draw(st.lists(st.sampled_from(events), max_size=5))
    order = draw(st.permutations(events + again))
    cuts = sorted(draw(st.lists(st.integers(0, len(order)), max_size=6)))
    return [order[a:b] for a, b in zip([0, *cuts], [*cuts, len(order)], strict=True) if a < b]


@settings(deadline=None)
@given(arrivals=arrivals(), rules=st.sampled_from(RULEBOOKS), plan=st.lists(st.integers(0, 4), min_size=8, max_size=8))
async def test_however_events_arrive_and_whatever_is_evicted_items_and_counts_are_right(
    arrivals: list[list[Event]], rules: Rulebook, plan: list[int]
) -> None:
    desk = Desk(rules, keep_items=2, complete=True)
    for batch, then in zip(arrivals, plan, strict=False):
        await desk.fold(*batch)
        if then:
            await desk.timer.close()
        if then >= 2:
            await desk.commit()
        if then == 3:
            await desk.fire()
        if then == 4:
            await desk.timer.close()
    await desk.timer.close()
    await desk.commit()
    events = [each for batch in arrivals for each in batch]
    assert_consistent(desk, events, rules)


def assert_consistent(desk: Desk, events: list[Event], rules: Rulebook) -> None:
    """Every item is what its distinct events make of it, and every count is what a recount gives."""
    by_item: dict[str, list[Event]] = {}
    for each in events:
        by_item.setdefault(each.item, []).append(each)
    stored = {key: held_of(row) for (_, key), row in desk.tables.items.items()}
    expected: dict[str, ItemState] = {key: fold.refold(some, rules) for key, some in by_item.items()}
    assert {key: held.state for key, held in stored.items()} == expected
    for key, held in stored.items():
        assert held.next_due == ledger.next_due(held.state, held.ledger), key
        assert not ledger.contradicted(held.state, held.ledger)
    recount = Counter(name for held in stored.values() for name in held.count_clocks())
    assert +desk.holding.open_clocks == recount
    assert desk.tables.leases[0].items == len(stored)
    assert desk.tables.leases[0].next_offset == len(events)
    assert desk.history() == sorted(
        each.id for some in by_item.values() for each in {(e.source, e.id): e for e in some}.values()
    )
    for held in desk.holding.items.values():
        assert held.state == stored[held.key].state
        assert held.pins == 0


# --- sources ---


async def test_what_is_new_of_a_source_is_heard_to_the_second_and_what_is_repeated_is_not() -> None:
    desk = Desk()
    await desk.write(event("09:00 created"), event("10:00 updated source=/pbx id=2"))
    assert desk.tables.heard == {(0, "default", name): 1_767_600_000_000_000 for name in ("/desk", "/pbx")}
    desk.arrived_ms += 60_000
    await desk.write(event("10:00 updated source=/pbx id=2"))  # again
    assert desk.tables.heard[0, "default", "/pbx"] == 1_767_600_000_000_000
    await desk.write(event("09:30 updated source=/pbx id=3"))  # out of order is new all the same
    assert desk.tables.heard[0, "default", "/pbx"] == 1_767_600_060_000_000
    assert desk.tables.heard[0, "default", "/desk"] == 1_767_600_000_000_000
