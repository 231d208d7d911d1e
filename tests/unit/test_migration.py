"""What a migration would change of an item's clocks, and which items it need not look at."""

from __future__ import annotations

from collections import Counter
from datetime import date
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from services.timer import fold, ledger
from services.timer.exclusion import Exclusion
from services.timer.ledger import Firing
from services.timer.migration import Migration, Selection, foreseen, may_change, recounted
from services.timer.policy_file import load
from services.timer.rulebook import Rulebook
from shared.events import Event, Instant
from tests.histories import at, history
from tests.strategies_events import RULEBOOKS, UNTIL, histories
from tests.unit.test_clock import LAW
from tests.unit.test_move import ACME, NEW, NOBODY, OFFICE, OLD, TEAM, instants, renamed, two

ITEM = "default/ticket/1"


def migration(time: Instant, version: str | None) -> Migration:
    """A migration at an instant."""
    return Migration(UUID(int=7), time, version, "contract 2026", "ana")


def told(rules: Rulebook, story: list[Event], time: str, *, to: bool = True) -> list[str]:
    """`effect metric policy due from → due to` of each clock that a migration to the last version would change."""
    found = foreseen(
        migration(at(time), rules.versions[-1][1].version if to else None),
        ITEM,
        fold.refold(story, rules),
        story,
        rules,
    )
    lines = []
    for change in found.changes:
        clock = change.after or change.before
        assert clock is not None
        lines.append(f"{change.effect} {clock.metric} {clock.policy}")
    return lines


@pytest.mark.parametrize(
    ("versions", "story", "expected"),
    [
        # due later or earlier
        ((OLD, NEW), "08:00 created", ["moves resolution p"]),
        # past by the new terms
        ((OLD, NEW), "06:00 created", ["breaches resolution p"]),
        # a pause that only one of them knows
        ((OFFICE, OLD), "08:00 created status=pending", ["moves resolution p"]),
        # the same terms beside others
        ((TEAM.strip().splitlines()[0], TEAM), "08:00 created", ["same_terms resolution p", "begins resolution team"]),
        # not measured any more, and measured for the first time
        ((OLD, NOBODY), "08:00 created", ["cancelled resolution p", "begins first_response p"]),
        # breached before: as it was
        ((NEW, OLD), "06:00 created", []),
        # ended: as it was
        ((OLD, NEW), "08:00 created|08:30 resolved", []),
        # nobody ever measured it, and nobody does
        ((ACME, ACME.replace("8h", "2h")), "08:00 created", []),
    ],
)
def test_each_clock_that_changes_is_named_with_what_becomes_of_it(
    versions: tuple[str, str], story: str, expected: list[str]
) -> None:
    assert told(two(*versions), history(story.replace("|", "\n")), "08:45") == expected


def test_a_cycle_that_nobody_measures_follows_the_version_without_a_clock() -> None:
    rules, story = two(ACME, ACME.replace("8h", "2h")), history("08:00 created")
    found = foreseen(
        migration(at("08:45"), rules.versions[-1][1].version), ITEM, fold.refold(story, rules), story, rules
    )
    assert (found.changes, found.follows, found.is_needed) == ((), True, True)


def other_exclusions(text: str) -> Rulebook:
    """OLD under other exclusions: the very same version counts as if its text were another."""
    counted = two(text, text).versions[0][1]
    same = counted.named(two(OLD, NEW).versions[0][1].version)
    return Rulebook(((0, same.excluding([Exclusion("nothing", 0, 1, "long ago")])),))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # it was not due by then
        (OLD.replace("8h", "20h"), ["taken_back resolution p"]),
        # it was due at another time
        (OLD.replace("8h", "9h"), ["breaches_otherwise resolution p"]),
        # it is as it was
        (OLD, []),
    ],
)
def test_what_other_exclusions_make_of_a_breach_is_foreseen(text: str, expected: list[str]) -> None:
    before = fold.refold(history("08:00 created"), two(OLD, NEW))
    rules, decided = other_exclusions(text), migration(at("18:00"), None)
    assert may_change(decided, ITEM, before, rules)
    found = foreseen(decided, ITEM, before, history("08:00 created"), rules)
    assert [f"{change.effect} resolution p" for change in found.changes] == expected


def test_holidays_that_became_known_make_a_version_that_moves_what_is_due_behind_them() -> None:
    files = {
        "policies.yaml": """
calendars:
  office: {time_zone: Europe/Madrid, hours: {mon-fri: ["09:00-17:00"]}, holidays: {country: ES}}
policies:
- {name: p, applies_to: {}, calendar: office, targets: {resolution: 16h, assignment: 5h}}
"""
    }
    known = load(files).calendar_data
    days = {region: tuple(sorted({*dates, date(2026, 1, 7)})) for region, dates in known.public_holidays.items()}
    first, second = load(files), load(files, data=replace(known, public_holidays=days))
    assert first.version != second.version
    rules, story = Rulebook(((0, first), (at("12:00"), second))), history("08:00 created")
    decided = migration(at("12:00"), second.version)
    found = foreseen(decided, ITEM, fold.refold(story, rules), story, rules)
    told = {
        (change.effect, clock.metric): tuple(each and each.due_at for each in (change.before, change.after))
        for change in found.changes
        if (clock := change.after) is not None
    }
    assert told == {
        ("moves", "resolution"): (at("+2 16:00"), at("+3 16:00")),  # the 6th is a holiday by both
        ("same_terms", "assignment"): (at("13:00"), at("13:00")),  # due before that day
    }


