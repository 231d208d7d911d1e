"""In which order a receiver gets what is told of one alert, and what of it is not sent any more."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.notifier.alerts.ordering import (
    NEVER_TOLD,
    NOTHING_TO_TAKE_BACK,
    OVERTAKEN,
    STEP_OVERTAKEN,
    Told,
    as_it_went,
    planned,
)
from services.notifier.alerts.standing import Fact, Happening
from tests.factories import DUE

ALERT = UUID(int=7)
TAKEN: dict[str, Any] = {"is_free": False, "is_unheard": False}
TRIED: dict[str, Any] = {"is_unheard": False}  # and waits for its next attempt
DONE: dict[str, Any] = {"state": "delivered", "is_unheard": False}


def told(number: int, happening: Happening = "breached", **changes: Any) -> Told:
    """The delivery number *number*, of the event of that number of breach A, to the team."""
    fact = Fact(number, DUE + number, f"event-{number}", happening, DUE, changes.pop("breach", "A"))
    fields = {"alert": ALERT, "receiver": "team", "fact": fact, "state": "pending", "created_at": DUE + number}
    return Told(UUID(int=number), **{**fields, **changes})


def ids(plan: dict[UUID, Any] | Any) -> dict[int, Any]:
    return {each.int: what.int if isinstance(what, UUID) else what for each, what in plan.items()}


@pytest.mark.parametrize(
    ("deliveries", "superseded", "after"),
    [
        # one by itself
        ([told(1)], {}, {}),
        # a warning that is not sent yet when the breach comes
        ([told(1, "warning"), told(2)], {1: OVERTAKEN}, {}),
        ([told(1, "warning", state="held"), told(2)], {1: OVERTAKEN}, {}),
        # or was tried in vain, so far
        ([told(1, "warning", **TRIED), told(2)], {1: OVERTAKEN}, {}),
        # one that is being sent comes first
        ([told(1, "warning", **TAKEN), told(2)], {}, {2: 1}),
        # one that was sent is over
        ([told(1, "warning", **DONE), told(2)], {}, {}),
        # a warning that arrives after the breach
        ([told(1, "warning"), told(2, **DONE)], {1: OVERTAKEN}, {}),
        # but not after one that a silence hid
        ([told(1, "warning"), told(2, state="silenced")], {}, {}),
        # a breach stays true when it ends: both are told, in order
        ([told(1), told(2, "stopped")], {}, {2: 1}),
        # a breach that was taken back before anybody can have heard of it
        ([told(1), told(2, "retracted")], {1: NEVER_TOLD, 2: NOTHING_TO_TAKE_BACK}, {}),
        ([told(1, state="held"), told(2, "retracted")], {1: NEVER_TOLD, 2: NOTHING_TO_TAKE_BACK}, {}),
        # one that was tried may have been heard, although no answer came
        ([told(1, **TRIED), told(2, "retracted")], {}, {2: 1}),
        ([told(1, **DONE), told(2, "retracted")], {}, {}),
        # another breach's retraction
        ([told(1), told(2, "retracted", breach="B")], {}, {2: 1}),
        # a retraction by itself, of a receiver that hears of nothing else
        ([told(2, "retracted")], {}, {}),
        # what replaces a breach that nobody heard of
        ([told(1), told(2, "retracted"), told(3, breach="B")], {1: NEVER_TOLD, 2: NOTHING_TO_TAKE_BACK}, {}),
        # three in a row
        ([told(1), told(2, "stopped"), told(3, "retracted", breach="B")], {}, {2: 1, 3: 2}),
    ],
)
def test_what_becomes_of_the_deliveries_to_one_receiver(
    deliveries: list[Told], superseded: dict[int, str], after: dict[int, int]
) -> None:
    plan = planned(deliveries)
    assert (ids(plan.superseded), ids(plan.after)) == (superseded, after)


def test_receivers_and_alerts_do_not_wait_for_each_other() -> None:
    plan = planned([told(1, "warning"), told(2, receiver="boss"), told(3, alert=UUID(int=8))])
    assert (plan.superseded, plan.after) == ({}, {})


def test_a_step_that_was_not_sent_when_the_next_one_is_due_is_not_sent_twice() -> None:
    first = told(1, step="+30m")
    again = replace(told(2, step="+30m again 1"), fact=first.fact)
    assert ids(planned([first, again]).superseded) == {1: STEP_OVERTAKEN}
    assert ids(planned([replace(first, step=None), again]).superseded) == {}


def test_a_breach_that_a_step_has_told_of_is_taken_back_from_that_receiver() -> None:
    route = told(1)
    step = replace(told(2, step="+30m", **DONE), fact=route.fact)
    assert ids(planned([route, step, told(3, "retracted")]).superseded) == {}


def test_what_a_process_took_up_meanwhile_is_told_and_what_it_tells_is_taken_back() -> None:
    deliveries = [told(1), told(2, "retracted")]
    plan = planned(deliveries)
    again = planned(as_it_went(deliveries, plan, ended=set()))
    # The retraction was taken up as well in the worst case, so nothing of it is left to be planned.
    assert again.superseded == {}
    ended = planned(as_it_went(deliveries, plan, ended={UUID(int=1)}))
    assert UUID(int=1) not in ended.superseded


HAPPENINGS = st.sampled_from(["warning", "breached", "stopped", "retracted"])


@given(st.lists(st.tuples(HAPPENINGS, st.sampled_from([{}, TAKEN, TRIED, DONE, {"state": "held"}])), max_size=8))
def test_whatever_waits_and_is_not_superseded_stands_in_one_line(story: list[tuple[Happening, dict[str, Any]]]) -> None:
    deliveries = [told(number, happening, **changes) for number, (happening, changes) in enumerate(story)]
    plan = planned(deliveries)
    line = [each.id for each in deliveries if each.waits and each.id not in plan.superseded]
    assert plan.after == dict(zip(line[1:], line, strict=False))
    assert all(each.waits and each.is_free for each in deliveries if each.id in plan.superseded)
