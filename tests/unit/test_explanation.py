"""Why an item's clocks are as they are: the fold watched one event after another."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.timer import backtest
from services.timer.clock import STRETCHES_KEPT, reach
from services.timer.explaining.accounting import STANDING, total
from services.timer.explaining.explanation import ClockStory, Explanation, explain
from services.timer.policy_file import load
from services.timer.rulebook import Rulebook
from shared.events import SECOND, Event
from tests.histories import CALENDARS, MONDAY, at, history, rulebook, span, time
from tests.strategies_events import LENGTH, STEP, UNTIL, histories, rulebooks

LAW = settings(max_examples=100, deadline=None)  # a first question to a calendar compiles a year
ITEM = "default/ticket/1"
PLAIN = rulebook("""
- name: p
  applies_to: {}
  calendar: office
  targets: {resolution: {within: 16h, by: {priority: {urgent: 4h}}, warn_at: [50%]}}
  pause_when: {status: [pending, on_hold]}
""")


FLIPS = ((10, "pending"), (11, "open"), (12, "on_hold"), (13, "open"), (14, "pending"), (15, "open"))
LONG = """
- name: p
  applies_to: {}
  calendar: {default: office, by: {priority: {urgent: always}}}
  targets: {resolution: {within: 900h, by: {priority: {urgent: 800h}}}}
  pause_when: {status: [pending, on_hold]}
"""
TURNS = (
    *("updated status=pending", "updated status=open", "updated status=on_hold", "updated status=open") * 3,
    *("updated priority=urgent", "updated priority=low", "resolved", "reopened status=open", "reopened status=pending"),
)


EXCLUDING = load(
    {
        "policies.yaml": f"""{CALENDARS}
exclusions:
  - {{name: move, from: 2026-01-05T10:00:00Z, until: 2026-01-05T12:00:00Z, reason: the office moves}}
  - {{name: flood, from: 2026-01-05T15:00:00Z, until: 2026-01-06T15:00:00Z, reason: force majeure,
      applies_to: {{priority: [urgent, low]}}}}
  - {{name: outage, from: 2026-01-06T12:00:00Z, until: 2026-01-07T10:00:00Z, reason: no network,
      applies_to: {{group: g1}}}}
policies:
  - {{name: none, applies_to: {{kind: call}}, calendar: always, targets: {{answer: 1h}}}}
