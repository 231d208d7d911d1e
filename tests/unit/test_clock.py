"""One clock: what it counts, when it is due, and the laws that hold for every history."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.timer import fold
from services.timer.business_hours import BusinessHours, NoOpenTime
from services.timer.clock import STRETCHES_KEPT, Clock, Cycle, begin, counted, pause, resume, run_out, stop, take_up
from services.timer.item import attributes_at, patched
from services.timer.occurrences import patch_of
from services.timer.opening_times import HoursSpec, Window
from services.timer.policy import CalendarChoice, Policy, Target, WarnAt
from services.timer.policy_set import Terms
from services.timer.rulebook import Rulebook
from shared.events import CREATIONS, SECOND, SNAPSHOTS, Event, Instant, Span
from tests.histories import at, history, rulebook
from tests.strategies import calendars, instants
from tests.strategies_events import UNTIL, histories, rulebooks

LAW = settings(max_examples=100, deadline=None)  # a first question to a calendar compiles a year
HOUR = 3600 * SECOND
ALWAYS = BusinessHours(HoursSpec("UTC", ((Window(0, 86_400),),) * 7))


def started(hours: BusinessHours, start: Instant, target: Span, *warn_at: WarnAt) -> Clock:
    policy = Policy("p", {}, CalendarChoice("c"), {"resolution": Target(target, warn_at=warn_at)})
    terms = Terms(policy, "resolution", target, warn_at, "medium", {}, "c", hours)
    return begin(Cycle("resolution", start, "/desk", "1", "v1"), terms, 1, hours)


def fortnights(count: int) -> st.SearchStrategy[list[Instant]]:
    """Instants within two weeks, the earliest first."""
    offsets = st.lists(st.integers(0, 14 * 24 * 3600), min_size=count, max_size=count)
    return st.tuples(instants(), offsets).map(lambda drawn: sorted(drawn[0] + offset * SECOND for offset in drawn[1]))


class TestCounting:
    @LAW
    @given(calendars(), st.integers(1, 40 * 3600), fortnights(3))
    def test_a_pause_moves_the_due_time_by_its_business_time(
        self, spec: HoursSpec, target_s: int, instants: list[Instant]
    ) -> None:
        hours = BusinessHours(spec)
        start, paused, resumed = instants
        clock = started(hours, start, target_s * SECOND)
        if clock.due_at is None or paused > clock.due_at:
            return
        after = resume(pause(clock, paused, hours), resumed, hours)
        assert after.due_at is not None
        assert hours.between(clock.due_at, after.due_at) == hours.between(paused, resumed)

    @LAW
    @given(calendars(), st.integers(1, 40 * 3600), fortnights(6))
    def test_elapsed_and_paused_are_the_business_time_between_start_and_stop(
        self, spec: HoursSpec, target_s: int, instants: list[Instant]
    ) -> None:
        hours = BusinessHours(spec)
        start, paused, resumed, ended, reopened, stopped = instants
        clock = resume(pause(started(hours, start, target_s * SECOND), paused, hours), resumed, hours)
        clock = stop(take_up(stop(run_out(clock, ended), ended, hours, "met"), reopened, hours), stopped, hours, "met")
        assert clock.elapsed + clock.paused == hours.between(start, stopped)
        assert clock.elapsed == hours.between(start, paused) + hours.between(resumed, ended) + hours.between(
            reopened, stopped
        )

    def test_a_clock_that_was_stopped_counts_no_more(self) -> None:
        clock = stop(started(ALWAYS, at("08:00"), HOUR), at("08:30"), ALWAYS, "met")
        assert counted(clock, at("12:00"), ALWAYS) == (HOUR // 2, 0)

    def test_what_the_calendar_does_not_have_is_no_due_time(self) -> None:
        closed = BusinessHours(HoursSpec("UTC", ((),) * 7))
        with pytest.raises(NoOpenTime):
            closed.add(at("08:00"), HOUR)
        clock = started(closed, at("08:00"), HOUR, WarnAt("50%", share=0.5))
        assert (clock.due_at, clock.pending) == (None, ())
        assert run_out(clock, UNTIL).state == "running"

    def test_an_item_that_flips_for_ever_does_not_grow_for_ever(self) -> None:
        clock = started(ALWAYS, at("08:00"), 1000 * HOUR)
        for minute in range(0, 60 * STRETCHES_KEPT, 2):
            clock = pause(clock, clock.started_at + (minute + 1) * 60 * SECOND, ALWAYS)
            clock = resume(clock, clock.started_at + (minute + 2) * 60 * SECOND, ALWAYS)
        assert len(clock.past) == STRETCHES_KEPT
        assert clock.elapsed == clock.paused == 30 * STRETCHES_KEPT * 60 * SECOND


class TestWarnings:
    @pytest.mark.parametrize(
        ("target_h", "warn_at", "expected"),
        [
            # by share and by what is left, in the order in which they come
            (
                4,
                (WarnAt("15m_left", left=HOUR // 4), WarnAt("50%", share=0.5)),
                [("10:00", "50%"), ("11:45", "15m_left")],
            ),
            # more is to be left than there is: past at the start, so it comes at the start
            (1, (WarnAt("2h_left", left=2 * HOUR),), [("08:00", "2h_left")]),
            # of several that are past at the start the latest
            (1, (WarnAt("3h_left", left=3 * HOUR), WarnAt("2h_left", left=2 * HOUR)), [("08:00", "2h_left")]),
        ],
    )
    def test_come_at_a_share_of_the_target_or_at_a_time_left(
        self, target_h: int, warn_at: tuple[WarnAt, ...], expected: list[tuple[str, str]]
    ) -> None:
        clock = started(ALWAYS, at("08:00"), target_h * HOUR, *warn_at)
        assert [(instant, label) for instant, _, label in clock.pending] == [
            (at(text), label) for text, label in expected
        ]

    def test_move_with_a_pause(self) -> None:
        clock = started(ALWAYS, at("08:00"), 4 * HOUR, WarnAt("50%", share=0.5))
        moved = resume(pause(clock, at("09:00"), ALWAYS), at("09:30"), ALWAYS)
        assert [instant for instant, _, _ in moved.pending] == [at("10:30")]

    def test_do_not_come_while_the_clock_stands_still(self) -> None:
        clock = pause(started(ALWAYS, at("08:00"), 4 * HOUR, WarnAt("50%", share=0.5)), at("09:00"), ALWAYS)
        assert run_out(clock, UNTIL) == clock

    def test_those_past_when_the_clock_moves_are_skipped_except_the_latest(self) -> None:
        rules = rulebook("""
