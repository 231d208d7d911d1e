"""What would be published about generated histories, and what a reader of it holds as true in the end."""

from __future__ import annotations

from collections.abc import Iterable

from hypothesis import given

from tests.oracle import real
from tests.oracle.effort import effort
from tests.oracle.events import Event, in_order, instant, item_of
from tests.oracle.readers import held_true, what_was
from tests.oracle.rows import by_clock_and_time, comparable, facts
from tests.oracle.strategies import Case, cases, late_cases
from tests.oracle.strategies_calendars import Document

_TOLD = ("item", "metric", "cycle", "what", "at", "warning")


def of_item(events: Iterable[Event], item: str) -> list[Event]:
    """Those of one item."""
    return [event for event in events if item_of(event) == item]


@effort(200)
@given(cases())
def test_of_events_in_order_every_fact_is_told_at_its_instant_and_no_other(case: Case) -> None:
    policies, events, until = case
    timely = [event for event in events if instant(event["time"]) <= instant(until)]
    # In the order in which they count, also at one instant: what comes after a deletion is refused.
    known = [event for item in sorted({*map(item_of, timely)}) for event in in_order(of_item(timely, item))]
    published = real.published(policies, known, [event["time"] for event in known], until)
    # What happens at the very end needs evidence beyond it.
    told = [{name: each[name] for name in _TOLD} for each in published if each["at"] < until]
    happened = [each for each in facts(policies, events, until) if each["at"] < until]
    assert comparable(policies, sorted(told, key=by_clock_and_time)) == comparable(policies, happened)


@effort(200)
@given(late_cases())
def test_of_late_events_a_reader_holds_in_the_end_what_was(case: tuple[str, list[Document], list[str], str]) -> None:
    policies, events, arrivals, until = case
    assert held_true(real.published(policies, events, arrivals, until)) == what_was(policies, events, until)
