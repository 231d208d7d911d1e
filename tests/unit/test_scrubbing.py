"""Deletion for privacy: no attribute stays behind, and what was counted stays."""

from __future__ import annotations

import random
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from services.timer import backtest, fold
from services.timer.rulebook import Rulebook
from services.timer.scrubbing import bare
from services.timer.write_set import unpack_headers
from shared.events import DELETIONS, SECOND, Event
from tests.histories import at, event
from tests.strategies_events import UNTIL, histories, rulebooks
from tests.timer_desk import ITEM, RULES, Desk

SECRET = "nora-brown"
CREATED = event("09:00 created customer=nora-brown status=open", number=1)
UPDATED = event("09:30 updated contact=nora-brown", number=2)
DELETED = event("12:00 deleted reason=nora-brown", number=3)
LATER = event("13:00 updated customer=nora-brown", number=4)
STORY = [CREATED, UPDATED, DELETED, LATER]


def stored(desk: Desk) -> str:
    """Everything that the database holds of items, as text."""
    rows = [msgspec.msgpack.decode(row.state) for row in desk.tables.items.values()]
    rows += [msgspec.msgpack.decode(row.ledger) for row in desk.tables.items.values()]
    rows += [msgspec.msgpack.decode(row.events) for row in desk.tables.history]
    return str(rows)


def outbox(desk: Desk) -> str:
    """Everything that is to be published, as text."""
    return str([(row.value, unpack_headers(row.headers)) for row in desk.tables.outbox.values()])


class TestTheFold:
    def test_an_item_is_deleted_with_all_its_attributes(self) -> None:
        found = fold.refold(STORY[:3], RULES)
        assert (found.stage, found.attributes, found.changes, found.deleted) == ("final", {}, (), DELETED.order)

    def test_its_clocks_stay(self) -> None:
        merged = replace(DELETED, type="ticket.merged")
        assert fold.refold(STORY[:3], RULES).clocks == fold.refold([CREATED, UPDATED, merged], RULES).clocks

    def test_what_comes_after_leaves_nothing_behind(self) -> None:
        found = fold.refold(STORY, RULES)
        assert replace(found, order=DELETED.order) == fold.refold(STORY[:3], RULES)
        assert found.order == LATER.order

    @pytest.mark.parametrize("event_type", sorted(DELETIONS))
    def test_every_kind_of_item_can_be_deleted(self, event_type: str) -> None:
        kind = event_type.partition(".")[0]
        deletion = replace(DELETED, type=event_type, kind=kind)
        assert fold.refold([deletion], RULES).deleted == deletion.order

    def test_an_item_that_was_never_created_is_deleted_too(self) -> None:
        found = fold.refold([event("10:00 agent_replied customer=nora-brown"), DELETED], RULES)
        assert (found.attributes, found.early, found.stage) == ({}, (), "final")

    @given(histories(), rulebooks(), st.integers(0, 20))
    def test_the_clocks_are_as_if_it_had_been_merged(self, events: list[Event], rules: Any, place: int) -> None:
        end = replace(DELETED, kind=events[0].kind, time=events[place % len(events)].time + 60 * SECOND)
        deleted = backtest.run([*events, replace(end, type=f"{end.kind}.deleted")], rules, UNTIL)
        merged = backtest.run([*events, replace(end, type="ticket.merged")], rules, UNTIL)
        assert deleted == merged


