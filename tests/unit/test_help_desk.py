"""The made-up support desk: its stories could have happened, and the same seed tells the same ones."""

from __future__ import annotations

from collections import defaultdict
from itertools import pairwise
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from deploy.local.help_desk import Desk
from shared.cloudevents import decode_record, encode_record
from shared.events import CREATIONS, EVENT_TYPES, SECOND, Event, parse_instant

OPENED = parse_instant("2026-11-22T10:00:00Z")
seeds = st.integers(0, 2**32)

# What may follow what, without the kind.
FOLLOWS = {
    "created": {"updated"},
    "updated": {"agent_replied", "customer_replied"},
    "agent_replied": {"updated", "customer_replied", "resolved", "ended"},
    "customer_replied": {"agent_replied", "reopened"},
    "resolved": {"customer_replied", "closed"},
    "reopened": {"agent_replied"},
    "closed": set(),
    "started": {"accepted", "missed"},
    "accepted": {"agent_replied"},
    "missed": set(),
    "queued": {"answered", "abandoned"},
    "answered": {"held", "ended"},
    "held": {"resumed"},
    "resumed": {"ended"},
    "abandoned": set(),
    "ended": set(),
}


def told(seed: int, seconds: int = 200) -> list[Event]:
    return Desk(Random(seed), OPENED).until(OPENED + seconds * SECOND)


def stories(events: list[Event]) -> dict[str, list[Event]]:
    found: dict[str, list[Event]] = defaultdict(list)
    for event in events:
        found[event.item].append(event)
    return found


@given(seeds)
def test_every_story_begins_with_the_items_creation_and_never_has_another(seed: int) -> None:
    for story in stories(told(seed)).values():
        assert [event.type in CREATIONS for event in story] == [True] + [False] * (len(story) - 1)


@given(seeds)
def test_the_times_of_a_story_increase(seed: int) -> None:
    for story in stories(told(seed)).values():
        assert all(one.time < other.time for one, other in pairwise(story))


@given(seeds)
def test_nothing_happens_that_could_not_follow_what_happened_before(seed: int) -> None:
    for story in stories(told(seed)).values():
        names = [event.type.partition(".")[2] for event in story]
        assert all(later in FOLLOWS[earlier] for earlier, later in pairwise(names))


@given(seeds)
def test_what_happened_is_told_in_order_and_never_before_it_happens(seed: int) -> None:
    now = OPENED + 100 * SECOND
    times = [event.time for event in Desk(Random(seed), OPENED).until(now)]
    assert times == sorted(times)
    assert all(OPENED < time <= now for time in times)


@given(seeds, st.lists(st.integers(0, 120 * SECOND), max_size=20))
def test_the_story_does_not_depend_on_when_one_asks(seed: int, asked: list[int]) -> None:
    desk = Desk(Random(seed), OPENED)
    parts = [event for after in sorted(asked) for event in desk.until(OPENED + after)]
    assert parts + desk.until(OPENED + 120 * SECOND) == told(seed, 120)


@given(seeds)
def test_every_event_can_be_sent_and_read(seed: int) -> None:
    for event in told(seed, 60):
        _, value, headers = encode_record(event)
        assert event.type in EVENT_TYPES
        assert decode_record(headers, value) == event


@given(seeds)
def test_the_next_instant_is_when_something_happens(seed: int) -> None:
    desk = Desk(Random(seed), OPENED)
    before = desk.next_at()
    assert desk.until(before - 1) == []
    assert all(event.time >= before for event in desk.until(before + SECOND))


def test_no_event_and_no_item_is_told_twice_also_not_by_a_desk_that_opens_later() -> None:
    earlier, later = told(1, 1200), Desk(Random(1), OPENED + 1201 * SECOND).until(OPENED + 2400 * SECOND)
    events = earlier + later
    assert len({event.id for event in events}) == len(events)
    assert {event.item for event in earlier}.isdisjoint(event.item for event in later)


def test_a_desk_knows_the_items_of_the_desks_before_it() -> None:
    later = Desk(Random(2), OPENED + 300 * SECOND)
    assert all(later.is_from_before(event.subject) for event in told(1, 299))
    assert not any(later.is_from_before(event.subject) for event in later.until(OPENED + 400 * SECOND))


def test_a_desk_takes_nobody_elses_items_for_its_own() -> None:
    desk = Desk(Random(1), OPENED)
    assert not any(desk.is_from_before(subject) for subject in ("42", "demo-", "demo-A1", "demo-1.5", "demo-zzzzzzzz"))


def test_the_desk_has_everything_that_a_desk_has() -> None:
    names = {event.type for event in told(7, 1200)}
    assert names >= {
        *("ticket.created", "ticket.agent_replied", "ticket.customer_replied", "ticket.updated", "ticket.resolved"),
        *("ticket.reopened", "ticket.closed", "chat.started", "chat.accepted", "chat.missed", "chat.ended"),
        *("call.queued", "call.answered", "call.held", "call.resumed", "call.abandoned", "call.ended"),
    }
