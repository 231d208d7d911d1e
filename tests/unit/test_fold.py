"""What becomes of each clock: the rules of the design, one history each."""

from __future__ import annotations

import msgspec
import pytest

from services.timer import fold
from services.timer.item import ItemState
from services.timer.rulebook import Rulebook
from tests.histories import at, clocks, event, history, policies, rulebook

ALL = rulebook("""
- name: all
  applies_to: {kind: [ticket, chat, call]}
  calendar: always
  targets:
    {first_response: 2h, next_response: 1h, periodic_update: 4h, resolution: 8h, assignment: 30m, pickup: 1m,
     answer: 20s, handling: 1h}
  pause_when: {status: [pending, on_hold]}
""")


def only(metric: str, options: str = "") -> Rulebook:
    """A rulebook that measures one metric of everything, two hours around the clock."""
    return rulebook(f"""
- name: p
  applies_to: {{}}
  calendar: always
  targets: {{{metric}: 2h}}
  pause_when: {{status: [pending, on_hold]}}
{options}
""")


class TestMetrics:
    @pytest.mark.parametrize(
        ("metric", "kind", "story", "expected"),
        [
            # done in time
            (
                "first_response",
                "ticket",
                "08:00 created|09:00 agent_replied",
                ["met 08:00–09:00 due 10:00 elapsed 1:00"],
            ),
            # done exactly when due is in time
            (
                "first_response",
                "ticket",
                "08:00 created|10:00 agent_replied",
                ["met 08:00–10:00 due 10:00 elapsed 2:00"],
            ),
            # done late
            (
                "first_response",
                "ticket",
                "08:00 created|10:01 agent_replied",
                ["breached 08:00–10:01 due 10:00 elapsed 2:01"],
            ),
            # only a public reply of a person counts
            (
                "first_response",
                "ticket",
                "08:00 created|08:10 agent_replied author=bot|08:20 agent_replied author=system"
                "|08:30 agent_replied public=false|08:40 customer_replied|09:00 agent_replied author=agent",
                ["met 08:00–09:00 due 10:00 elapsed 1:00"],
            ),
            # who spoke is said by the author, where there is one
            (
                "first_response",
                "ticket",
                "08:00 created|08:10 customer_replied author=agent",
                ["met 08:00–08:10 due 10:00 elapsed 0:10"],
            ),
            # only the first creation counts
            (
                "first_response",
                "ticket",
                "08:00 created|08:30 created|09:00 agent_replied",
                ["met 08:00–09:00 due 10:00 elapsed 1:00"],
            ),
            # the item is over without an answer
            (
                "first_response",
                "ticket",
                "08:00 created|09:00 closed|09:30 agent_replied",
                ["cancelled 08:00–09:00 due 10:00 elapsed 1:00"],
            ),
            # the first unanswered message counts, and none before the first response
            (
                "next_response",
                "ticket",
                "08:00 created|08:10 customer_replied|08:20 agent_replied|09:00 customer_replied|09:30 customer_replied"
                "|10:00 agent_replied|10:10 agent_replied|11:00 customer_replied|13:01 agent_replied",
                ["met 09:00–10:00 due 11:00 elapsed 1:00", "breached 11:00–13:01 due 13:00 elapsed 2:01"],
            ),
            # every reply starts the next update, and being resolved meets the last
            (
                "periodic_update",
                "ticket",
                "08:00 created|09:00 agent_replied|12:00 agent_replied|13:00 resolved|14:00 agent_replied"
                "|15:00 reopened|15:10 reopened|16:00 closed",
                [
                    "met 08:00–09:00 due 10:00 elapsed 1:00",
                    "breached 09:00–12:00 due 11:00 elapsed 3:00",
                    "met 12:00–13:00 due 14:00 elapsed 1:00",
                    "met 15:00–16:00 due 17:00 elapsed 1:00",
                ],
            ),
            # closing what is resolved changes nothing
            (
                "resolution",
                "ticket",
                "08:00 created|09:00 resolved|12:00 closed",
                ["met 08:00–09:00 due 10:00 elapsed 1:00"],
            ),
            # reopening takes up the same clock; the time between counts as paused
            (
                "resolution",
                "ticket",
                "08:00 created|09:00 resolved|12:00 reopened|12:30 resolved",
                ["met 08:00–12:30 due 13:00 elapsed 1:30 paused 3:00"],
            ),
            # also one that breached and was resolved late
            (
                "resolution",
                "ticket",
                "08:00 created|11:00 resolved|12:00 reopened|14:00 resolved",
                ["breached 08:00–14:00 due 10:00 elapsed 5:00 paused 1:00"],
            ),
            ("pickup", "chat", "08:00 started|08:30 accepted", ["met 08:00–08:30 due 10:00 elapsed 0:30"]),
            # pickup does not repeat
            (
                "pickup",
                "chat",
                "08:00 started|08:30 missed|08:40 started|08:50 accepted",
                ["abandoned 08:00–08:30 due 10:00 elapsed 0:30"],
            ),
            # exactly when due, nothing is broken yet
            ("pickup", "chat", "08:00 started|10:00 missed", ["abandoned 08:00–10:00 due 10:00 elapsed 2:00"]),
            ("pickup", "chat", "08:00 started|10:01 missed", ["breached 08:00–10:01 due 10:00 elapsed 2:01"]),
            ("pickup", "chat", "08:00 started|08:30 ended", ["abandoned 08:00–08:30 due 10:00 elapsed 0:30"]),
            # a ticket is never picked up
            ("pickup", "ticket", "08:00 created", []),
            # each queueing is one cycle, which is not started twice
            (
                "answer",
                "call",
                "08:00 queued|08:10 queued|08:30 answered|09:00 queued|09:10 abandoned|10:00 queued|10:20 ended"
                "|11:00 queued",
                [
                    "met 08:00–08:30 due 10:00 elapsed 0:30",
                    "abandoned 09:00–09:10 due 11:00 elapsed 0:10",
                    "abandoned 10:00–10:20 due 12:00 elapsed 0:20",
                ],
            ),
            # answering does not wait for a customer to be ready
            (
                "answer",
                "call",
                "08:00 queued status=pending|09:00 answered",
                ["met 08:00–09:00 due 10:00 elapsed 1:00"],
            ),
            # an assignee at creation
            ("assignment", "ticket", "08:00 created assignee=ann", ["met 08:00–08:00 due 10:00 elapsed 0:00"]),
            # passing on is no new assignment, giving back starts one
            (
                "assignment",
                "ticket",
                "08:00 created|08:30 updated assignee=ann|08:40 updated assignee=bob|09:00 updated assignee=none"
                "|09:10 updated assignee=bob",
                ["met 08:00–08:30 due 10:00 elapsed 0:30", "met 09:00–09:10 due 11:00 elapsed 0:10"],
            ),
            # reopened without an assignee, and no clock to take up
            (
                "assignment",
                "ticket",
                "08:00 created assignee=ann|09:00 resolved|10:00 updated assignee=none|11:00 reopened|11:30 merged",
                ["met 08:00–08:00 due 10:00 elapsed 0:00", "cancelled 11:00–11:30 due 13:00 elapsed 0:30"],
            ),
            # reopened with an assignee who was set meanwhile
            (
                "assignment",
                "ticket",
                "08:00 created|09:00 resolved|10:00 updated assignee=ann|11:00 reopened",
                ["cancelled 08:00–09:00 due 10:00 elapsed 1:00"],
            ),
            # reopened without: the same clock
            (
                "assignment",
                "ticket",
                "08:00 created|09:00 resolved|11:00 reopened|11:30 updated assignee=ann",
                ["met 08:00–11:30 due 12:00 elapsed 1:30 paused 2:00"],
            ),
            (
                "handling",
                "call",
                "08:00 queued|08:10 answered|08:20 answered|09:10 ended|10:00 answered",
                ["met 08:10–09:10 due 10:10 elapsed 1:00"],
            ),
            (
                "handling",
                "chat",
                "08:00 started|08:10 accepted|11:00 ended",
                ["breached 08:10–11:00 due 10:10 elapsed 2:50"],
            ),
        ],
    )
    def test_starts_and_stops_where_the_table_says(
        self, metric: str, kind: str, story: str, expected: list[str]
    ) -> None:
        found = clocks(history(story.replace("|", "\n"), kind), only(metric))
        assert found == [f"{metric} {n} p {row}" for n, row in enumerate(expected, start=1)]

    def test_first_response_is_taken_up_only_if_nobody_replied_meanwhile(self) -> None:
        story = "08:00 created\n09:00 resolved\n{}11:00 reopened\n11:30 agent_replied"
        assert clocks(history(story.format("")), only("first_response")) == [
            "first_response 1 p met 08:00–11:30 due 12:00 elapsed 1:30 paused 2:00"
        ]
        assert clocks(history(story.format("10:00 agent_replied\n")), only("first_response")) == [
            "first_response 1 p cancelled 08:00–09:00 due 10:00 elapsed 1:00"
        ]

    @pytest.mark.parametrize(
        ("meanwhile", "expected"),
        [
            # the message waits since it was written
            (
                "10:00 customer_replied|10:30 customer_replied",
                ["breached 10:00– due 12:00 breached 13:00 elapsed 4:00"],
            ),
            # an agent answered before the item was reopened
            ("10:00 customer_replied|10:30 agent_replied", []),
            # the answer came before the message
            ("10:00 agent_replied|10:30 customer_replied", ["breached 10:30– due 12:30 breached 13:00 elapsed 3:30"]),
            # still in time when reopened
            ("12:30 customer_replied|12:40 updated x=1", ["met 12:30–14:00 due 14:30 elapsed 1:30"]),
        ],
    )
    def test_a_message_on_an_item_that_is_over_is_held_until_it_is_reopened(
        self, meanwhile: str, expected: list[str]
    ) -> None:
        end = "14:00 agent_replied" if "met" in "".join(expected) else ""
        story = f"08:00 created|08:30 agent_replied|09:00 resolved|{meanwhile}|13:00 reopened|{end}".strip("|")
        found = clocks(history(story.replace("|", "\n")), only("next_response"), until="14:00")
        assert found == [f"next_response 1 p {row}" for row in expected]

    def test_thanks_on_a_solved_ticket_breach_nothing(self) -> None:
        story = history("08:00 created\n08:30 agent_replied\n09:00 resolved\n10:00 customer_replied")
        assert clocks(story, only("next_response")) == []

    def test_a_message_before_the_first_answer_is_not_held(self) -> None:
        story = history("08:00 created\n09:00 resolved\n10:00 customer_replied\n11:00 reopened\n11:30 agent_replied")
        assert clocks(story, only("next_response")) == []


