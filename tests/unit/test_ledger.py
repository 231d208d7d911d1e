"""What is published: the difference between what was told and the facts, and one correction for late evidence."""

from __future__ import annotations

from random import Random
from uuid import UUID

import msgspec
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from services.timer import fold, ledger
from services.timer.fold import ItemState
from services.timer.ledger import Firing, Ledger, Output
from services.timer.rulebook import Rulebook
from shared.events import SECOND, Event, Instant, rfc3339
from tests.histories import at, history, rulebook, told
from tests.strategies_events import UNTIL, histories, rulebooks

ITEM = "default/ticket/1"
LAW = settings(max_examples=100, deadline=None)  # a first question to a calendar compiles a year
RULES = rulebook("""
- name: p
  applies_to: {}
  calendar: always
  severity: high
  targets: {resolution: {within: 4h, warn_at: [50%, 15m_left], by: {priority: {urgent: 1h}}}}
  pause_when: {status: pending}
- name: gold
  applies_to: {customer: acme}
  calendar: always
  targets: {resolution: {within: 2h, warn_at: [50%]}}
""")


def firing(evidence: Instant) -> Firing:
    return Firing(evidence, evidence + 5000)


def state_of(story: str) -> ItemState:
    return fold.refold(history(story), RULES)


def fire(state: ItemState, evidence: str, before: Ledger = ledger.EMPTY) -> tuple[Ledger, list[str]]:
    after, outputs = ledger.outputs(ITEM, state, before, firing(at(evidence)))
    return after, [told(output) for output in outputs]