class TestTheDatabase:
    async def write(self, *batches: list[Event], keep_items: int = 1_000) -> Desk:
        """A desk after batches that were committed one after the other."""
        desk = Desk(keep_items=keep_items)
        for batch in batches:
            await desk.write(*batch)
        return desk

    @pytest.mark.parametrize(
        "batches",
        [
            [STORY],  # in one write set
            [[each] for each in STORY],
            [[CREATED, UPDATED], [DELETED, LATER]],
            [[CREATED, LATER], [UPDATED], [DELETED]],  # the deletion comes out of order, and so do others
            [[CREATED, UPDATED, LATER, DELETED]],
        ],
    )
    @pytest.mark.parametrize("keep_items", [0, 1_000])
    async def test_no_attribute_stays_anywhere(self, batches: list[list[Event]], keep_items: int) -> None:
        desk = await self.write(*batches, keep_items=keep_items)
        assert SECRET not in stored(desk)
        assert desk.history() == ["001", "002", "003", "004"]
        assert desk.stored().state == fold.refold(STORY, RULES)
        assert SECRET not in outbox(desk)
        if held := desk.holding.items.get(ITEM):
            assert SECRET not in str(held.recent)

    async def test_while_a_write_set_is_on_its_way_the_deletion_still_finds_everything(self) -> None:
        desk = Desk()
        await desk.fold(CREATED, UPDATED)
        await desk.timer.close()  # in the lane
        await desk.fold(DELETED)
        await desk.timer.close()
        await desk.commit()
        assert SECRET not in stored(desk)
        assert desk.history() == ["001", "002", "003"]

    async def test_what_is_not_newer_than_the_deletion_comes_too_late(self) -> None:
        desk = await self.write([CREATED, DELETED])
        before = desk.stored().state
        await desk.write(UPDATED)
        assert desk.published() == ["dead letter too_late"]
        assert SECRET not in outbox(desk)
        assert b"ce_id', b'002'" in outbox(desk).encode()
        assert desk.stored().state == before
        assert desk.history() == ["001", "003"]

    async def test_also_in_the_batch_of_the_deletion(self) -> None:
        desk = await self.write([CREATED, DELETED, UPDATED])
        assert desk.published() == ["dead letter too_late"]
        assert SECRET not in stored(desk) + outbox(desk)

    async def test_what_is_newer_changes_nothing_in_any_order(self) -> None:
        latest = event("14:00 created customer=nora-brown", number=5)
        desk = await self.write([CREATED, UPDATED, DELETED], [latest], [LATER])
        assert desk.published() == []
        assert desk.history() == ["001", "002", "003", "004", "005"]
        assert SECRET not in stored(desk)
        assert desk.stored().state == fold.refold([*STORY, latest], RULES)

    @pytest.mark.parametrize("keep_items", [0, 1_000])
    async def test_a_repeat_is_still_a_repeat(self, keep_items: int) -> None:
        desk = await self.write(STORY, STORY, [UPDATED], keep_items=keep_items)
        assert desk.published() == []
        assert desk.history() == ["001", "002", "003", "004"]

    async def test_a_repeat_with_an_earlier_time_is_a_repeat(self) -> None:
        desk = await self.write(STORY, [replace(UPDATED, time=at("08:00"))])
        assert desk.published() == []
        assert SECRET not in stored(desk)

    async def test_after_a_restart_it_is_the_same(self) -> None:
        desk = await self.write([CREATED, UPDATED, DELETED])
        desk.take(0, complete=False)
        await desk.write(UPDATED, LATER, event("10:00 updated customer=nora-brown", number=6))
        assert desk.published() == ["dead letter too_late"]
        assert SECRET not in stored(desk) + outbox(desk)
        assert desk.history() == ["001", "002", "003", "004"]

    async def test_a_write_set_that_is_lost_leaves_everything_as_it_was(self) -> None:
        desk = await self.write([CREATED, UPDATED])
        await desk.fold(DELETED)
        await desk.timer.close()
        desk.lane.waiting.clear()  # the process dies before it is committed
        assert SECRET in stored(desk)
        assert desk.stored().state.deleted is None
        desk.take(0, complete=False)
        await desk.write(DELETED)
        assert SECRET not in stored(desk)

    async def test_other_items_keep_theirs(self) -> None:
        other = replace(CREATED, subject="2", id="other")
        desk = await self.write([CREATED, other], [DELETED])
        assert desk.stored("default/ticket/2").state.attributes == CREATED.attributes
        kept = [row for row in desk.tables.history if row.key == "default/ticket/2"]
        assert SECRET in str([msgspec.msgpack.decode(row.events) for row in kept])

    async def test_what_is_published_later_carries_no_attributes(self) -> None:
        desk = await self.write([CREATED, DELETED])  # first_response was due at 11:00, and nobody had noticed yet
        await desk.fire()
        assert desk.published() == [
            "clock.warning first_response",
            "clock.breached first_response",
            "breach.cancelled first_response",
        ]
        assert [told.attributes for told in desk.breaches()] == [{}, {}, {}]

    async def test_what_was_published_is_counted_on_and_not_told_again(self) -> None:
        desk = await self.write([CREATED])
        desk.time.at = at("11:30")
        await desk.fire()
        await desk.write(DELETED)
        desk.time.at = at("+1 00:00")
        await desk.fire()
        assert [told.sequence for told in desk.breaches()] == [1, 2, 3]
        assert desk.published()[-1] == "breach.cancelled first_response"

    async def test_an_item_that_was_set_aside_is_scrubbed_all_the_same(self) -> None:
        desk = await self.write([CREATED, UPDATED])
        desk.holding.items[ITEM].quarantined = True
        await desk.write(DELETED)
        await desk.write(LATER)
        assert desk.published() == ["dead letter quarantined", "dead letter quarantined"]
        assert SECRET not in stored(desk) + outbox(desk)
        assert desk.history() == ["001", "002"]


@settings(max_examples=60, deadline=None)
@given(histories(), rulebooks(), st.integers(0, 13), st.randoms(use_true_random=False), st.data())
async def test_in_any_order_nothing_personal_stays_and_the_clocks_are_of_what_was_accepted(
    events: list[Event], rules: Rulebook, place: int, shuffled: random.Random, data: st.DataObject
) -> None:
    some = [replace(each, attributes={**each.attributes, "name": SECRET}) for each in events]
    kind, end = events[0].kind, events[place % len(events)].time
    deletion = replace(DELETED, id="gone", type=f"{kind}.deleted", kind=kind, time=end)
    arriving = [*some, deletion, *some[::2]]
    shuffled.shuffle(arriving)
    desk = Desk(rules)
    while arriving:
        size = data.draw(st.integers(1, 5))
        await desk.write(*arriving[:size])
        del arriving[:size]
    accepted = set(desk.history())
    item = deletion.item
    assert SECRET not in stored(desk) + outbox(desk)
    assert desk.stored(item).state == fold.refold([each for each in [*some, deletion] if each.id in accepted], rules)
    refused = [each for each in some if each.id not in accepted]
    assert all(each.order < deletion.order for each in refused)
    assert {row[0] for row in map(str.split, desk.published()) if row[0] == "dead"} == ({"dead"} if refused else set())


def test_a_bare_event_is_the_same_but_for_its_attributes() -> None:
    assert replace(bare(UPDATED), attributes=UPDATED.attributes) == UPDATED
    assert bare(UPDATED).attributes == {}


def test_backtest_publishes_as_the_timer_does_what_arrives_after_the_deletion() -> None:
    arrivals = [
        backtest.Arrival(at("09:00"), CREATED),
        backtest.Arrival(at("12:00"), DELETED),
        backtest.Arrival(at("12:30"), event("10:00 agent_replied", number=7)),
        backtest.Arrival(at("13:00"), LATER),
    ]
    told = backtest.published_of(arrivals, RULES, at("+1 00:00"))
    assert [output.type for output in told] == [
        "sla.clock.warning.v1",
        "sla.clock.breached.v1",
        "sla.breach.cancelled.v1",
    ]
