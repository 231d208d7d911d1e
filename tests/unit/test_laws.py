"""Laws between two histories: what may be changed without changing any verdict, and what a change must do.

Laws about one history (any order and any repeats, what elapsed and paused add up to, what a pause moves) are in
`test_clock.py`.
"""

from __future__ import annotations

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from services.timer import backtest
from services.timer.backtest import Row
from services.timer.rulebook import Rulebook
from shared.events import Event, Instant, Span
from tests.histories import DAY, rulebook
from tests.strategies_events import UNTIL, histories, rulebooks

LAW = settings(max_examples=100, deadline=None)
WEEK: Span = 7 * DAY


def later(at: Instant | None, span: Span) -> Instant | None:
    return None if at is None else at + span


def shifted(row: Row, span: Span) -> Row:
    """The row with every instant that much later."""
    return row._replace(
        started_at=row.started_at + span,
        due_at=later(row.due_at, span),
        stopped_at=later(row.stopped_at, span),
        breached_at=later(row.breached_at, span),
    )


def later_event(event: Event, span: Span) -> Event:
    """The event that much later, and with it the creation that it may tell of."""
    told = event.snapshot
    if told is not None:
        told = msgspec.structs.replace(told, created_at=later(told.created_at, span))
    return msgspec.structs.replace(event, time=event.time + span, snapshot=told)


@LAW
@given(histories(), histories(), rulebooks())
def test_other_items_do_not_matter(one: list[Event], other: list[Event], rules: Rulebook) -> None:
    elsewhere = [msgspec.structs.replace(event, subject="2") for event in other]
    rows = backtest.run([*elsewhere, *one], rules, UNTIL)
    assert [row for row in rows if row.item.endswith("/1")] == backtest.run(one, rules, UNTIL)


@LAW
@given(histories(), rulebooks(), st.integers(1, 8))
def test_what_happens_some_weeks_later_ends_some_weeks_later(events: list[Event], rules: Rulebook, weeks: int) -> None:
    moved = [later_event(event, weeks * WEEK) for event in events]
    expected = [shifted(row, weeks * WEEK) for row in backtest.run(events, rules, UNTIL)]
    assert backtest.run(moved, rules, UNTIL + weeks * WEEK) == expected


@LAW
@given(histories(), rulebooks(), st.sampled_from(("colour", "name", "kind")))
def test_attributes_that_no_policy_names_change_nothing(events: list[Event], rules: Rulebook, name: str) -> None:
    patched = [
        msgspec.structs.replace(event, attributes={**event.attributes, name: f"{number}"})
        for number, event in enumerate(events)
    ]
    assert backtest.run(patched, rules, UNTIL) == backtest.run(events, rules, UNTIL)


@LAW
@given(histories(), rulebooks(), st.integers(0, 24))
def test_what_has_breached_by_an_instant_stays_as_it_is(events: list[Event], rules: Rulebook, hours: int) -> None:
    # Between the last event and any later end, only the passing of time is left: no verdict is undone by it.
    last = max((event.time for event in events), default=UNTIL) + hours * 3_600_000_000
    before = {(row.metric, row.cycle): row for row in backtest.run(events, rules, last)}
    after = {(row.metric, row.cycle): row for row in backtest.run(events, rules, UNTIL + WEEK)}
    assert before.keys() == after.keys()
    for key, row in before.items():
        if row.breached_at is not None or row.stopped_at is not None:
            open_counts = {"elapsed", "paused"} if row.stopped_at is None else set()
            for field in set(Row._fields) - open_counts:
                assert getattr(after[key], field) == getattr(row, field)


@LAW
@given(histories(), st.integers(1, 16), st.integers(1, 16))
def test_a_promise_that_is_kept_would_be_kept_with_more_time(events: list[Event], short: int, longer: int) -> None:
    def breached(quarters: int) -> set[tuple[str, int]]:
        within = f"{quarters * 15}m"
        rules = rulebook(f"""
- name: p
  applies_to: {{}}
  calendar: always
  pause_when: {{status: pending}}
  targets: {{first_response: {within}, resolution: {within}, answer: {within}}}
""")
        rows = backtest.run(events, rules, UNTIL)
        return {(row.metric, row.cycle) for row in rows if row.breached_at is not None}

    assert breached(short + longer) <= breached(short)