def test_the_event_of_an_item_is_the_same_whenever_it_is_asked_for() -> None:
    decided = migration(at("09:00"), "v2")
    assert recounted(decided, ITEM) == recounted(decided, ITEM)
    assert recounted(decided, ITEM).id != recounted(decided, "default/ticket/2").id
    assert recounted(decided, "acme/call/a/b").item == "acme/call/a/b"


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        (None, True),
        # some open clock is under it
        ("p", True),
        # none is
        ("q", False),
    ],
)
def test_a_selection_by_policy_takes_items_with_an_open_clock_under_it(policy: str | None, expected: bool) -> None:
    state = fold.refold(history("08:00 created"), two(OLD, NEW))
    assert Selection(policy=policy).takes(state) is expected


def test_a_clock_that_ended_does_not_make_its_item_be_taken() -> None:
    state = fold.refold(history("08:00 created\n09:00 resolved"), two(OLD, NEW))
    assert not Selection(policy="p").takes(state)


class TestLaws:
    @LAW
    @given(histories(), st.permutations(RULEBOOKS), st.data())
    def test_an_item_that_need_not_be_looked_at_would_not_change(
        self, events: list[Event], books: list[Rulebook], data: st.DataObject
    ) -> None:
        first, second = books[0].versions[0][1], books[1].versions[0][1]
        rules = Rulebook(((0, first), (data.draw(instants(events)), second)))
        decided = migration(UNTIL, data.draw(st.sampled_from((None, first.version, second.version))))
        state = fold.refold(events, rules)
        if not may_change(decided, events[0].item, state, rules):
            assert not foreseen(decided, events[0].item, state, events, rules).is_needed

    @LAW
    @given(histories(), st.permutations(RULEBOOKS), st.data())
    def test_after_a_migration_there_is_nothing_left_to_migrate(
        self, events: list[Event], books: list[Rulebook], data: st.DataObject
    ) -> None:
        first, second = books[0].versions[0][1], books[1].versions[0][1]
        rules = Rulebook(((0, first), (data.draw(instants(events)), second)))
        item = events[0].item
        # After the last event, not at it: a recount at the very time of an event can come before it.
        done = migration(max(event.time for event in events) + data.draw(st.integers(1, 10**12)), second.version)
        moved = [*events, recounted(done, item)]
        again = Migration(UUID(int=8), done.at + 1, second.version, "", "")
        assert not foreseen(again, item, fold.refold(moved, rules), moved, rules).is_needed

    @LAW
    @given(histories(), st.permutations(RULEBOOKS), st.data())
    def test_the_breaches_that_are_foreseen_are_those_that_are_published(
        self, events: list[Event], books: list[Rulebook], data: st.DataObject
    ) -> None:
        first, second = books[0].versions[0][1], books[1].versions[0][1]
        rules = Rulebook(((0, first), (UNTIL, second)))
        decided = migration(data.draw(instants(events)), second.version)
        item, known = events[0].item, [event for event in events if event.time <= decided.at]
        state = fold.refold(known, rules)
        told, _ = ledger.outputs(item, state, ledger.EMPTY, Firing(decided.at, decided.at))
        after = fold.refold([*known, recounted(decided, item)], rules)
        _, outputs = ledger.outputs(item, after, told, Firing(decided.at, decided.at))
        found = foreseen(decided, item, state, known, rules).changes
        # An event of the very instant can come behind the migration, and breach a clock with it under other terms.
        published = Counter((output.type, output.event.metric) for output in outputs)
        for event_type, effects in (
            ("sla.clock.breached.v1", ("breaches", "breaches_otherwise")),
            ("sla.breach.retracted.v1", ("taken_back", "breaches_otherwise")),
        ):
            expected = Counter(
                (event_type, clock.metric)
                for each in found
                if each.effect in effects and (clock := each.after or each.before) is not None
            )
            assert Counter({each: n for each, n in published.items() if each[0] == event_type}) == expected

    @LAW
    @given(histories(), st.sampled_from(RULEBOOKS))
    def test_the_same_terms_as_another_version_change_nothing_that_can_be_seen(
        self, events: list[Event], rules: Rulebook
    ) -> None:
        both = rules.adding(UNTIL, renamed(rules.versions[0][1]))
        found = foreseen(migration(UNTIL, "other"), events[0].item, fold.refold(events, both), events, both)
        assert {change.effect for change in found.changes} <= {"same_terms"}