class TestBeginningAndEnd:
    def test_an_item_that_was_never_created_has_attributes_and_no_clocks(self) -> None:
        state = fold.refold(history("08:00 updated priority=high\n09:00 agent_replied\n10:00 resolved"), ALL)
        assert (state.attributes, state.clocks) == ({"priority": "high"}, ())

    def test_before_its_creation_an_item_is_only_patched(self) -> None:
        story = history("08:00 agent_replied\n08:30 updated assignee=ann\n09:00 created\n09:30 agent_replied")
        assert clocks(story, only("first_response")) == ["first_response 1 p met 09:00–09:30 due 11:00 elapsed 0:30"]
        assert clocks(story, only("assignment")) == ["assignment 1 p met 09:00–09:00 due 11:00 elapsed 0:00"]

    @pytest.mark.parametrize("end", ["merged", "deleted", "updated status=spam"])
    def test_after_the_end_nothing_starts(self, end: str) -> None:
        story = f"08:00 created\n09:00 {end}\n10:00 reopened\n10:30 agent_replied\n11:00 customer_replied"
        found = clocks(history(story), ALL)
        assert [line.split()[0] for line in found] == ["assignment", "first_response", "periodic_update", "resolution"]
        assert all("08:00–09:00" in line for line in found)

    def test_what_was_merged_before_it_was_created_never_starts(self) -> None:
        assert clocks(history("08:00 merged\n09:00 created"), ALL) == []

    def test_what_is_created_as_spam_never_starts(self) -> None:
        assert clocks(history("09:00 created status=spam\n09:30 updated status=open"), ALL) == []

    def test_an_end_hides_no_breach(self) -> None:
        story = history("08:00 created\n12:00 merged")
        assert clocks(story, only("resolution")) == ["resolution 1 p breached 08:00–12:00 due 10:00 elapsed 4:00"]

    def test_creation_comes_first_among_events_of_one_instant(self) -> None:
        story = history("08:00 agent_replied\n08:00 created")
        assert clocks(story, only("first_response")) == ["first_response 1 p met 08:00–08:00 due 10:00 elapsed 0:00"]

    def test_the_sources_own_order_decides_among_events_of_one_instant(self) -> None:
        story = history("08:00 created\n09:00 resolved sequence=2\n09:00 agent_replied sequence=1\n10:00 reopened")
        assert clocks(story, only("first_response")) == ["first_response 1 p met 08:00–09:00 due 10:00 elapsed 1:00"]

    def test_reply_clocks_run_on_after_the_end_where_the_policy_requires_a_reply(self) -> None:
        rules = only("first_response", "  require_reply: true")
        story = history("08:00 created\n09:00 resolved\n12:00 agent_replied")
        assert clocks(story, rules) == ["first_response 1 p breached 08:00–12:00 due 10:00 elapsed 4:00"]


