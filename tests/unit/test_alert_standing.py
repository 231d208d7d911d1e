"""How an alert stands, whatever is published of its clock, in whatever order and how often."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.notifier.alerts.standing import (
    ACTS_KEPT,
    FACTS_KEPT,
    StandingAlert,
    acknowledged,
    assigned,
    fold,
    now_of,
    pack,
    snoozed,
    unpack,
)
from services.notifier.delivery import alert_id
from shared.breach_records import BreachRecord
from shared.events import SECOND, BreachType
from tests.factories import DUE, breach, silence

TYPES: dict[str, BreachType] = {
    "warning": "sla.clock.warning.v1",
    "breached": "sla.clock.breached.v1",
    "stopped": "sla.breach.stopped.v1",
    "cancelled": "sla.breach.cancelled.v1",
    "retracted": "sla.breach.retracted.v1",
}


def told(*story: str) -> list[BreachRecord]:
    """Records in order: `warning`, `breached A`, `retracted A B` (replaced by B), `stopped A`."""
    return [_record(number, *each.split()) for number, each in enumerate(story, start=1)]


def _record(number: int, kind: str, about: str | None = None, replaced_by: str | None = None) -> BreachRecord:
    named: dict[str, Any] = {"breach_id": about, "replaced_by": replaced_by, "sequence": number}
    if kind == "warning":
        named["warning"] = "80%"
    return breach(f"event-{number}", TYPES[kind], DUE + number * SECOND, **named)


def folded(records: Sequence[BreachRecord]) -> StandingAlert:
    alert = reduce(lambda before, record: fold(before, record, DUE), records, None)
    assert alert is not None
    return alert


@pytest.mark.parametrize(
    ("story", "standing"),
    [
        (["warning"], "warning"),
        (["warning", "warning"], "warning"),
        (["warning", "breached A"], "open"),
        (["breached A"], "open"),
        (["breached A", "warning"], "open"),  # a warning makes an open one no better
        (["breached A", "stopped A"], "ended"),
        (["breached A", "cancelled A"], "ended"),
        (["breached A", "retracted A"], "retracted"),
        (["breached A", "retracted A B"], "open"),  # the breach in its place is on its way
        (["breached A", "retracted A B", "breached B"], "open"),
        (["breached A", "retracted A", "warning"], "warning"),  # the clock runs on, and is near its end again
        (["breached A", "retracted A", "breached B"], "open"),
        (["breached A", "stopped A", "retracted A B", "breached B", "stopped B"], "ended"),
        (["retracted A"], "retracted"),  # what came before was forgotten
    ],
)
def test_an_alert_stands_as_its_facts_say(story: list[str], standing: str) -> None:
    assert folded(told(*story)).standing == standing


@pytest.mark.parametrize(
    ("before", "after", "by"),
    [
        (["breached A"], [], "Ana"),
        (["warning"], [], "Ana"),
        (["warning"], ["warning"], "Ana"),
        (["warning"], ["breached A"], None),  # to take on a warning is not to take on the breach
        (["breached A"], ["retracted A B", "breached B"], "Ana"),  # the same broken promise by other terms
        (["breached A", "retracted A B"], ["breached B"], "Ana"),
        (["breached A"], ["retracted A", "breached B"], None),  # another one
        (["breached A"], ["retracted A", "warning"], None),
        (["breached A"], ["stopped A"], "Ana"),
    ],
)
def test_an_acknowledgement_counts_for_the_breach_that_it_was_given_to(
    before: list[str], after: list[str], by: str | None
) -> None:
    story = told(*before, *after)
    taken = acknowledged(folded(story[: len(before)]), "Ana", "on it", DUE)
    found = reduce(lambda alert, record: fold(alert, record, DUE), story[len(before) :], taken)
    assert found.acknowledged_by == by


def test_an_open_alert_that_somebody_took_on_stands_as_acknowledged_and_an_ended_one_as_ended() -> None:
    story = told("breached A", "stopped A")
    taken = acknowledged(folded(story[:1]), "Ana", "", DUE)
    assert (taken.standing, fold(taken, story[1], DUE).standing) == ("acknowledged", "ended")


STEPS = st.sampled_from(
    ["warning", "breached A", "stopped A", "cancelled A", "retracted A", "retracted A B", "breached B"]
)


@given(st.lists(STEPS, min_size=1, max_size=6), st.data())
def test_neither_the_order_of_arrival_nor_a_repeat_makes_a_difference(story: list[str], data: st.DataObject) -> None:
    records = told(*story)
    arrived = data.draw(st.permutations([*records, *data.draw(st.lists(st.sampled_from(records), max_size=4))]))
    assert folded(arrived) == folded(records)


@given(st.lists(STEPS, min_size=1, max_size=6))
def test_an_alert_is_stored_and_read_as_it_is(story: list[str]) -> None:
    alert = assigned(snoozed(folded(told(*story)), "Ana", "lunch", DUE + 1, DUE), "Ana", "", "Bea", DUE)
    assert unpack(pack(alert)) == alert


def test_an_alert_that_was_stored_with_fewer_fields_is_read() -> None:
    whole = msgspec.msgpack.decode(pack(folded(told("breached A"))))
    assert unpack(msgspec.msgpack.encode(whole[:1])) == folded(told("breached A"))


def test_everything_about_a_clock_is_one_alert_and_a_silence_is_none() -> None:
    story = told("warning", "breached A", "retracted A B", "breached B")
    assert len({alert_id(each) for each in story}) == 1
    assert alert_id(breach(clock_id="another")) != alert_id(breach())
    others = {alert_id(breach(item=f"acme/ticket/{number}")) for number in range(200)}
    assert len(others | {alert_id(breach())}) == 201  # whatever another tenant calls its clocks
    assert alert_id(silence()) is None


def test_what_is_kept_of_one_alert_is_bounded() -> None:
    alert = folded(told(*["warning"] * (FACTS_KEPT + 5)))
    for number in range(ACTS_KEPT + 5):
        alert = assigned(alert, "Ana", "", str(number), DUE)
    assert (len(alert.facts), alert.newest.sequence) == (FACTS_KEPT, FACTS_KEPT + 5)
    assert (len(alert.acts), alert.assignee) == (ACTS_KEPT, str(ACTS_KEPT + 4))


def test_the_breaches_that_replaced_each_other_are_one() -> None:
    now = now_of(folded(told("breached A", "retracted A B", "breached B")).facts)
    assert now.breaches == ("A", "B")
    assert now.opened is not None
    assert now.opened.event_id == "event-1"


def test_an_instant_that_has_passed_ends_a_snooze() -> None:
    alert = snoozed(folded(told("breached A")), "Ana", "", DUE + 60, DUE)
    assert alert.snoozed_until == DUE + 60
    assert snoozed(alert, "Ana", "", DUE, DUE + 1).snoozed_until is None