class TestFacts:
    @pytest.mark.parametrize(
        ("story", "evidence", "expected"),
        [
            ("08:00 created", "10:00", []),
            # certain only once nothing at the very instant can come any more
            ("08:00 created", "10:00:01", ["clock.warning resolution 50% 10:00"]),
            (
                "08:00 created",
                "12:00",
                ["clock.warning resolution 50% 10:00", "clock.warning resolution 15m_left 11:45"],
            ),
            (
                "08:00 created",
                "13:00",
                [
                    "clock.warning resolution 50% 10:00",
                    "clock.warning resolution 15m_left 11:45",
                    "clock.breached resolution 12:00",
                ],
            ),
            # shown by a later event, and yet not told before the evidence reaches it
            ("08:00 created\n13:00 resolved", "11:00", ["clock.warning resolution 50% 10:00"]),
            (
                "08:00 created priority=urgent\n13:00 resolved",
                "13:00",
                [
                    "clock.warning resolution 50% 08:30",
                    "clock.warning resolution 15m_left 08:45",
                    "clock.breached resolution 09:00",
                    "breach.stopped resolution 13:00",
                ],
            ),
            # ended without being done
            ("08:00 created priority=urgent\n13:00 merged", "13:00", ["breach.cancelled resolution 13:00"]),
            # the warnings that are past when the clock moves are skipped except the latest
            ("08:00 created\n11:00 updated priority=urgent", "11:00", ["clock.breached resolution 11:00"]),
            ("08:00 created\n09:30 updated customer=acme", "09:31", ["clock.warning resolution 50% 09:30"]),
            # a met clock has nothing to tell
            ("08:00 created\n09:00 resolved", "+1 00:00", []),
            # done, reopened, done again: both ends are told
            (
                "08:00 created priority=urgent\n10:00 resolved\n11:00 reopened\n12:00 resolved",
                "13:00",
                ["breach.stopped resolution 10:00", "breach.stopped resolution 12:00"],
            ),
        ],
    )
    def test_are_told_up_to_the_evidence(self, story: str, evidence: str, expected: list[str]) -> None:
        _, found = fire(state_of(story), evidence)
        assert found[-len(expected) :] == expected if expected else found == []

    def test_a_warning_is_given_once_whatever_moves(self) -> None:
        after, found = fire(state_of("08:00 created"), "10:30")
        assert found == ["clock.warning resolution 50% 10:00"]
        moved = state_of("08:00 created\n09:00 updated status=pending\n10:00 updated status=open")
        assert not ledger.contradicted(moved, after)
        assert fire(moved, "11:30", after)[1] == []

    def test_late_evidence_takes_back_a_breach(self) -> None:
        after, found = fire(state_of("08:00 created priority=urgent"), "10:00")
        assert found[-1] == "clock.breached resolution 09:00"
        late = state_of("08:00 created priority=urgent\n08:59 resolved")
        assert ledger.contradicted(late, after)
        corrected, found = fire(late, "08:00", after)  # older evidence than was used before
        assert found == ["breach.retracted resolution 09:00"]
        assert not ledger.contradicted(late, corrected)
        assert ledger.next_due(late, corrected) is None

    def test_late_evidence_that_moves_a_breach_replaces_it(self) -> None:
        _, first = ledger.outputs(ITEM, state_of("08:00 created priority=urgent"), ledger.EMPTY, firing(at("12:00")))
        after, _ = fire(state_of("08:00 created priority=urgent"), "12:00")
        late = state_of("08:00 created priority=urgent\n08:30 updated status=pending\n09:00 updated status=open")
        assert ledger.contradicted(late, after)
        _, second = ledger.outputs(ITEM, late, after, firing(at("12:00")))
        assert [told(output) for output in second] == [
            "breach.retracted resolution 09:00",
            "clock.breached resolution 09:30",
        ]
        assert second[0].event.breach_id == first[-1].event.breach_id
        assert second[0].event.replaced_by == second[1].event.breach_id != first[-1].event.breach_id
        assert {output.event.clock_id for output in first + second} == {first[0].event.clock_id}

    def test_a_breach_that_moves_beyond_the_evidence_is_only_taken_back(self) -> None:
        after, _ = fire(state_of("08:00 created priority=urgent"), "09:10")
        late = state_of("08:00 created priority=urgent\n08:30 updated status=pending\n09:00 updated status=open")
        corrected, found = fire(late, "09:10", after)
        assert found == ["breach.retracted resolution 09:00"]
        assert ledger.next_due(late, corrected) == at("09:30")
        assert fire(late, "09:31", corrected)[1] == ["clock.breached resolution 09:30"]

    def test_the_breach_of_a_clock_that_is_gone_is_taken_back(self) -> None:
        after, _ = fire(state_of("08:00 created priority=urgent"), "10:00")
        late = state_of("07:00 merged\n08:00 created priority=urgent")
        assert late.clocks == ()
        assert ledger.contradicted(late, after)
        _, outputs = ledger.outputs(ITEM, late, after, firing(at("10:00")))
        assert [(told(output), output.event.due_at, output.event.target_s) for output in outputs] == [
            ("breach.retracted resolution 09:00", rfc3339(at("09:00")), 3600)
        ]

    def test_the_end_of_a_breach_is_told_again_for_the_breach_that_replaced_it(self) -> None:
        after, _ = fire(state_of("08:00 created priority=urgent\n11:00 resolved"), "12:00")
        late = state_of(
            "08:00 created priority=urgent\n08:30 updated status=pending\n09:00 updated status=open\n11:00 resolved"
        )
        assert fire(late, "12:00", after)[1] == [
            "breach.retracted resolution 09:00",
            "clock.breached resolution 09:30",
            "breach.stopped resolution 11:00",
        ]

    def test_an_end_that_turns_out_to_be_a_cancellation_at_the_same_instant_is_told(self) -> None:
        before, found = fire(state_of("08:00 created\n13:00 resolved"), "13:00")
        assert found[-1] == "breach.stopped resolution 13:00"
        after, found = fire(state_of("08:00 created\n13:00 merged\n13:00 resolved"), "13:00", before)
        assert found == ["breach.cancelled resolution 13:00"]
        assert fire(state_of("08:00 created\n13:00 merged\n13:00 resolved"), "14:00", after) == (after, [])

    def test_of_the_ends_of_a_breach_the_one_that_is_told_last_holds(self) -> None:
        before, found = fire(state_of("08:00 created\n12:30 reopened\n13:00 resolved"), "13:00")
        assert found[-1] == "breach.stopped resolution 13:00"
        # An earlier end that is known late is no news.
        story = "08:00 created\n12:20 resolved\n12:30 reopened\n13:00 resolved"
        assert fire(state_of(story), "13:00", before)[1] == []
        # But one that takes the place of the end that was told is.
        after, found = fire(state_of("08:00 created\n12:20 resolved\n13:00 resolved"), "13:00", before)
        assert found == ["breach.stopped resolution 12:20"]
        assert fire(state_of(story), "14:00", after)[1] == ["breach.stopped resolution 13:00"]

    def test_an_end_that_was_stored_before_its_kind_was_kept_is_told(self) -> None:
        state = state_of("08:00 created\n13:00 resolved")
        after, _ = fire(state, "13:00")
        older = {name: msgspec.structs.replace(entry, last="") for name, entry in after.clocks.items()}
        assert fire(state, "14:00", msgspec.structs.replace(after, clocks=older))[1] == []

    def test_another_policy_of_the_same_target_replaces_the_breach(self) -> None:
        rules = rulebook("""
- {name: a, applies_to: {}, calendar: always, targets: {resolution: 1h}}
- {name: b, applies_to: {customer: acme}, calendar: always, targets: {resolution: 1h}}
""")
        before = fold.refold(history("08:00 created"), rules)
        after, _ = fire(before, "10:00")
        late = fold.refold(history("08:00 created\n08:10 updated customer=acme"), rules)
        assert fire(late, "10:00", after)[1] == ["breach.retracted resolution 09:00", "clock.breached resolution 09:00"]

    def test_late_evidence_that_a_breach_came_at_another_instant_replaces_it(self) -> None:
        rules = rulebook("- {name: p, applies_to: {}, calendar: always, targets: {next_response: 1h}}")
        # A customer who writes while the ticket is over waits from then on, but nothing breaches before it is reopened.
        story = "08:00 created\n08:10 agent_replied\n09:00 customer_replied\n11:00 reopened\n12:00 agent_replied"
        after, found = fire(fold.refold(history(story), rules), "13:00")
        assert found == ["clock.breached next_response 10:00", "breach.stopped next_response 12:00"]
        late = fold.refold(history(f"{story}\n08:30 resolved"), rules)
        assert late.clocks[-1].due_at == at("10:00")
        assert ledger.contradicted(late, after)
        assert fire(late, "13:00", after)[1] == [
            "breach.retracted next_response 10:00",
            "clock.breached next_response 11:00",
            "breach.stopped next_response 12:00",
        ]

    def test_a_policys_grace_waits_longer_for_slow_sources(self) -> None:
        rules = rulebook("- {name: p, applies_to: {}, calendar: always, targets: {resolution: 1h}, grace: 5m}")
        state = fold.refold(history("08:00 created"), rules)
        assert ledger.next_due(state, ledger.EMPTY) == at("09:05")
        assert fire(state, "09:05")[1] == []
        assert fire(state, "09:05:01")[1] == ["clock.breached resolution 09:00"]
        late = fold.refold(history("08:00 created\n09:02 resolved"), rules)
        assert fire(late, "09:04")[1] == []
        assert fire(late, "09:06")[1] == ["clock.breached resolution 09:00"]
        assert fire(late, "09:07")[1] == ["clock.breached resolution 09:00", "breach.stopped resolution 09:02"]