class TestPauses:
    @pytest.mark.parametrize(
        ("story", "expected"),
        [
            # a pause moves the due time
            (
                "08:00 created|09:00 updated status=pending|12:00 updated status=open|12:30 resolved",
                "met 08:00–12:30 due 13:00 elapsed 1:30 paused 3:00",
            ),
            # one paused status after the other is one pause
            (
                "08:00 created status=pending|09:00 updated status=on_hold|12:00 updated status=open|14:30 resolved",
                "breached 08:00–14:30 due 14:00 elapsed 2:30 paused 4:00",
            ),
            # standing still it cannot breach
            ("08:00 created|09:00 updated status=pending", "paused 08:00– elapsed 1:00 paused 663:00"),
            # paused exactly when due is in time, and resumed with nothing left it is due at once
            (
                "08:00 created|10:00 updated status=pending|12:00 updated status=open|12:00 resolved",
                "met 08:00–12:00 due 12:00 elapsed 2:00 paused 2:00",
            ),
            (
                "08:00 created|10:00 updated status=pending|12:00 updated status=open|12:01 resolved",
                "breached 08:00–12:01 due 12:00 elapsed 2:01 paused 2:00",
            ),
            # stopped while paused: when it would have been due if resumed then
            (
                "08:00 created|09:00 updated status=pending|12:00 resolved",
                "met 08:00–12:00 due 13:00 elapsed 1:00 paused 3:00",
            ),
            # a breached clock goes on pausing
            (
                "08:00 created|11:00 updated status=pending|12:00 updated status=open|13:00 resolved",
                "breached 08:00–13:00 due 10:00 elapsed 4:00 paused 1:00",
            ),
            # reopened into a paused status
            (
                "08:00 created|09:00 resolved|10:00 reopened status=pending|11:00 updated status=open|13:00 resolved",
                "breached 08:00–13:00 due 12:00 elapsed 3:00 paused 2:00",
            ),
        ],
    )
    def test_a_clock_stands_still_while_its_item_matches(self, story: str, expected: str) -> None:
        found = clocks(history(story.replace("|", "\n")), only("resolution"))
        assert found == [f"resolution 1 p {expected}"]

    def test_closed_hours_count_neither_as_elapsed_nor_as_paused(self) -> None:
        rules = rulebook("""
- {name: p, applies_to: {}, calendar: office, targets: {resolution: 10h}, pause_when: {status: pending}}
""")
        story = "10:00 created\n16:00 updated status=pending\n+1 11:00 updated status=open\n+1 13:00 resolved"
        assert clocks(history(story), rules) == [
            "resolution 1 p met 10:00–+1 13:00 due +1 15:00 elapsed 8:00 paused 3:00"
        ]

    def test_a_clock_that_never_comes_due_runs_on(self) -> None:
        rules = rulebook("- {name: p, applies_to: {}, calendar: never, targets: {resolution: 2h}}")
        assert clocks(history("00:30 created"), rules) == ["resolution 1 p running 00:30– elapsed 0:30"]


