"""Snapshots: what the fold derives from an item as it is now, and what it leaves alone."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from services.timer import backtest, fold
from services.timer.item import ItemState
from services.timer.rulebook import Rulebook
from shared.events import Event
from tests.histories import at, clocks, history, rulebook, told
from tests.strategies_events import UNTIL, histories, rulebooks

RULES = rulebook(
    """
- name: plain
  applies_to: {}
  calendar: always
  targets: {first_response: 2h, next_response: 1h, resolution: 8h, assignment: 30m, pickup: 30m, answer: 15m}
  pause_when: {status: [pending, on_hold]}
"""
)
RESOLUTION = rulebook(
    "- {name: plain, applies_to: {}, calendar: always, targets: {resolution: 8h}, pause_when: {status: pending}}"
)


def state(text: str, kind: str = "ticket", rules: Rulebook = RULES) -> ItemState:
    """The item after a history."""
    return fold.refold(history(text, kind), rules)


def resolution(text: str, until: str = "+28 00:00") -> list[str]:
    """What became of the promise to resolve a ticket."""
    return clocks(history(text), RESOLUTION, until)


class TestTransitions:
    @pytest.mark.parametrize("over", ["resolved", "closed"])
    def test_a_status_that_is_over_ends_the_item(self, over: str) -> None:
        text = f"""
            09:00 snapshot status=open
            10:00 snapshot status={over}
            """
        assert resolution(text) == ["resolution 1 plain met 09:00–10:00 due 17:00 elapsed 1:00"]

    def test_resolved_and_then_closed_is_one_end(self) -> None:
        text = """
            09:00 snapshot status=open
            10:00 snapshot status=resolved
            12:00 snapshot status=closed
            """
        assert resolution(text) == ["resolution 1 plain met 09:00–10:00 due 17:00 elapsed 1:00"]

    @pytest.mark.parametrize("status", ["open", "pending", "on_hold"])
    def test_a_status_that_is_not_over_reopens_the_item(self, status: str) -> None:
        text = f"""
            09:00 snapshot status=open
            10:00 snapshot status=resolved
            12:00 snapshot status={status}
            13:00 snapshot status=open
            14:00 snapshot status=closed
            """
        assert state(text).stage == "over"
        paused = "3:00" if status == "pending" else "2:00"
        elapsed = "2:00" if status == "pending" else "3:00"
        assert [line.partition("due")[2].split(" ", 2)[2] for line in resolution(text)] == [
            f"elapsed {elapsed} paused {paused}"
        ]

    def test_pauses_follow_the_status(self) -> None:
        text = """
            09:00 snapshot status=open
            10:00 snapshot status=pending
            13:00 snapshot status=open
            """
        assert resolution(text, "14:00") == ["resolution 1 plain running 09:00– due 20:00 elapsed 2:00 paused 3:00"]

    @pytest.mark.parametrize("final", ["status=spam", "status=merged", "merged_into=77"])
    def test_what_is_final_cancels(self, final: str) -> None:
        text = f"""
            09:00 snapshot status=open
            10:00 snapshot {final}
            11:00 snapshot status=open
            """
        assert resolution(text) == ["resolution 1 plain cancelled 09:00–10:00 due 17:00 elapsed 1:00"]
        assert state(text).stage == "final"

    @pytest.mark.parametrize("merging", ["merged", "snapshot"])
    def test_the_item_that_goes_on_is_told_with_what_is_cancelled(self, merging: str) -> None:
        text = f"""
            09:00 created group=g
            18:00 {merging} merged_into=77
            """
        outputs = backtest.published(history(text), RESOLUTION, at("20:00"))
        assert [told(output) for output in outputs] == [
            "clock.breached resolution 17:00",
            "breach.cancelled resolution 18:00",
        ]
        assert [output.event.attributes for output in outputs] == [{"group": "g"}, {"group": "g", "merged_into": "77"}]

    def test_who_has_the_item_shows_in_its_attributes(self) -> None:
        text = """
            09:00 snapshot status=open
            09:10 snapshot status=open assignee=ann
            11:00 snapshot status=open assignee=none
            """
        assert [line for line in clocks(history(text), RULES, "11:05") if line.startswith("assignment")] == [
            "assignment 1 plain met 09:00–09:10 due 09:30 elapsed 0:10",
            "assignment 2 plain running 11:00– due 11:30 elapsed 0:05",
        ]

    @pytest.mark.parametrize("status", ["", "status=strange", "status=none"])
    def test_a_status_that_says_nothing_changes_no_stage(self, status: str) -> None:
        text = f"""
            09:00 snapshot status=open
            10:00 resolved
            11:00 snapshot {status} group=g
            """
        assert state(text).stage == "over"

    def test_a_status_that_is_no_text_changes_no_stage(self) -> None:
        first, second = history("09:00 snapshot status=open\n10:00 snapshot")
        for status in (7, True, ["resolved"], {"resolved": 1}):
            found = fold.refold([first, replace(second, attributes={"status": status})], RULES)
            assert (found.stage, found.attributes) == ("open", {"status": status})

    def test_a_snapshot_equal_to_the_last_one_changes_nothing(self) -> None:
        once = "09:00 snapshot status=open assignee=ann group=g created_at=08:00"
        before = state(once)
        after = state(f"{once}\n10:00 snapshot status=open assignee=ann group=g created_at=08:00")
        assert replace(after, order=before.order) == before


class TestBesideOtherEvents:
    def test_a_resolution_that_a_snapshot_repeats_is_one(self) -> None:
        text = """
            09:00 created
            10:00 resolved
            11:00 snapshot status=resolved
            """
        assert resolution(text) == ["resolution 1 plain met 09:00–10:00 due 17:00 elapsed 1:00"]

    def test_a_resolution_that_a_snapshot_told_first_is_one(self) -> None:
        text = """
            09:00 created
            10:00 snapshot status=resolved
            11:00 resolved
            """
        assert resolution(text) == ["resolution 1 plain met 09:00–10:00 due 17:00 elapsed 1:00"]

    def test_an_open_item_after_a_resolution_was_reopened(self) -> None:
        text = """
            09:00 created status=open
            10:00 resolved
            11:00 snapshot status=open
            """
        expected = "resolution 1 plain running 09:00– due 18:00 elapsed 2:00 paused 1:00"
        assert resolution(text, "12:00") == [expected]

    def test_a_status_that_was_only_patched_counts_at_the_next_snapshot(self) -> None:
        text = """
            09:00 created status=open
            10:00 updated status=resolved
            11:00 snapshot status=resolved
            """
        assert resolution(text) == ["resolution 1 plain met 09:00–11:00 due 17:00 elapsed 2:00"]

    def test_a_creation_of_the_same_instant_comes_first(self) -> None:
        text = """
            09:00 snapshot status=open id=a
            09:00 created id=b
            """
        assert {clock.event_id for clock in state(text).clocks} == {"b"}

    def test_an_older_snapshot_is_folded_in_its_place(self) -> None:
        text = """
            09:00 snapshot status=open
            13:00 snapshot status=open
            10:00 snapshot status=pending
            """
        assert resolution(text, "14:00") == ["resolution 1 plain running 09:00– due 20:00 elapsed 2:00 paused 3:00"]


class TestFirstSight:
    """The first that is known of an item is a snapshot."""

    def test_without_a_creation_time_the_item_is_created_by_it(self) -> None:
        created = clocks(history("09:00 created assignee=ann"), RULES, "10:00")
        assert clocks(history("09:00 snapshot assignee=ann"), RULES, "10:00") == created

    def test_a_creation_time_after_it_counts_as_its_own_time(self) -> None:
        text = "09:00 snapshot status=open created_at=09:30"
        assert resolution(text, "10:00") == ["resolution 1 plain running 09:00– due 17:00 elapsed 1:00"]

    def test_clocks_start_at_the_creation(self) -> None:
        text = "12:00 snapshot status=open created_at=09:00"
        assert resolution(text, "13:00") == ["resolution 1 plain running 09:00– due 17:00 elapsed 4:00"]

    def test_a_due_time_that_is_past_by_then_breaches_at_the_snapshot(self) -> None:
        text = "19:00 snapshot status=open created_at=09:00"
        assert resolution(text, "20:00") == [
            "resolution 1 plain breached 09:00– due 17:00 breached 19:00 elapsed 11:00"
        ]
        outputs = backtest.published(history(text), RESOLUTION, at("20:00"))
        assert [told(output) for output in outputs] == ["clock.breached resolution 19:00"]

    def test_its_attributes_are_taken_to_have_held_since(self) -> None:
        text = """
            19:00 snapshot status=pending created_at=09:00
            20:00 snapshot status=open
            """
        expected = "resolution 1 plain running 09:00– due +1 04:00 elapsed 1:00 paused 11:00"
        assert resolution(text, "21:00") == [expected]

    @pytest.mark.parametrize("created_at", ["", "created_at=09:00"])
    @pytest.mark.parametrize("status", ["resolved", "closed", "spam", "merged"])
    def test_of_an_item_that_is_over_nothing_is_measured(self, status: str, created_at: str) -> None:
        found = state(f"12:00 snapshot status={status} {created_at}")
        assert found.clocks == ()
        assert found.stage == ("over" if status in {"resolved", "closed"} else "final")
        assert found.attributes == {"status": status}

    def test_an_item_that_was_over_lives_on_when_it_is_reopened(self) -> None:
        text = """
            12:00 snapshot status=resolved created_at=09:00
            13:00 customer_replied
            14:00 snapshot status=open
            """
        assert (
            clocks(history(text), RULES, "14:10")
            == [
                "assignment 1 plain running 14:00– due 14:30 elapsed 0:10",
                "next_response 1 plain running 13:00– due 14:00 elapsed 1:10",
            ]
            or state(text).stage == "open"
        )

    def test_who_has_it_already_was_assigned_unseen(self) -> None:
        text = "12:00 snapshot status=open assignee=ann created_at=09:00"
        assert [clock.metric for clock in state(text).clocks] == ["first_response", "resolution"]

    def test_a_call_is_not_queued_by_it(self) -> None:
        assert [clock.metric for clock in state("09:00 snapshot", "call").clocks if clock.metric == "answer"] == []
        text = """
            09:00 snapshot
            09:01 queued
            """
        assert [clock.started_at for clock in state(text, "call").clocks if clock.metric == "answer"] == [at("09:01")]

    def test_only_the_first_one_creates(self) -> None:
        text = """
            09:00 created
            12:00 snapshot status=open created_at=08:00
            """
        assert resolution(text, "13:00") == ["resolution 1 plain running 09:00– due 17:00 elapsed 4:00"]


class TestWhatWasKnownBeforeTheFirstSnapshot:
    """Events of an item whose creation only a later snapshot tells."""

    def test_an_answer_since_the_creation_counts(self) -> None:
        text = """
            10:00 agent_replied
            12:00 snapshot status=open created_at=09:00
            """
        found = state(text)
        assert found.answered
        assert "first_response" not in [clock.metric for clock in found.clocks]

    def test_an_answer_from_before_the_creation_does_not(self) -> None:
        text = """
            08:00 agent_replied
            12:00 snapshot status=open created_at=09:00
            """
        assert "first_response" in [clock.metric for clock in state(text).clocks]

    def test_without_a_creation_time_it_was_created_after_them(self) -> None:
        text = """
            10:00 agent_replied
            12:00 snapshot status=open
            """
        assert "first_response" in [clock.metric for clock in state(text).clocks]

    def test_a_message_that_waits_for_an_answer_is_counted_from_its_own_time(self) -> None:
        text = """
            10:00 agent_replied
            11:00 customer_replied id=m
            11:30 customer_replied
            11:45 snapshot status=open assignee=ann created_at=09:00
            """
        assert [line for line in clocks(history(text), RULES, "11:50") if line.startswith("next")] == [
            "next_response 1 plain running 11:00– due 12:00 elapsed 0:50"
        ]
        assert [clock.event_id for clock in state(text).clocks if clock.metric == "next_response"] == ["m"]

    def test_an_item_that_was_resolved_and_is_not_said_to_be_open_is_over(self) -> None:
        text = """
            10:00 resolved
            12:00 snapshot group=g created_at=09:00
            """
        found = state(text)
        assert (found.stage, found.clocks, found.attributes) == ("over", (), {"group": "g"})
        assert state(f"{text.rstrip()}\n13:00 reopened").stage == "open"

    def test_an_item_that_was_resolved_and_is_open_now_was_reopened(self) -> None:
        text = """
            10:00 resolved
            12:00 snapshot status=open created_at=09:00
            """
        expected = "resolution 1 plain running 09:00– due 19:00 elapsed 2:00 paused 2:00"
        assert resolution(text, "13:00") == [expected]

    def test_a_chat_that_was_accepted_was_picked_up(self) -> None:
        text = """
            10:00 accepted
            12:00 snapshot status=open created_at=09:00
            """
        assert "pickup" not in [clock.metric for clock in state(text, "chat").clocks]

    def test_a_creation_that_comes_after_all_ends_the_waiting(self) -> None:
        text = """
            10:00 agent_replied
            11:00 created
            """
        assert state("10:00 agent_replied").early
        assert not state(text).early

    def test_attributes_are_kept_once(self) -> None:
        found = state("10:00 agent_replied status=open customer=acme")
        assert found.attributes == {"status": "open", "customer": "acme"}
        assert [event.attributes for event in found.early] == [{}]

    def test_an_item_that_is_never_created_does_not_grow_for_ever(self) -> None:
        many = "\n".join(f"{hour:02}:{minute:02} agent_replied" for hour in range(9, 12) for minute in range(60))
        assert 0 < len(state(many).early) < 40


class TestCompleteness:
    def test_attributes_that_a_snapshot_does_not_name_stay(self) -> None:
        text = """
            09:00 snapshot status=open group=g
            10:00 snapshot status=open
            """
        assert state(text).attributes == {"status": "open", "group": "g"}

    def test_those_that_a_complete_one_does_not_name_are_gone(self) -> None:
        text = """
            09:00 snapshot status=open assignee=ann group=g
            10:00 snapshot status=open group=g complete=true
            """
        found = state(text)
        assert found.attributes == {"status": "open", "group": "g"}
        assert [clock.started_at for clock in found.clocks if clock.metric == "assignment"] == [
            at("09:00"),
            at("10:00"),
        ]

    def test_a_complete_one_without_any_removes_all(self) -> None:
        text = """
            09:00 snapshot group=g
            10:00 snapshot complete=true
            """
        assert state(text).attributes == {}


@given(histories(), rulebooks(), st.randoms(use_true_random=False))
def test_shuffled_and_repeated_snapshots_give_the_same_facts(
    events: list[Event], rules: Rulebook, shuffled: random.Random
) -> None:
    again = [*events, *events[: len(events) // 2]]
    shuffled.shuffle(again)
    assert backtest.run(again, rules, UNTIL) == backtest.run(events, rules, UNTIL)