class TestEvents:
    def output(self, story: str, evidence: str) -> Output:
        return ledger.outputs(ITEM, state_of(story), ledger.EMPTY, firing(at(evidence)))[1][-1]

    def test_a_breach_says_what_was_promised_and_what_happened(self) -> None:
        found = self.output("08:00 created customer=acme priority=low\n11:00 updated priority=high", "11:30")
        event = found.event
        assert (found.type, found.time) == ("sla.clock.breached.v1", at("10:00"))
        assert (event.item, event.tenant, event.kind, event.id) == (ITEM, "default", "ticket", "1")
        assert (event.metric, event.cycle, event.policy, event.calendar, event.severity) == (
            *("resolution", 1, "gold", "always"),
            "medium",
        )
        assert (event.target_s, event.elapsed_s) == (7200, 7200)
        assert (event.started_at, event.due_at, event.breached_at, event.stopped_at) == (
            *(rfc3339(at(text)) for text in ("08:00", "10:00", "10:00")),
            None,
        )
        assert (event.evidence_through, event.detected_at) == (rfc3339(at("11:30")), rfc3339(at("11:30") + 5000))

    def test_the_attributes_are_those_of_the_time(self) -> None:
        found = self.output("08:00 created customer=acme priority=low\n11:00 updated priority=high", "11:30")
        assert found.event.attributes == {"customer": "acme", "priority": "low"}

    def test_a_warning_shows_the_terms_of_its_time(self) -> None:
        _, outputs = ledger.outputs(
            ITEM, state_of("08:00 created\n10:30 updated status=pending"), ledger.EMPTY, firing(at("11:00"))
        )
        event = outputs[0].event
        assert (event.warning, event.breach_id, event.breached_at) == ("50%", None, None)
        assert (event.due_at, event.target_s, event.elapsed_s) == (rfc3339(at("12:00")), 14_400, 7200)

    def test_a_late_end_says_how_late(self) -> None:
        event = self.output("08:00 created customer=acme\n10:30 resolved", "11:00").event
        assert (event.breached_at, event.stopped_at, event.elapsed_s) == (
            *(rfc3339(at("10:00")), rfc3339(at("10:30"))),
            9000,
        )

    def test_the_explanation_shows_every_stretch_that_was_counted(self) -> None:
        story = """
            08:00 created
            09:00 updated status=pending
            09:30 updated status=open
            10:00 resolved
            11:00 reopened
        """
        event = self.output(story, "14:00").event
        assert [(span.start[11:16], span.end[11:16], span.state, span.business_s) for span in event.explanation] == [
            ("08:00", "09:00", "running", 3600),
            ("09:00", "09:30", "paused", 1800),
            ("09:30", "10:00", "running", 1800),
            ("10:00", "11:00", "paused", 3600),
            ("11:00", "13:30", "running", 9000),
        ]

    def test_the_explanation_of_an_early_breach_leaves_out_what_came_later(self) -> None:
        story = "08:00 created priority=urgent\n09:30 updated status=pending\n10:00 updated status=open"
        event = self.output(story, "11:00").event
        assert [(span.end[11:16], span.business_s) for span in event.explanation] == [("09:00", 3600)]

    def test_ids_are_uuids_and_differ_by_what_they_name(self) -> None:
        clock = state_of("08:00 created").clocks[0]
        one, other = ledger.clock_id("default/ticket/1", clock), ledger.clock_id("default/ticket/2", clock)
        ids = [one, other, ledger.breach_id(one, 0), ledger.breach_id(one, 1), ledger.breach_id(other, 0)]
        assert len({UUID(each) for each in ids}) == len(ids)

    def test_the_ids_of_today_are_those_of_yesterday(self) -> None:
        # Consumers have stored them: a change here publishes every breach anew.
        output = self.output("08:00 created priority=urgent", "09:01")
        assert (output.event.clock_id, output.event.breach_id, output.event_id) == (
            "22d97ff7-9857-581b-8bee-96f5c0b25ee6",
            "e66cc1cd-8ea3-574e-b991-99516b1562da",
            "1b56b971-b3d5-5f74-b813-212419c6d1a7",
        )

    def test_the_ledger_survives_being_stored(self) -> None:
        after, _ = fire(state_of("08:00 created priority=urgent\n13:00 resolved"), "14:00")
        assert msgspec.msgpack.decode(msgspec.msgpack.encode(after), type=Ledger) == after