TERMS = """
- name: standard
  applies_to: {kind: ticket}
  calendar: always
  targets: {resolution: {within: 8h, by: {priority: {urgent: 2h, low: 20h}}}}
  pause_when: {status: pending}
  OPTIONS
- name: gold
  applies_to: {kind: ticket, customer: acme}
  calendar: always
  targets: {resolution: 4h}
  pause_when: {status: on_hold}
"""


class TestChanges:
    @pytest.mark.parametrize(
        ("story", "expected"),
        [
            # another target, counted from the start
            ("08:00 created|09:00 updated priority=low", ["1 standard breached 08:00– due +1 04:00 elapsed 664:00"]),
            # already past: breached by the change
            (
                "08:00 created|11:00 updated priority=urgent|12:00 resolved",
                ["1 standard breached 08:00–12:00 due 10:00 breached 11:00 elapsed 4:00"],
            ),
            # used up at the very instant of the change is in time
            (
                "08:00 created|10:00 updated priority=urgent|10:00 resolved",
                ["1 standard met 08:00–10:00 due 10:00 elapsed 2:00"],
            ),
            # also when paused just then
            (
                "08:00 created|11:00 updated priority=urgent status=pending|14:00 resolved",
                ["1 standard breached 08:00–14:00 due 10:00 breached 11:00 elapsed 3:00 paused 3:00"],
            ),
            # another policy has other pauses, as if they had held since the start
            (
                "08:00 created|08:30 updated status=pending|09:30 updated status=on_hold|10:30 updated customer=acme"
                "|11:00 updated status=open|12:00 resolved",
                ["1 gold met 08:00–12:00 due 13:30 elapsed 2:30 paused 1:30"],
            ),
            # the target was used up while the other terms stood still
            (
                "08:00 created|08:30 updated status=pending|14:00 updated customer=acme|15:00 resolved",
                ["1 gold breached 08:00–15:00 due 12:00 breached 14:00 elapsed 7:00"],
            ),
            # a breached clock keeps what it broke
            (
                "08:00 created priority=urgent|11:00 updated customer=acme|12:00 updated status=pending|13:00 resolved",
                ["1 standard breached 08:00–13:00 due 10:00 elapsed 4:00 paused 1:00"],
            ),
            # a finished one is never computed again
            (
                "08:00 created|11:00 resolved|12:00 updated priority=urgent",
                ["1 standard met 08:00–11:00 due 16:00 elapsed 3:00"],
            ),
            # stopped by the very event that changes the terms: under the terms before
            (
                "08:00 created|11:00 resolved priority=urgent",
                ["1 standard met 08:00–11:00 due 16:00 elapsed 3:00"],
            ),
            # changed while the item was over: counted when it is reopened, the time between as paused
            (
                "08:00 created|09:00 resolved|10:00 updated customer=acme|12:00 reopened|13:00 resolved",
                ["1 gold met 08:00–13:00 due 15:00 elapsed 2:00 paused 3:00"],
            ),
            (
                "08:00 created|11:00 resolved|12:00 updated priority=urgent|13:00 reopened|14:00 resolved",
                ["1 standard breached 08:00–14:00 due 10:00 breached 13:00 elapsed 4:00 paused 2:00"],
            ),
        ],
    )
    def test_the_clock_is_counted_as_if_the_new_terms_had_held_since_its_start(
        self, story: str, expected: list[str]
    ) -> None:
        found = clocks(history(story.replace("|", "\n")), rulebook(TERMS.replace("OPTIONS", "")))
        assert found == [f"resolution {row}" for row in expected]

    @pytest.mark.parametrize(
        ("option", "expected"),
        [
            # the clock keeps the terms with which it started
            ("keep", ["1 standard met 08:00–12:00 due 16:00 elapsed 4:00"]),
            # a new cycle begins with the change
            (
                "restart",
                [
                    "1 standard cancelled 08:00–11:00 due 16:00 elapsed 3:00",
                    "2 standard met 11:00–12:00 due 13:00 elapsed 1:00",
                ],
            ),
        ],
    )
    def test_a_policy_may_keep_or_restart_its_clocks_instead(self, option: str, expected: list[str]) -> None:
        story = history("08:00 created\n11:00 updated priority=urgent\n12:00 resolved")
        found = clocks(story, rulebook(TERMS.replace("OPTIONS", f"on_change: {option}")))
        assert found == [f"resolution {row}" for row in expected]

    @pytest.mark.parametrize(
        ("option", "expected"),
        [
            ("resume", ["1 standard met 08:00–11:30 due 18:00 elapsed 1:30 paused 2:00"]),
            (
                "restart",
                [
                    "1 standard met 08:00–09:00 due 16:00 elapsed 1:00",
                    "2 standard met 11:00–11:30 due 19:00 elapsed 0:30",
                ],
            ),
            ("ignore", ["1 standard met 08:00–09:00 due 16:00 elapsed 1:00"]),
        ],
    )
    def test_a_policy_says_what_reopening_does(self, option: str, expected: list[str]) -> None:
        story = history("08:00 created\n09:00 resolved\n11:00 reopened\n11:30 resolved")
        found = clocks(story, rulebook(TERMS.replace("OPTIONS", f"on_reopen: {option}")))
        assert found == [f"resolution {row}" for row in expected]