- name: p
  applies_to: {}
  calendar: always
  targets: {resolution: {within: 40h, by: {priority: {high: 4h}}, warn_at: [25%, 50%, 75%]}}
""")
        (clock,) = fold.refold(history("08:00 created\n10:30 updated priority=high"), rules).clocks
        assert [(warned.at, warned.label) for warned in clock.warned] == [(at("10:30"), "50%")]
        assert [label for _, _, label in clock.pending] == ["75%"]


class TestLaws:
    @LAW
    @given(histories(), rulebooks(), st.randoms(use_true_random=False))
    def test_any_order_and_any_repeats_give_the_same_item(
        self, events: list[Event], rules: Rulebook, random: Random
    ) -> None:
        shuffled = random.choices(events, k=len(events)) + events
        random.shuffle(shuffled)
        assert fold.refold(shuffled, rules) == fold.refold(events, rules)

    @LAW
    @given(histories(), rulebooks(), st.integers(0, 14))
    def test_an_item_folded_in_two_parts_is_the_same_item(
        self, events: list[Event], rules: Rulebook, split: int
    ) -> None:
        ordered = fold.distinct(events)
        first = fold.refold(ordered[:split], rules)
        assert fold.refold(ordered[split:], rules, start=first) == fold.refold(events, rules)

    @LAW
    @given(histories(), rulebooks())
    def test_every_clock_accounts_for_its_business_time(self, events: list[Event], rules: Rulebook) -> None:
        policies = rules.at(0)
        for clock in fold.refold(events, rules).clocks:
            hours = policies.calendars[clock.calendar]
            end = clock.stopped_at if clock.stopped_at is not None else UNTIL
            assert sum(counted(clock, UNTIL, hours)) == hours.between(clock.started_at, end)

    @LAW
    @given(histories(), rulebooks())
    def test_a_clock_breaches_exactly_when_it_has_used_up_its_target(
        self, events: list[Event], rules: Rulebook
    ) -> None:
        policies = rules.at(0)
        for each in fold.refold(events, rules).clocks:
            clock = run_out(each, UNTIL)
            elapsed, _ = counted(clock, UNTIL, policies.calendars[clock.calendar])
            if clock.breached_at is not None:
                assert elapsed >= clock.target
                assert clock.due_at is not None
                assert clock.due_at <= clock.breached_at
            elif clock.phase not in ("running", "cancelled"):
                assert elapsed <= clock.target

    @LAW
    @given(histories(), rulebooks())
    def test_the_attributes_of_every_instant_can_be_told(self, events: list[Event], rules: Rulebook) -> None:
        state = fold.refold(events, rules)
        if state.stage == "unknown":
            return
        attributes: dict[str, object] = {}
        created = min(event.time for event in events if event.type in CREATIONS | SNAPSHOTS)
        for event in (ordered := fold.distinct(events)):
            told = event.snapshot
            attributes = patched({} if told is not None and told.complete else attributes, patch_of(event))
            is_last_of_its_instant = event is ordered[-1] or all(
                other.time != event.time for other in ordered[ordered.index(event) + 1 :]
            )
            if event.time >= created and is_last_of_its_instant:
                assert attributes_at(state, event.time) == attributes

    @LAW
    @given(histories(), rulebooks())
    def test_the_number_counts_the_clocks_of_a_metric(self, events: list[Event], rules: Rulebook) -> None:
        numbers: dict[str, list[int]] = {}
        for clock in fold.refold(events, rules).clocks:
            numbers.setdefault(clock.metric, []).append(clock.cycle)
        assert all(found == list(range(1, len(found) + 1)) for found in numbers.values())