class Told:
    """A timer in miniature: folds events as they come, fires what is due, corrects what is contradicted."""

    def __init__(self, rules: Rulebook) -> None:
        self.rules = rules
        self.events: list[Event] = []
        self.state = fold.EMPTY
        self.ledger = ledger.EMPTY
        self.outputs: list[Output] = []

    def take(self, event: Event) -> None:
        self.events.append(event)
        self.state = fold.refold(self.events, self.rules)
        if ledger.contradicted(self.state, self.ledger):
            self.publish(self.ledger.evidence_through)

    def publish(self, evidence: Instant) -> None:
        self.ledger, found = ledger.outputs(ITEM, self.state, self.ledger, firing(evidence))
        self.outputs += found

    @property
    def standing(self) -> set[tuple[str, str | None, str | None, float, str]]:
        """The breaches that were told and not taken back."""
        found = {}
        for output in self.outputs:
            event = output.event
            if output.type == "sla.clock.breached.v1":
                found[event.breach_id] = (
                    *(event.clock_id, event.due_at, event.breached_at),
                    *(event.target_s, event.policy),
                )
            elif output.type == "sla.breach.retracted.v1":
                del found[event.breach_id]
        return set(found.values())


class TestLaws:
    @LAW
    @given(histories(), rulebooks(), st.data())
    def test_what_was_told_is_not_told_again(self, events: list[Event], rules: Rulebook, data: st.DataObject) -> None:
        state = fold.refold(events, rules)
        evidence = data.draw(st.integers(events[0].time, UNTIL))
        once, _ = ledger.outputs(ITEM, state, ledger.EMPTY, firing(evidence))
        again, outputs = ledger.outputs(ITEM, state, once, firing(evidence))
        assert (again, outputs) == (once, [])
        assert again is once

    @LAW
    @given(histories(), rulebooks())
    def test_next_due_is_the_instant_of_the_next_output(self, events: list[Event], rules: Rulebook) -> None:
        timer = Told(rules)
        timer.state = fold.refold(events, rules)
        while (due := ledger.next_due(timer.state, timer.ledger)) is not None and due < UNTIL:
            count = len(timer.outputs)
            timer.publish(due - 1)
            assert len(timer.outputs) == count
            timer.publish(due + 1)
            assert {output.time for output in timer.outputs[count:]} == {due}
        rest, outputs = ledger.outputs(ITEM, timer.state, timer.ledger, firing(UNTIL))
        assert outputs == []
        assert rest is timer.ledger

    @LAW
    @given(histories(), rulebooks(), st.randoms(use_true_random=False))
    def test_in_any_order_and_with_any_evidence_the_same_breaches_stand(
        self, events: list[Event], rules: Rulebook, random: Random
    ) -> None:
        live, late = Told(rules), Told(rules)
        live.state = fold.refold(events, rules)
        live.publish(UNTIL)
        shuffled = [*events, *events[:3]]
        random.shuffle(shuffled)
        for event in shuffled:
            late.take(event)
            if random.random() < 0.5:
                late.publish(random.randrange(events[0].time, UNTIL))
        late.publish(UNTIL)
        assert late.standing == live.standing
        assert ledger.next_due(late.state, late.ledger) in (None, ledger.next_due(live.state, live.ledger))

    @LAW
    @given(histories(), rulebooks(), st.randoms(use_true_random=False))
    def test_outputs_are_numbered_without_gaps_and_each_breach_is_told_once(
        self, events: list[Event], rules: Rulebook, random: Random
    ) -> None:
        timer = Told(rules)
        for event in random.sample(events, len(events)):
            timer.take(event)
            timer.publish(random.randrange(events[0].time, UNTIL))
        assert [output.event.sequence for output in timer.outputs] == list(range(1, len(timer.outputs) + 1))
        assert len({output.event_id for output in timer.outputs}) == len(timer.outputs)
        for kind in ("sla.clock.breached.v1", "sla.breach.retracted.v1"):
            ids = [output.event.breach_id for output in timer.outputs if output.type == kind]
            assert len(ids) == len(set(ids))
        warnings = [(output.event.clock_id, output.event.warning) for output in timer.outputs if output.event.warning]
        assert len(warnings) == len(set(warnings))

    @LAW
    @given(histories(), rulebooks())
    def test_every_output_explains_its_elapsed_time(self, events: list[Event], rules: Rulebook) -> None:
        state = fold.refold(events, rules)
        _, outputs = ledger.outputs(ITEM, state, ledger.EMPTY, firing(UNTIL))
        assume(outputs)
        for output in outputs:
            ran = sum(span.business_s for span in output.event.explanation if span.state == "running")
            assert ran == output.event.elapsed_s
            assert output.time <= UNTIL - SECOND or output.type != "sla.clock.breached.v1"