GOLD = """
- name: gold
  applies_to: {kind: ticket, customer: acme}
  calendar: always
  targets: {resolution: 4h, first_response: 2h}
"""


class TestCoverage:
    def test_a_clock_starts_at_its_metrics_start_when_a_policy_matches_late(self) -> None:
        story = history("08:00 created\n08:30 updated customer=acme\n09:00 agent_replied\n13:00 resolved")
        assert clocks(story, rulebook(GOLD)) == [
            "first_response 1 gold met 08:00–09:00 due 10:00 elapsed 1:00",
            "resolution 1 gold breached 08:00–13:00 due 12:00 elapsed 5:00",
        ]

    def test_what_was_finished_before_is_not_measured(self) -> None:
        story = history("08:00 created\n08:10 agent_replied\n08:30 updated customer=acme")
        assert [line.split()[0] for line in clocks(story, rulebook(GOLD))] == ["resolution"]
        story = history("08:00 created\n08:10 agent_replied customer=acme")
        assert [line.split()[0] for line in clocks(story, rulebook(GOLD))] == ["resolution"]

    def test_too_late_a_match_breaches_at_once(self) -> None:
        story = history("08:00 created\n13:00 updated customer=acme\n14:00 resolved")
        assert clocks(story, rulebook(GOLD)) == [
            "first_response 1 gold breached 08:00–14:00 due 10:00 breached 13:00 elapsed 6:00",
            "resolution 1 gold breached 08:00–14:00 due 12:00 breached 13:00 elapsed 6:00",
        ]

    def test_a_clock_that_no_policy_covers_any_more_is_cancelled_and_the_next_one_counts_from_the_start(self) -> None:
        story = history("08:00 created customer=acme\n09:00 updated customer=zed\n11:00 updated customer=acme")
        assert clocks(story, rulebook(GOLD), until="11:30") == [
            "first_response 1 gold cancelled 08:00–09:00 due 10:00 elapsed 1:00",
            "first_response 2 gold breached 08:00– due 10:00 breached 11:00 elapsed 3:30",
            "resolution 1 gold cancelled 08:00–09:00 due 12:00 elapsed 1:00",
            "resolution 2 gold running 08:00– due 12:00 elapsed 3:30",
        ]

    def test_a_breached_clock_outlives_its_policy(self) -> None:
        story = history("08:00 created customer=acme\n12:30 updated customer=zed\n13:00 resolved")
        assert clocks(story, rulebook(GOLD))[1] == "resolution 1 gold breached 08:00–13:00 due 12:00 elapsed 5:00"

    def test_a_cycle_that_ended_unmeasured_stays_unmeasured(self) -> None:
        story = history("08:00 created\n09:00 resolved\n10:00 reopened\n11:00 updated customer=acme")
        assert clocks(story, rulebook(GOLD)) == []

    def test_the_time_of_being_over_counts_as_paused_for_a_later_clock_of_the_cycle_too(self) -> None:
        story = history("""
            08:00 created customer=acme
            09:00 resolved
            11:00 reopened
            11:30 updated customer=zed
            11:45 updated customer=acme
            12:00 resolved
        """)
        assert (
            clocks(story, rulebook(GOLD))[-1] == "resolution 2 gold met 08:00–12:00 due 14:00 elapsed 2:00 paused 2:00"
        )

    def test_a_policy_that_combines_has_clocks_beside_the_winners(self) -> None:
        rules = rulebook("""
- {name: sla, applies_to: {kind: ticket}, calendar: always, targets: {resolution: 4h}}
- {name: ola, applies_to: {group: g1}, calendar: always, targets: {resolution: 1h}, combine: all}
""")
        story = history(
            "08:00 created\n08:30 updated group=g1\n08:40 updated group=none\n08:50 updated group=g1\n09:30 resolved"
        )
        assert clocks(story, rules) == [
            "resolution 1 sla met 08:00–09:30 due 12:00 elapsed 1:30",
            "resolution 2 ola cancelled 08:00–08:40 due 09:00 elapsed 0:40",
            "resolution 3 ola breached 08:00–09:30 due 09:00 elapsed 1:30",
        ]

    BESIDE = """
- {name: sla, applies_to: {}, calendar: always, targets: {resolution: 4h, assignment: 4h}}
- {name: ola, applies_to: {}, calendar: always, targets: {resolution: 4h, assignment: 4h}, combine: all, SAYS}
"""

    @pytest.mark.parametrize(
        ("says", "expected"),
        [
            (
                "on_reopen: ignore",
                [
                    "assignment 1 sla running 08:00– due 13:00 elapsed 2:00 paused 1:00",
                    "assignment 2 ola cancelled 08:00–09:00 due 12:00 elapsed 1:00",
                    "resolution 1 sla running 08:00– due 13:00 elapsed 2:00 paused 1:00",
                    "resolution 2 ola met 08:00–09:00 due 12:00 elapsed 1:00",
                ],
            ),
            (
                "on_reopen: restart",
                [
                    "assignment 1 sla running 08:00– due 13:00 elapsed 2:00 paused 1:00",
                    "assignment 2 ola cancelled 08:00–09:00 due 12:00 elapsed 1:00",
                    "assignment 3 ola running 10:00– due 14:00 elapsed 1:00",
                    "resolution 1 sla running 08:00– due 13:00 elapsed 2:00 paused 1:00",
                    "resolution 2 ola met 08:00–09:00 due 12:00 elapsed 1:00",
                    "resolution 3 ola running 10:00– due 14:00 elapsed 1:00",
                ],
            ),
        ],
    )
    def test_reopening_does_to_a_clock_what_its_own_policy_says(self, says: str, expected: list[str]) -> None:
        story = history("08:00 created\n09:00 resolved\n10:00 reopened\n10:30 updated priority=high")
        assert clocks(story, rulebook(self.BESIDE.replace("SAYS", says)), until="11:00") == expected

    def test_a_reply_that_another_policy_requires_keeps_no_cycle_open(self) -> None:
        rules = rulebook("""
- {name: sla, applies_to: {}, calendar: always, targets: {next_response: 8h}}
- {name: ola, applies_to: {}, calendar: always, targets: {next_response: 8h}, combine: all, require_reply: true}
""")
        story = history("""
            08:00 created
            08:10 agent_replied
            08:20 customer_replied
            08:30 resolved
            08:40 reopened
            08:50 customer_replied
        """)
        assert clocks(story, rules, until="09:00") == [
            "next_response 1 sla cancelled 08:20–08:30 due 16:20 elapsed 0:10",
            "next_response 2 ola running 08:20– due 16:20 elapsed 0:40",
            "next_response 3 sla running 08:50– due 16:50 elapsed 0:10",
        ]

    def test_a_policy_beside_the_winner_takes_up_no_cycle_that_it_had_not_measured(self) -> None:
        rules = rulebook("""
- {name: sla, applies_to: {}, calendar: always, targets: {resolution: 4h}}
- {name: ola, applies_to: {group: g1}, calendar: always, targets: {resolution: 1h}, combine: all}
""")
        story = history("08:00 created\n09:00 resolved\n10:00 reopened\n10:30 updated group=g1")
        assert clocks(story, rules, until="11:00") == [
            "resolution 1 sla running 08:00– due 13:00 elapsed 2:00 paused 1:00"
        ]

    def test_a_policy_that_combines_is_beside_a_winner_that_matches_later(self) -> None:
        rules = rulebook("""
- {name: acme, applies_to: {customer: acme}, calendar: always, targets: {resolution: 4h}}
- {name: ola, applies_to: {group: g1}, calendar: always, targets: {resolution: 1h}, combine: all}
""")
        assert clocks(history("08:00 created\n08:10 updated customer=acme group=g1"), rules, until="08:30") == [
            "resolution 1 acme running 08:00– due 12:00 elapsed 0:30",
            "resolution 2 ola running 08:00– due 09:00 elapsed 0:30",
        ]


