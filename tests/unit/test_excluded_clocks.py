"""Clocks in spans of time that are excluded: they stand still, whatever they promise."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from random import Random

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.timer import backtest, fold, ledger
from services.timer.business_hours import BusinessHours
from services.timer.clock import Clock, counted
from services.timer.exclusion import Exclusion, Exclusions
from services.timer.explaining.explanation import explain
from services.timer.item import ItemState
from services.timer.ledger import Firing
from services.timer.policy_set import PolicySet
from services.timer.rulebook import Rulebook
from shared.events import SECOND, BreachEvent, Event, Instant
from tests.histories import DAY, MONDAY, at, clocks, event, history, policies, rulebook, told
from tests.strategies_events import LENGTH, STEP, UNTIL, histories, rulebooks
from tests.unit.test_exclusion import exclusion

LAW = settings(max_examples=100, deadline=None)  # a first question to a calendar compiles a year
PLAIN = """
- name: p
  applies_to: {}
  calendar: always
  targets: {resolution: {within: 4h, warn_at: [50%], by: {priority: {urgent: 2h}}}}
  pause_when: {status: pending}
"""
NOON = exclusion("noon", "10:00", "12:00")
ITEM = "default/ticket/1"


def excluding(rules: Rulebook, *exclusions: Exclusion) -> Rulebook:
    """The rulebook with these exclusions in its newest version."""
    *older, (since, newest) = rules.versions
    return Rulebook((*older, (since, newest.excluding(exclusions))))


def found(text: str, *exclusions: Exclusion, until: str = "20:00", rules: str = PLAIN) -> str:
    (line,) = clocks(history(text), excluding(rulebook(rules), *exclusions), until)
    return line.removeprefix("resolution 1 p ")


class TestStandingStill:
    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            # A clock stands still in the span, and what it did not use comes after it,
            ("09:00 created", "breached 09:00– due 15:00 elapsed 9:00 paused 2:00"),
            # also one that starts in it.
            ("11:00 created", "breached 11:00– due 16:00 elapsed 8:00 paused 1:00"),
            # Due exactly at its start is due then, and it goes on standing still.
            ("06:00 created", "breached 06:00– due 10:00 elapsed 12:00 paused 2:00"),
            # What ends in the span is measured up to it,
            ("09:00 created\n11:00 resolved", "met 09:00–11:00 due 15:00 elapsed 1:00 paused 1:00"),
            # late or not: of a breached clock no late time is counted in it.
            ("05:00 created\n11:00 resolved", "breached 05:00–11:00 due 09:00 elapsed 5:00 paused 1:00"),
            # A pause and an exclusion count once,
            (
                "09:00 created\n09:30 updated status=pending\n11:30 updated status=open",
                "breached 09:00– due 15:30 elapsed 8:30 paused 2:30",
            ),
            (
                "09:00 created\n11:00 updated status=pending\n13:00 updated status=open",
                "breached 09:00– due 16:00 elapsed 8:00 paused 3:00",
            ),
            # and so do the time of being over and an exclusion.
            ("09:00 created\n11:00 resolved\n13:00 reopened", "breached 09:00– due 16:00 elapsed 8:00 paused 3:00"),
            # A change of terms counts as if they had held since the start, in the span too.
            ("09:00 created\n12:30 updated priority=urgent", "breached 09:00– due 13:00 elapsed 9:00 paused 2:00"),
            (
                "08:30 created\n12:40 updated priority=urgent",
                "breached 08:30– due 12:30 breached 12:40 elapsed 9:30 paused 2:00",
            ),
        ],
    )
    def test_a_clock(self, text: str, expected: str) -> None:
        assert found(text, NOON) == expected

    def test_several_spans_add_up(self) -> None:
        others = [("a", "11:00", "13:00"), ("b", "14:00", "14:30"), ("c", "+1 00:00", "+2 00:00")]
        assert (
            found("09:00 created", NOON, *(exclusion(*each) for each in others))
            == "breached 09:00– due 16:30 elapsed 7:30 paused 3:30"
        )

    def test_only_open_time_counts_as_paused(self) -> None:
        rules = PLAIN.replace("always", "office")
        assert found("16:00 created", exclusion("a", "16:30", "+1 10:00"), until="+1 17:00", rules=rules) == (
            "breached 16:00– due +1 13:30 elapsed 7:30 paused 1:30"
        )

    def test_a_warning_moves_with_the_due_time(self) -> None:
        rules = excluding(rulebook(PLAIN), NOON)
        outputs = backtest.published([event("09:00 created")], rules, at("20:00"))
        assert [told(output) for output in outputs] == [
            "clock.warning resolution 50% 13:00",
            "clock.breached resolution 15:00",
        ]


class TestWhichItems:
    GROUP = exclusion("noon", "10:00", "12:00", group="g1")

    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            # The attributes as of each instant decide: not yet, no more, never, and all the time.
            ("09:00 created\n11:00 updated group=g1", "breached 09:00– due 14:00 elapsed 10:00 paused 1:00"),
            ("09:00 created group=g1\n11:00 updated group=g2", "breached 09:00– due 14:00 elapsed 10:00 paused 1:00"),
            ("09:00 created\n12:00 updated group=g1", "breached 09:00– due 13:00 elapsed 11:00"),
            ("09:00 created group=g1\n11:00 updated note=x", "breached 09:00– due 15:00 elapsed 9:00 paused 2:00"),
            # A breached clock too,
            ("05:00 created\n11:00 updated group=g1", "breached 05:00– due 09:00 elapsed 14:00 paused 1:00"),
            # one that stands still anyway,
            (
                "09:00 created status=pending\n11:00 updated group=g1\n11:30 updated status=open",
                "breached 09:00– due 16:00 elapsed 8:00 paused 3:00",
            ),
            # and one that a change of terms counts again.
            (
                "09:00 created\n10:30 updated group=g1\n11:00 updated priority=urgent",
                "breached 09:00– due 12:30 elapsed 9:30 paused 1:30",
            ),
        ],
    )
    def test_those_that_match(self, text: str, expected: str) -> None:
        assert found(text, self.GROUP) == expected

    def test_a_clock_of_an_older_version_too(self) -> None:
        plain = policies(PLAIN)
        rules = Rulebook(((0, plain.named("1")),)).adding(at("15:00"), plain.named("2").excluding([NOON]))
        (line,) = clocks([event("09:00 created")], rules, "20:00")
        assert line == "resolution 1 p breached 09:00– due 15:00 elapsed 9:00 paused 2:00"


class TestAfterTheFact:
    BEFORE, AFTER = rulebook(PLAIN), excluding(rulebook(PLAIN), NOON)
    STORY = history("09:00 created")

    def test_a_breach_that_does_not_stand_any_more_is_taken_back(self) -> None:
        state = fold.refold(self.STORY, self.BEFORE)
        known, first = ledger.outputs(ITEM, state, ledger.EMPTY, Firing(at("13:00") + 1, at("13:00") + 1))
        assert [told(output) for output in first] == [
            "clock.warning resolution 50% 11:00",
            "clock.breached resolution 13:00",
        ]
        again = fold.refold(self.STORY, self.AFTER)
        assert (state.exclusions, again.exclusions) == ("", self.AFTER.exclusions_revision)
        assert ledger.contradicted(again, known)
        known, second = ledger.outputs(ITEM, again, known, Firing(at("14:00"), at("14:00")))
        assert [told(output) for output in second] == ["breach.retracted resolution 13:00"]
        assert second[0].event.breach_id == first[-1].event.breach_id
        assert ledger.next_due(again, known) == at("15:00")
        known, third = ledger.outputs(ITEM, again, known, Firing(at("15:00") + 1, at("15:00") + 1))
        assert [told(output) for output in third] == ["clock.breached resolution 15:00"]

    def test_a_breach_at_another_time_takes_its_place_at_once(self) -> None:
        state = fold.refold(self.STORY, self.BEFORE)
        known, _ = ledger.outputs(ITEM, state, ledger.EMPTY, Firing(at("18:00"), at("18:00")))
        _, outputs = ledger.outputs(ITEM, fold.refold(self.STORY, self.AFTER), known, Firing(at("18:00"), at("18:00")))
        assert [told(output) for output in outputs] == [
            "breach.retracted resolution 13:00",
            "clock.breached resolution 15:00",
        ]
        assert outputs[0].event.replaced_by == outputs[1].event.breach_id


def explained(text: str, *exclusions: Exclusion, until: str = "20:00") -> BreachEvent:
    outputs = backtest.published(history(text), excluding(rulebook(PLAIN), *exclusions), at(until))
    return outputs[-1].event


class TestExplained:
    def spans(self, event: BreachEvent) -> list[str]:
        named = [f" {span.exclusion}, {span.reason}" if span.exclusion else "" for span in event.explanation]
        return [
            f"{span.start[11:16]}–{span.end[11:16]} {span.state} {span.business_s / 3600:g}{name}"
            for span, name in zip(event.explanation, named, strict=True)
        ]

    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            # Of a breach that comes long after the last event,
            (
                "09:00 created",
                ["09:00–10:00 running 1", "10:00–12:00 excluded 2 noon, why noon", "12:00–15:00 running 3"],
            ),
            # of a clock that started in the span,
            ("11:00 created", ["11:00–12:00 excluded 1 noon, why noon", "12:00–16:00 running 4"]),
            # of one that was paused beside it,
            (
                "09:00 created\n09:30 updated status=pending\n11:30 updated status=open",
                [
                    "09:00–09:30 running 0.5",
                    "09:30–11:30 paused 2",
                    "11:30–12:00 excluded 0.5 noon, why noon",
                    "12:00–15:30 running 3.5",
                ],
            ),
            # and of one that was stopped late.
            (
                "09:00 created\n16:00 resolved",
                ["09:00–10:00 running 1", "10:00–12:00 excluded 2 noon, why noon", "12:00–16:00 running 4"],
            ),
        ],
    )
    def test_an_event_shows_what_was_excluded(self, text: str, expected: list[str]) -> None:
        assert self.spans(explained(text, NOON)) == expected

    def test_an_explanation_shows_it_too(self) -> None:
        story = explain(ITEM, history("09:00 created\n16:00 resolved"), excluding(rulebook(PLAIN), NOON), at("20:00"))
        (clock,) = story.clocks
        assert [(span.state, span.business // SECOND / 3600, span.because) for span in clock.spans] == [
            ("running", 1, None),
            ("excluded", 2, "noon: why noon"),
            ("running", 4, None),
        ]

    def test_more_spans_than_an_item_keeps_are_explained(self) -> None:
        many = [exclusion(f"x{n}", f"+{n} 10:00", f"+{n} 11:00") for n in range(40)]
        rules = PLAIN.replace("4h", "2000h")
        events = [event("09:00 created", number=1), event("+45 09:00 updated status=pending", number=2)]
        story = explain(ITEM, events, excluding(rulebook(rules), *many), at("+46 00:00"))
        (clock,) = story.clocks
        assert sum(span.state == "excluded" for span in clock.spans) == 40
        assert sum(span.business for span in clock.spans if span.state == "running") == clock.elapsed


@st.composite
def exclusions(draw: st.DrawFn) -> list[Exclusion]:
    """Up to four, of all items or of some."""
    some = []
    for number in range(draw(st.integers(0, 4))):
        start, end = sorted(draw(st.sets(st.integers(0, LENGTH // STEP), min_size=2, max_size=2)))
        asked = draw(st.sampled_from(({}, {"group": "g1"}, {"customer": "acme"}, {"priority": "urgent"})))
        since = MONDAY + 9 * 3600 * SECOND
        conditions = {name: frozenset({value}) for name, value in asked.items()}
        some.append(Exclusion(f"x{number}", since + start * STEP, since + end * STEP, "why", conditions))
    return some


def newest(rules: Rulebook) -> PolicySet:
    return rules.versions[-1][1]


class TestLaws:
    @LAW
    @given(histories(), rulebooks(), exclusions(), st.randoms(use_true_random=False))
    def test_any_order_gives_the_same(
        self, events: list[Event], rules: Rulebook, excluded: list[Exclusion], random: Random
    ) -> None:
        rules = excluding(rules, *excluded)
        shuffled = list(events)
        random.shuffle(shuffled)
        assert fold.refold(shuffled, rules) == fold.refold(events, rules)

    @LAW
    @given(histories(), rulebooks(), exclusions())
    def test_elapsed_and_paused_are_the_business_time_from_start_to_stop(
        self, events: list[Event], rules: Rulebook, excluded: list[Exclusion]
    ) -> None:
        rules = excluding(rules, *excluded)
        state = fold.refold(events, rules)
        for clock in state.clocks:
            gross = rules.hours(clock.version, clock.calendar)
            hours = rules.exclusions.net(gross, events[0].kind, state.attributes)
            end = UNTIL if clock.stopped_at is None else clock.stopped_at
            assert sum(counted(clock, UNTIL, hours)) == gross.between(clock.started_at, end)

    @LAW
    @given(histories(), rulebooks(), st.integers(0, 4), st.integers(1, 3))
    def test_excluded_days_are_as_if_the_calendar_had_been_closed(
        self, events: list[Event], rules: Rulebook, first: int, days: int
    ) -> None:
        start = MONDAY + first * DAY
        excluded = excluding(rules, Exclusion("x", start, start + days * DAY, "why"))
        closed = Rulebook(((0, _closed(newest(rules), start, days)),))
        assert [row._replace(paused=0) for row in backtest.run(events, excluded, UNTIL)] == [
            row._replace(paused=0) for row in backtest.run(events, closed, UNTIL)
        ]

    @LAW
    @given(histories(), rulebooks(), exclusions())
    def test_what_every_breach_shows_adds_up(
        self, events: list[Event], rules: Rulebook, excluded: list[Exclusion]
    ) -> None:
        for output in backtest.published(
            sorted(events, key=lambda each: each.order), excluding(rules, *excluded), UNTIL
        ):
            shown = output.event.explanation
            if output.type != "sla.breach.retracted.v1" and len(shown) < 20:
                running = sum(round(span.business_s * SECOND) for span in shown if span.state == "running")
                assert running == round(output.event.elapsed_s * SECOND)
                assert [span.start for span in shown[1:]] == [span.end for span in shown[:-1]]

    @LAW
    @given(histories(), rulebooks(), exclusions())
    def test_what_explanations_show_adds_up(
        self, events: list[Event], rules: Rulebook, excluded: list[Exclusion]
    ) -> None:
        story = explain(ITEM, events, excluding(rules, *excluded), UNTIL)
        for clock in story.clocks:
            running = sum(span.business for span in clock.spans if span.state == "running")
            standing = sum(span.business for span in clock.spans if span.state in ("paused", "excluded"))
            assert (running, standing) == (clock.elapsed, clock.paused)

    @LAW
    @given(histories(), rulebooks(), exclusions())
    def test_what_is_excluded_elsewhere_changes_nothing(
        self, events: list[Event], rules: Rulebook, excluded: list[Exclusion]
    ) -> None:
        elsewhere = [replace(each, applies_to={"site": frozenset({"x"})}) for each in excluded]
        with_them = fold.refold(events, excluding(rules, *elsewhere))
        assert msgspec.structs.replace(with_them, exclusions="") == fold.refold(events, rules)


def _closed(policies: PolicySet, start: Instant, days: int) -> PolicySet:
    """The same policies, with calendars that do not open on these days."""
    first = datetime.fromtimestamp(start / SECOND, UTC).date()
    exceptions = {first + timedelta(days=number): () for number in range(days)}
    calendars = {
        name: BusinessHours(replace(hours.spec, exceptions={**hours.spec.exceptions, **exceptions}))
        for name, hours in policies.calendars.items()
    }
    return PolicySet(policies.version, policies.policies, calendars, metrics=policies.metrics)


def test_what_was_stored_before_there_were_exclusions_is_still_read() -> None:
    events: Sequence[Event] = history("09:00 created\n10:00 updated status=pending\n11:00 updated status=open")
    state = fold.refold(events, rulebook(PLAIN))
    older = msgspec.msgpack.decode(msgspec.msgpack.encode(state))
    for clock in older[1]:
        del clock[len(Clock.__struct_fields__) - 1 :]  # `coming`
        clock[22] = [stretch[:4] for stretch in clock[22]]  # `past`
    assert Clock.__struct_fields__[22] == "past"
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(older), type=ItemState) == state


def test_a_revision_names_the_exclusions_that_an_item_was_folded_under() -> None:
    rules = excluding(rulebook(PLAIN), NOON)
    assert fold.refold([event("09:00 created")], rules).exclusions == Exclusions([NOON]).revision