"""
    }
)


def excluding(rules: Rulebook) -> Rulebook:
    """The rules with the exclusions of a version that is in force for nothing yet; exclusions hold at once."""
    return Rulebook((*rules.versions, (2 * UNTIL, EXCLUDING)))


def any_rulebooks() -> st.SearchStrategy[Rulebook]:
    """Rulebooks, some of them with exclusions."""
    return rulebooks() | rulebooks().map(excluding)


def explained(story: str, rules: Rulebook = PLAIN, until: str = "+28 00:00") -> Explanation:
    return explain(ITEM, history(story), rules, at(until))


def the_clock(story: str, rules: Rulebook = PLAIN, until: str = "+28 00:00") -> ClockStory:
    (clock,) = explained(story, rules, until).clocks
    return clock


def spans(clock: ClockStory) -> list[str]:
    found = [f"{time(each.start)}–{time(each.end)} {each.state} {span(each.business)}" for each in clock.spans]
    reasons = [f" ({each.because})" if each.because else "" for each in clock.spans]
    return [text + reason for text, reason in zip(found, reasons, strict=True)]


def milestones(clock: ClockStory) -> list[str]:
    return [f"{time(each.at)} {each.what} {each.event.id if each.event else 'time'}" for each in clock.milestones]


class TestSpans:
    def test_what_ran_is_parted_where_the_calendar_closes(self) -> None:
        assert spans(the_clock("16:00 created\n+1 10:00 resolved")) == [
            "16:00–17:00 running 1:00",
            "17:00–+1 09:00 closed 0:00",
            "+1 09:00–+1 10:00 running 1:00",
        ]

    def test_a_clock_that_starts_and_ends_outside_of_business_hours_is_closed_from_start_to_end(self) -> None:
        assert spans(the_clock("07:00 created\n08:00 resolved")) == ["07:00–08:00 closed 0:00"]

    def test_a_pause_says_which_condition_holds_the_clock(self) -> None:
        assert spans(
            the_clock("09:00 created\n10:00 updated status=pending\n11:00 updated status=open", until="12:00")
        ) == [
            "09:00–10:00 running 1:00",
            "10:00–11:00 paused 1:00 (status is pending)",
            "11:00–12:00 running 1:00",
        ]

    def test_a_pause_is_parted_where_its_reason_changes(self) -> None:
        story = """
            09:00 created
            10:00 updated status=pending
            11:00 updated status=on_hold
            12:00 resolved status=resolved
            13:00 reopened status=open
        """
        assert spans(the_clock(story, until="14:00")) == [
            "09:00–10:00 running 1:00",
            "10:00–11:00 paused 1:00 (status is pending)",
            "11:00–12:00 paused 1:00 (status is on_hold)",
            "12:00–13:00 paused 1:00 (the item is over)",
            "13:00–14:00 running 1:00",
        ]

    def test_what_a_late_first_snapshot_shows_holds_since_the_creation_that_it_names(self) -> None:
        story = "10:00 snapshot status=pending created_at=09:00"
        assert spans(the_clock(story, until="11:00")) == ["09:00–11:00 paused 2:00 (status is pending)"]

    def test_a_clock_that_ends_at_its_start_has_none(self) -> None:
        rules = rulebook("- {name: p, applies_to: {}, calendar: always, targets: {assignment: 1h}}")
        assert spans(the_clock("09:00 created assignee=ann", rules)) == []

    def test_more_stretches_are_shown_than_the_item_keeps(self) -> None:
        flips = [f"+{day} {hour:02}:00 updated status={status}" for day in range(10) for hour, status in FLIPS]
        clock = the_clock("09:00 created\n" + "\n".join(flips))
        assert len(clock.clock.past) == STRETCHES_KEPT
        assert [each.state for each in clock.spans].count("paused") == 30
        assert clock.spans[0].start == at("09:00")

    def test_they_are_also_shown_of_a_clock_that_was_counted_anew(self) -> None:
        flips = "\n".join(f"+{day} {hour:02}:00 updated status={status}" for day in range(10) for hour, status in FLIPS)
        live = the_clock(f"09:00 created priority=urgent\n{flips}", rulebook(LONG), until="+11 00:00")
        late = f"09:00 created\n{flips}\n+10 23:00 updated priority=urgent"
        clock = the_clock(late, rulebook(LONG), until="+11 00:00")
        assert [each.what for each in clock.milestones][-1] == "terms changed"
        assert len(clock.clock.past) == STRETCHES_KEPT
        assert spans(clock) == spans(live)


class TestExclusions:
    def test_an_excluded_span_says_by_what_and_why_and_the_due_time_what_it_takes_away(self) -> None:
        clock = the_clock("09:00 created", excluding(PLAIN), until="11:00")
        assert spans(clock) == ["09:00–10:00 running 1:00", "10:00–11:00 excluded 1:00 (move: the office moves)"]
        assert (clock.elapsed, clock.paused) == (3600 * SECOND, 3600 * SECOND)
        assert (time(clock.derivation.due_at), span(clock.derivation.excluded)) == ("+2 11:00", "2:00")

    def test_it_begins_where_a_change_of_the_item_lets_it_cover_it(self) -> None:
        story = "09:00 created\n16:00 updated priority=low"
        assert spans(the_clock(story, excluding(PLAIN), until="+1 16:00"))[3:] == [
            "16:00–+1 15:00 excluded 7:00 (flood: force majeure)",
            "+1 15:00–+1 16:00 running 1:00",
        ]


class TestMilestones:
    def test_each_names_the_event_by_which_it_happened_or_the_time(self) -> None:
        story = """
            09:00 created
            10:00 updated status=pending
            11:00 updated status=open
            +3 10:00 resolved status=resolved
            +3 11:00 reopened status=open
        """
        assert milestones(the_clock(story, until="+3 12:00")) == [
            "09:00 started 001",
            "10:00 paused 002",
            "11:00 resumed 003",
            "+1 10:00 warned time",
            "+2 10:00 breached time",
            "+3 10:00 met 004",
            "+3 11:00 taken up 005",
        ]

    def test_a_change_of_terms_shows_both_promises_and_the_breach_by_it(self) -> None:
        clock = the_clock("09:00 created\n15:00 updated priority=urgent", until="16:00")
        assert milestones(clock) == ["09:00 started 001", "15:00 terms changed 002", "15:00 breached 002"]
        change = clock.milestones[1]
        assert change.was is not None
        assert change.now is not None
        assert (change.was.target, change.now.target) == (16 * 3600 * SECOND, 4 * 3600 * SECOND)

    def test_a_cycle_that_is_covered_late_started_by_the_event_that_began_it(self) -> None:
        rules = rulebook("- {name: gold, applies_to: {customer: acme}, calendar: always, targets: {resolution: 4h}}")
        clock = the_clock("09:00 created\n10:00 updated customer=acme", rules, until="11:00")
        assert milestones(clock) == ["09:00 started 001", "10:00 covered 002"]


class TestAt:
    def test_what_happened_later_was_not_known(self) -> None:
        story = "09:00 created\n10:00 resolved"
        assert explained(story, until="09:59").clocks[0].clock.state == "running"
        assert explained(story, until="10:00").clocks[0].clock.state == "met"

    def test_a_deadline_at_the_instant_itself_has_not_passed(self) -> None:
        assert the_clock("09:00 created priority=urgent", until="13:00").clock.state == "running"
        assert (
            explain(ITEM, history("09:00 created priority=urgent"), PLAIN, at("13:00") + 1).clocks[0].clock.breached_at
        )

    def test_before_the_first_event_nothing_was_known(self) -> None:
        assert explained("09:00 created", until="08:00").happenings == []


class TestDerivation:
    @pytest.mark.parametrize(
        ("story", "expected"),
        [
            # From the start.
            ("09:00 created", "16:00 0:00 09:00 +1 17:00"),
            # From the last resumption on, with what was used before.
            ("09:00 created\n10:00 updated status=pending\n12:00 updated status=open", "16:00 1:00 12:00 +2 11:00"),
            # By other terms from the start.
            ("09:00 created\n10:00 updated priority=urgent", "4:00 0:00 09:00 13:00"),
            # While it stands still there is none.
            ("09:00 created\n10:00 updated status=pending", "16:00 1:00 10:00 "),
            # Stopped while it stood still: if it had gone on then.
            ("09:00 created\n10:00 updated status=pending\n12:00 resolved", "16:00 1:00 12:00 +2 11:00 if"),
        ],
    )
    def test_a_due_time_is_what_is_left_from_the_last_stretch_on(self, story: str, expected: str) -> None:
        found = the_clock(story, until="12:30").derivation
        words = [span(found.target), span(found.used), time(found.since), time(found.due_at)]
        assert " ".join(words + ["if"] * found.hypothetical) == expected


class TestUnmeasured:
    def test_a_cycle_that_no_policy_measures_says_why(self) -> None:
        rules = rulebook("- {name: gold, applies_to: {customer: acme}, calendar: always, targets: {resolution: 4h}}")
        (found,) = explained("09:00 created customer=zed", rules).unmeasured
        assert found.cycle.metric == "resolution"
        assert [(each.outcome, each.because) for each in found.decision.verdicts] == [
            ("no match", "customer is zed, and must be acme")
        ]


class TestLaws:
    @LAW
    @given(histories(), any_rulebooks(), st.integers(0, 2 * LENGTH // STEP))
    def test_spans_are_contiguous_and_add_up(self, events: list[Event], rules: Rulebook, quarters: int) -> None:
        until = MONDAY + 9 * 3600 * SECOND + quarters * STEP
        found = explain(ITEM, events, rules, until).clocks
        for story in found:
            end = until if story.clock.stopped_at is None else story.clock.stopped_at
            marks = [(each.start, each.end) for each in story.spans]
            if story.clock.started_at == end:
                assert marks == []
            else:
                assert (marks[0][0], marks[-1][1]) == (story.clock.started_at, end)
                assert all(before[1] == after[0] and before[0] < before[1] for before, after in pairwise(marks))
            assert (total(story.spans, "running"), total(story.spans, *STANDING)) == (story.elapsed, story.paused)

    @LAW
    @given(histories(), any_rulebooks())
    def test_the_clocks_are_those_of_a_backtest(self, events: list[Event], rules: Rulebook) -> None:
        rows = backtest.run(events, rules, UNTIL)
        found = [(each.clock, each.elapsed, each.paused) for each in explain(ITEM, events, rules, UNTIL).clocks]
        assert sorted(
            (clock.metric, clock.cycle, clock.policy, clock.state, clock.due_at, clock.breached_at, elapsed, paused)
            for clock, elapsed, paused in found
        ) == [
            (row.metric, row.cycle, row.policy, row.state, row.due_at, row.breached_at, row.elapsed, row.paused)
            for row in rows
        ]

    @LAW
    @given(histories(), any_rulebooks())
    def test_a_due_time_follows_from_its_derivation(self, events: list[Event], rules: Rulebook) -> None:
        for story in explain(ITEM, events, rules, UNTIL).clocks:
            found = story.derivation
            hours = rules.version(story.clock.version).calendars[found.calendar]
            assert found.due_at == story.clock.due_at
            if found.due_at is not None:
                assert hours.between(found.since, found.due_at) == found.left + found.excluded
                assert found.excluded or reach(hours, found.since, found.left) == found.due_at

    @LAW
    @given(histories(), any_rulebooks())
    def test_every_pause_has_a_reason(self, events: list[Event], rules: Rulebook) -> None:
        for story in explain(ITEM, events, rules, UNTIL).clocks:
            assert [each for each in story.spans if each.state == "paused" and each.because is None] == []

    @LAW
    @given(histories(), any_rulebooks())
    def test_milestones_tell_every_warning_breach_and_end(self, events: list[Event], rules: Rulebook) -> None:
        for story in explain(ITEM, events, rules, UNTIL).clocks:
            told = [(each.what, each.at) for each in story.milestones]
            assert told[0] == ("started", story.clock.started_at)
            assert [at for what, at in told if what == "warned"] == [each.at for each in story.clock.warned]
            assert [at for what, at in told if what == "breached"] == (
                [] if story.clock.breached_at is None else [story.clock.breached_at]
            )
            ended = [at for what, at in told if what in ("met", "abandoned", "cancelled")]
            assert story.clock.stopped_at is None or ended[-1] == story.clock.stopped_at

    @LAW
    @given(histories(), any_rulebooks())
    def test_the_policy_that_won_is_that_of_the_clock(self, events: list[Event], rules: Rulebook) -> None:
        for story in explain(ITEM, events, rules, UNTIL).clocks:
            decided = story.decisions[-1].verdicts
            (mine,) = [each for each in decided if each.policy == story.clock.policy]
            assert mine.outcome == ("beside" if story.clock.beside else "won")
            assert mine.target == story.clock.target

    @settings(max_examples=30, deadline=None)
    @given(st.lists(st.sampled_from(TURNS), min_size=80, max_size=88), st.sampled_from(("recompute", "keep")))
    def test_also_lives_longer_than_the_item_keeps_are_told_whole(self, turns: list[str], on_change: str) -> None:
        rules = rulebook(f"{LONG}  on_change: {on_change}\n")
        story = "\n".join(["00:00 created", *(f"+{n // 8} {n % 8 + 9:02}:30 {turn}" for n, turn in enumerate(turns))])
        until = "+11 00:00"
        for clock in explained(story, rules, until).clocks:
            end = at(until) if clock.clock.stopped_at is None else clock.clock.stopped_at
            assert all(before.end == after.start for before, after in pairwise(clock.spans))
            assert (clock.spans[0].start, clock.spans[-1].end) == (clock.clock.started_at, end)
            assert (total(clock.spans, "running"), total(clock.spans, *STANDING)) == (clock.elapsed, clock.paused)


class TestOwnMetrics:
    RULES = Rulebook(
        (
            (
                0,
                load(
                    {
                        "policies.yaml": f"""{CALENDARS}
