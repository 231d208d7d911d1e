"""What was decided once is done again where nothing that decides is different, and nowhere else."""

from __future__ import annotations

from dataclasses import replace
from itertools import permutations
from typing import Any, Final

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.timer.exclusion import Exclusion
from services.timer.fold import EMPTY, apply, distinct
from services.timer.happenings import take_effect
from services.timer.item import ItemState
from services.timer.plan import Plans
from services.timer.policy_set import PolicySet
from services.timer.rulebook import Rulebook
from services.timer.step import Step
from shared.events import Event
from tests.histories import DAY, at, event, history, policies, rulebook
from tests.strategies_events import RULEBOOKS, histories

SEASONS: Final = policies("""
- name: early
  applies_to: {}
  calendar: always
  valid: {until: 2026-01-06}
  targets: {first_response: 1h, next_response: 30m, resolution: 8h}
- name: late
  applies_to: {}
  calendar: office
  valid: {from: 2026-01-06}
  targets: {first_response: 2h, next_response: 1h, resolution: {within: 9h, by: {priority: {urgent: 2h}}}}
  pause_when: {status: pending}
  on_reopen: restart
""")
SETS: Final = (*(each.versions[0][1] for each in RULEBOOKS), SEASONS)


def excluding(rules: PolicySet) -> PolicySet:
    """The same policies, with a day that does not count for one customer."""
    since = at("+1 00:00")
    return rules.excluding([Exclusion("outage", since, since + DAY, "down", {"customer": frozenset({"acme"})})])


MANY: Final = (
    *RULEBOOKS,
    *(Rulebook(((0, each),)) for each in (SEASONS, *map(excluding, SETS))),
    *(Rulebook(((0, one), (at("+1 00:00"), other))) for one, other in permutations(SETS, 2)),
)


def again(rulebook: Rulebook) -> Rulebook:
    """The same rules, of which nothing is remembered."""
    return replace(rulebook)


@settings(max_examples=200, deadline=None)
@given(histories(), st.sampled_from(MANY))
def test_what_was_decided_before_is_what_would_be_decided_now(events: list[Event], rules: Rulebook) -> None:
    for _ in range(2):
        state = EMPTY
        for happened in distinct(events):
            expected = apply(state, happened, again(rules))
            state = apply(state, happened, rules)
            assert state == expected


ONE: Final = """
- name: some
  applies_to: {customer: [acme, "1", "true"]}
  calendar: always
  targets: {first_response: 1h, next_response: 1h, resolution: {within: 8h, by: {priority: {urgent: 2h}}}}
  pause_when: {tags: [waits, "2"], status: pending}
- name: big
  applies_to: {}
  when: "has(item.amount) && item.amount > 1000"
  calendar: office
  targets: {first_response: 2h}
"""
SPOKEN: Final = "created 0:00 | agent_replied 0:10"


def folded(text: str, rules: Rulebook, attributes: dict[str, Any]) -> ItemState:
    """The item after a history whose first event brings these attributes."""
    first, *others = history(text)
    state = EMPTY
    for happened in (msgspec.structs.replace(first, attributes=attributes), *others):
        state = apply(state, happened, rules)
    return state


ALIKE: Final[tuple[dict[str, Any], ...]] = (
    # Nothing names any of it.
    {"customer": "zed"},
    # Equal to each other in Python, and other texts in a condition.
    {"customer": "1"},
    {"customer": 1},
    {"customer": True},
    {"customer": 1.0},
    {"customer": "true"},
    # A list matches by each of its members.
    {"tags": ["waits"], "status": "pending", "customer": "acme"},
    {"tags": ["other", 2], "status": "pending", "customer": "acme"},
    {"tags": "waits", "status": "pending", "customer": "acme"},
    {"tags": [], "status": "pending", "customer": "acme"},
    # An expression sees every number apart.
    {"amount": 1000},
    {"amount": 1001},
    {"amount": "1001"},
    # What chooses a target, and what ends the item at once.
    {"customer": "acme", "priority": "urgent"},
    {"customer": "acme", "status": "spam"},
)


@pytest.mark.parametrize("seen", ALIKE, ids=str)
@pytest.mark.parametrize("text", ["0:00 created", "0:00 created\n0:10 agent_replied\n0:20 customer_replied"])
def test_an_item_is_not_taken_for_one_that_is_nearly_alike(seen: dict[str, Any], text: str) -> None:
    rules = Rulebook(((0, policies(ONE)),))
    for before in ALIKE:
        folded(text, rules, before)
    assert folded(text, rules, seen) == folded(text, again(rules), seen)


def decided(state: ItemState, happened: Event, rules: Rulebook) -> tuple[Step, ItemState]:
    """An event decided by asking everything."""
    step = Step(state, happened, rules)
    step.patch()
    take_effect(step)
    return step, step.result()


def test_an_item_that_is_alike_costs_no_decision() -> None:
    asked = []

    def noted(state: ItemState, happened: Event, rules: Rulebook) -> tuple[Step, ItemState]:
        asked.append(happened)
        return decided(state, happened, rules)

    plans = Plans(rulebook(ONE.replace("[acme,", "[acme, zed, yan,")))
    first, second = history("0:00 created customer=zed other=x\n5:00 created customer=zed")
    assert [clock.due_at for clock in plans.fold(EMPTY, first, noted).clocks] == [at("1:00"), at("8:00")]
    assert [clock.due_at for clock in plans.fold(EMPTY, second, noted).clocks] == [at("6:00"), at("13:00")]
    assert asked == [first]


def test_plans_are_forgotten_before_they_fill_the_memory() -> None:
    rules = rulebook(ONE)
    plans = Plans(rules, keep=3)
    for customer in ("acme", "1", "true", "zed", "acme"):
        created = event(f"0:00 created customer={customer}")
        assert plans.fold(EMPTY, created, decided) == apply(EMPTY, created, again(rules))
        assert 0 < len(plans) <= 3


def test_what_waited_for_a_reopening_keeps_the_event_that_began_it() -> None:
    rules = rulebook("- {name: p, applies_to: {customer: acme}, calendar: always, targets: {next_response: 1h}}")
    story = "0:00 created\n0:10 agent_replied\n1:00 resolved\n{}\n3:00 reopened"
    for reply, by in (("2:00 customer_replied id=a", "a"), ("2:30 customer_replied id=b", "b")):
        assert [cycle.event_id for cycle in folded(story.format(reply), rules, {}).unmeasured] == [by]


def test_what_never_falls_due_still_warns() -> None:
    rules = rulebook(
        "- {name: p, applies_to: {}, calendar: never, targets: {resolution: {within: 2h, warn_at: [25%]}}}"
    )
    for _ in range(2):
        state = folded("0:10 created\n2:00 updated", rules, {})
        assert [(warned.at, warned.due_at) for warned in state.clocks[0].warned] == [(at("0:40"), None)]