class TestVersions:
    RULES = Rulebook(
        (
            (
                0,
                policies(
                    "- {name: old, applies_to: {}, calendar: always, targets: {next_response: 4h, resolution: 4h}}"
                ),
            ),
            (
                at("09:00"),
                policies(
                    "- {name: new, applies_to: {}, calendar: always, targets: {next_response: 2h, resolution: 1h}}"
                ),
            ),
        )
    )

    def test_a_new_version_applies_to_new_clocks_only(self) -> None:
        story = history("08:00 created\n08:10 agent_replied\n09:00 updated priority=high\n10:00 customer_replied")
        assert clocks(story, self.RULES, until="11:00") == [
            "next_response 1 new running 10:00– due 12:00 elapsed 1:00",
            "resolution 1 old running 08:00– due 12:00 elapsed 3:00",
        ]

    def test_a_clock_of_an_unknown_version_is_not_guessed_at(self) -> None:
        state = fold.refold(history("08:00 created"), self.RULES)
        with pytest.raises(KeyError):
            fold.apply(state, event("09:30 resolved", number=2), Rulebook(self.RULES.versions[1:]))


class TestState:
    STORY = history("""
        08:00 created priority=low customer=acme
        08:30 updated assignee=ann status=pending
        09:00 updated status=open priority=high
        09:30 agent_replied
        10:00 customer_replied
        12:00 resolved
        13:00 customer_replied
        14:00 reopened
    """)

    def test_survives_being_stored(self) -> None:
        state = fold.refold(self.STORY, ALL)
        packed = msgspec.msgpack.encode(state)
        assert msgspec.msgpack.decode(packed, type=ItemState) == state

    def test_is_small(self) -> None:
        state = fold.refold(self.STORY[:1], ALL)
        assert len(state.clocks) == 4
        assert len(msgspec.msgpack.encode(state)) < 600

    def test_of_two_events_with_one_identity_the_first_in_order_counts(self) -> None:
        story = history("08:00 created\n09:30 agent_replied id=same\n09:00 agent_replied id=same")
        assert clocks(story, only("first_response")) == ["first_response 1 p met 08:00–09:00 due 10:00 elapsed 1:00"]

    def test_an_event_follows_only_what_comes_before_it(self) -> None:
        state = fold.refold(history("09:00 created"), ALL)
        assert fold.follows(fold.EMPTY, event("08:00 created"))
        assert fold.follows(state, event("09:00 updated"))
        assert not fold.follows(state, event("09:00 created", number=1))
        assert not fold.follows(state, event("08:59 updated"))