metrics:
  with_vendor:
    starts: {{becomes: {{status: with_vendor}}}}
    stops: [{{leaves: {{status: with_vendor}}}}, over]
    pauses: {{vendor_away: yes}}
    repeats: true
policies:
  - {{name: p, applies_to: {{}}, calendar: always, targets: {{with_vendor: 2h}}, pause_when: {{status: pending}}}}
"""
                    }
                ),
            ),
        )
    )

    def test_pauses_and_ends_of_a_metric_of_ones_own_are_explained_by_its_definition(self) -> None:
        story = """
            09:00 created
            10:00 updated status=with_vendor
            11:00 updated vendor_away=yes
            12:00 updated vendor_away=none
            13:00 updated status=open
        """
        found = explained(story, self.RULES, "14:00")
        (clock,) = found.clocks
        assert milestones(clock) == ["10:00 started 002", "11:00 paused 003", "12:00 resumed 004", "13:00 met 005"]
        assert spans(clock) == [
            "10:00–11:00 running 1:00",
            "11:00–12:00 paused 1:00 (vendor_away is yes)",
            "12:00–13:00 running 1:00",
        ]
        assert [change for happening in found.happenings for change in happening.changes] == [
            ("status", None, "with_vendor"),
            ("vendor_away", None, "yes"),
            ("vendor_away", "yes", None),
            ("status", "with_vendor", "open"),
        ]
