"""What becomes of the clocks of metrics that users define: the worked examples of the docs, and each word by itself."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from services.timer import fold
from services.timer.backtest import published
from services.timer.rulebook import Rulebook
from shared.events import Recount
from tests.documentation import DOCS, examples
from tests.histories import MONDAY, at, clocks, event, history, policies, rulebook

(EXAMPLES,) = examples(DOCS / "policies.md", "yaml", "metrics")
WORKED = EXAMPLES.partition("metrics:\n")[2]


def found(metric: str, definition: str, story: str, kind: str = "ticket", options: str = "") -> list[str]:
    """What became of the clocks of a metric, two hours around the clock, without its name and the policy's."""
    policy = f"""
- name: p
  applies_to: {{}}
  calendar: always
  targets: {{{metric}: 2h}}
  pause_when: {{status: [pending, on_hold]}}
{options}
"""
    rules = rulebook(policy, definition)
    rows = clocks(history(story.replace("|", "\n"), kind), rules, until="20:00")
    return [row.removeprefix(f"{metric} ").replace(" p ", " ", 1) for row in rows]


@pytest.mark.parametrize(
    ("metric", "kind", "story", "expected"),
    [
        # The creation counts as a message, and so does the next one after a reply.
        (
            "next_response",
            "ticket",
            "08:00 created|08:30 customer_replied|09:00 agent_replied|10:00 customer_replied|13:00 agent_replied",
            ["1 met 08:00–09:00 due 10:00 elapsed 1:00", "2 breached 10:00–13:00 due 12:00 elapsed 3:00"],
        ),
        # A message on a solved ticket is held also when nobody has ever answered.
        (
            "next_response",
            "ticket",
            "08:00 created|08:30 resolved|09:00 customer_replied|09:30 reopened|10:00 agent_replied",
            ["1 cancelled 08:00–08:30 due 10:00 elapsed 0:30", "2 met 09:00–10:00 due 11:00 elapsed 1:00"],
        ),
        # The built-in one counts what a person said in public,
        (
            "first_response",
            "ticket",
            "08:00 created|08:10 agent_replied author=bot|08:20 agent_replied public=false|09:00 agent_replied",
            ["1 met 08:00–09:00 due 10:00 elapsed 1:00"],
        ),
        # and this one the answer of a bot too, but neither its notes nor those of agents.
        (
            "first_reply",
            "ticket",
            "08:00 created|08:05 agent_replied author=bot public=false|08:07 agent_replied public=false"
            "|08:10 agent_replied author=bot",
            ["1 met 08:00–08:10 due 10:00 elapsed 0:10"],
        ),
        (
            "first_reply",
            "chat",
            "08:00 started|08:05 agent_replied author=system|08:20 agent_replied",
            ["1 met 08:00–08:20 due 10:00 elapsed 0:20"],
        ),
        # Each time with the vendor, whatever the policy pauses.
        (
            "vendor_time",
            "ticket",
            "08:00 created|09:00 updated source_status=with_vendor status=on_hold|10:30 updated source_status=open"
            "|11:00 updated source_status=with_vendor|14:00 resolved",
            ["1 met 09:00–10:30 due 11:00 elapsed 1:30", "2 breached 11:00–14:00 due 13:00 elapsed 3:00"],
        ),
        # With the vendor from the beginning, and still so when it is reopened.
        (
            "vendor_time",
            "ticket",
            "08:00 created source_status=with_vendor|09:00 resolved|10:00 reopened|10:30 updated source_status=none",
            ["1 met 08:00–09:00 due 10:00 elapsed 1:00", "2 met 10:00–10:30 due 12:00 elapsed 0:30"],
        ),
        # It stands still while the requester is asked, and runs while somebody else is.
        (
            "requester_wait",
            "ticket",
            "08:00 created|08:30 updated status=pending|12:00 updated status=on_hold|13:00 resolved",
            ["1 met 08:00–13:00 due 13:30 elapsed 1:30 paused 3:30"],
        ),
        # The built-in one counts the time on hold,
        (
            "handling",
            "call",
            "08:00 queued|08:10 answered|08:20 held|09:20 resumed|10:20 ended",
            ["1 breached 08:10–10:20 due 10:10 elapsed 2:10"],
        ),
        # and this one does not.
        (
            "talk_time",
            "call",
            "08:00 queued|08:10 answered|08:20 held|09:20 resumed|10:20 ended",
            ["1 met 08:10–10:20 due 11:10 elapsed 1:10 paused 1:00"],
        ),
        # A call that was transferred while it was held is not on hold for whoever answers it.
        (
            "talk_time",
            "call",
            "08:00 queued|08:10 answered|08:20 held|08:30 answered|09:20 ended",
            ["1 met 08:10–09:20 due 10:20 elapsed 1:00 paused 0:10"],
        ),
    ],
)
def test_the_worked_examples_of_the_docs(metric: str, kind: str, story: str, expected: list[str]) -> None:
    assert found(metric, WORKED, story, kind) == expected


@pytest.mark.parametrize(
    ("definition", "story", "expected"),
    [
        # Without `repeats` what starts it again starts nothing,
        (
            "starts: customer_message, stops: agent_reply",
            "08:00 created|08:10 customer_replied|08:20 agent_replied|08:30 customer_replied",
            ["1 met 08:10–08:20 due 10:10 elapsed 0:10"],
        ),
        # and with it another cycle.
        (
            "starts: customer_message, stops: agent_reply, repeats: true",
            "08:00 created|08:10 customer_replied|08:20 agent_replied|08:30 customer_replied|08:40 agent_replied",
            ["1 met 08:10–08:20 due 10:10 elapsed 0:10", "2 met 08:30–08:40 due 10:30 elapsed 0:10"],
        ),
        # At one event a cycle ends before the next one starts, also by two ways to say what happened.
        (
            "starts: [created, agent_reply], stops: [{event: ticket.agent_replied}, over], repeats: true",
            "08:00 created|08:10 agent_replied|08:20 resolved",
            ["1 met 08:00–08:10 due 10:00 elapsed 0:10", "2 met 08:10–08:20 due 10:10 elapsed 0:10"],
        ),
        # Of several endings at once what was promised counts before what was given up, and that before the rest.
        (
            "starts: created, cancels: over, abandons: {event: ticket.closed}, stops: {event: ticket.resolved}",
            "08:00 created|08:10 resolved",
            ["1 met 08:00–08:10 due 10:00 elapsed 0:10"],
        ),
        (
            "starts: created, cancels: over, abandons: {event: ticket.closed}, stops: {event: ticket.resolved}",
            "08:00 created|08:10 closed",
            ["1 abandoned 08:00–08:10 due 10:00 elapsed 0:10"],
        ),
        # What nobody names is cancelled when the item is over,
        (
            "starts: created, stops: assigned",
            "08:00 created|08:10 resolved",
            ["1 cancelled 08:00–08:10 due 10:00 elapsed 0:10"],
        ),
        # but for what goes on: a reply after the end still meets it.
        (
            "starts: created, stops: agent_reply, goes_on: always",
            "08:00 created|08:10 resolved|11:00 agent_replied",
            ["1 breached 08:00–11:00 due 10:00 elapsed 3:00"],
        ),
        # `required` goes on only under a policy that requires a reply.
        (
            "starts: created, stops: agent_reply, goes_on: required",
            "08:00 created|08:10 resolved|09:00 agent_replied",
            ["1 cancelled 08:00–08:10 due 10:00 elapsed 0:10"],
        ),
        # A cycle that goes on can end by what the event means that makes the item over.
        (
            "starts: created, stops: {event: ticket.closed}, goes_on: always",
            "08:00 created|08:10 resolved|09:00 closed",
            ["1 met 08:00–09:00 due 10:00 elapsed 1:00"],
        ),
        # Merging counts as done where the definition says so; else it cancels.
        (
            "starts: created, stops: final",
            "08:00 created|08:10 merged",
            ["1 met 08:00–08:10 due 10:00 elapsed 0:10"],
        ),
        (
            "starts: created, stops: {event: ticket.merged}, abandons: {event: ticket.deleted}",
            "08:00 created|08:10 deleted",
            ["1 abandoned 08:00–08:10 due 10:00 elapsed 0:10"],
        ),
        (
            "starts: created, stops: final",
            "08:00 created|08:10 updated status=spam",
            ["1 met 08:00–08:10 due 10:00 elapsed 0:10"],
        ),
        # Reopening takes up what the end has ended, unless its stop happened meanwhile.
        (
            "starts: created, stops: {event: ticket.updated}, taken_up: true",
            "08:00 created|09:00 resolved|10:00 reopened|10:30 updated",
            ["1 met 08:00–10:30 due 11:00 elapsed 1:30 paused 1:00"],
        ),
        (
            "starts: [created, reopened], stops: {event: ticket.updated}, taken_up: true, repeats: true",
            "08:00 created|09:00 resolved|09:30 updated|10:00 reopened|10:30 updated",
            ["1 cancelled 08:00–09:00 due 10:00 elapsed 1:00", "2 met 10:00–10:30 due 12:00 elapsed 0:30"],
        ),
        # A state that ends it counts as it is when the item is reopened, whatever it was in between.
        (
            "starts: created, stops: {becomes: {group: done}}, taken_up: true",
            "08:00 created|09:00 resolved|09:20 updated group=done|09:40 updated group=none|10:00 reopened"
            "|10:30 updated group=done",
            ["1 met 08:00–10:30 due 11:00 elapsed 1:30 paused 1:00"],
        ),
        (
            "starts: created, stops: {becomes: {group: done}}, taken_up: true",
            "08:00 created|09:00 resolved|10:00 reopened group=done",
            ["1 cancelled 08:00–09:00 due 10:00 elapsed 1:00"],
        ),
        (
            "starts: created, stops: {leaves: {group: ours}}, taken_up: true",
            "08:00 created group=ours|09:00 resolved|10:00 reopened|10:30 updated group=theirs",
            ["1 met 08:00–10:30 due 11:00 elapsed 1:30 paused 1:00"],
        ),
        # What is taken up is not started by the reopening beside it.
        (
            "starts: [created, reopened], stops: over, taken_up: true, repeats: true",
            "08:00 created|09:00 resolved|10:00 reopened|10:30 resolved",
            ["1 met 08:00–10:30 due 11:00 elapsed 1:30 paused 1:00"],
        ),
        # All of a state must match, and it happens once until it was left.
        (
            "starts: {becomes: {group: [a, b], priority: high}}, stops: over, repeats: true",
            "08:00 created group=a|08:10 updated priority=high|08:20 updated group=b|09:00 resolved",
            ["1 met 08:10–09:00 due 10:10 elapsed 0:50"],
        ),
        # At a creation nothing is left.
        (
            "starts: {leaves: {group: a}}, stops: over",
            "07:00 updated group=a|08:00 created group=b|08:10 updated group=a|08:20 updated group=b|09:00 resolved",
            ["1 met 08:20–09:00 due 10:20 elapsed 0:40"],
        ),
        # What holds at the reopening counts, though an event before or the reopening itself touched it.
        (
            "starts: {becomes: {group: [a, b]}}, stops: over, repeats: true",
            "08:00 created|08:30 resolved|09:00 updated group=a|10:00 reopened group=b|10:30 resolved",
            ["1 met 10:00–10:30 due 12:00 elapsed 0:30"],
        ),
        # A condition on the item narrows a trigger, under the attributes after the event.
        (
            "starts: {occurrence: created, counts_when: {channel: mail}}, stops: over",
            "08:00 created channel=mail|09:00 resolved",
            ["1 met 08:00–09:00 due 10:00 elapsed 1:00"],
        ),
        (
            "starts: {occurrence: created, counts_when: {channel: mail}}, stops: over",
            "08:00 created channel=web|09:00 resolved",
            [],
        ),
        (
            "starts: {occurrence: assigned, counts_when: {group: a}}, stops: over, repeats: true",
            "08:00 created assignee=ann|08:10 updated group=a assignee=bob|09:00 resolved",
            ["1 met 08:10–09:00 due 10:10 elapsed 0:50"],
        ),
        # Private notes count where the definition says so, and only those.
        (
            "starts: created, stops: {event: ticket.agent_replied, public: false}",
            "08:00 created|08:10 agent_replied|08:20 agent_replied public=false",
            ["1 met 08:00–08:20 due 10:00 elapsed 0:20"],
        ),
        (
            "starts: created, stops: {event: ticket.agent_replied, public: any, author: [agent, bot]}",
            "08:00 created|08:10 agent_replied author=system|08:20 agent_replied public=false author=bot",
            ["1 met 08:00–08:20 due 10:00 elapsed 0:20"],
        ),
        # Only once somebody has answered.
        (
            "starts: {event: ticket.updated}, after_answer: true, stops: over",
            "08:00 created|08:10 updated|08:20 agent_replied|08:30 updated|09:00 resolved",
            ["1 met 08:30–09:00 due 10:30 elapsed 0:30"],
        ),
        # A start that is held counts from its own time, the first of several, unless it was ended meanwhile.
        (
            "starts: {event: ticket.updated}, stops: agent_reply, holds_start: true, repeats: true",
            "08:00 created|08:10 resolved|08:20 updated|08:30 updated|09:00 reopened|09:30 agent_replied",
            ["1 met 08:20–09:30 due 10:20 elapsed 1:10"],
        ),
        (
            "starts: {event: ticket.updated}, stops: {event: ticket.agent_replied, author: bot}, holds_start: true",
            "08:00 created|08:10 resolved|08:20 updated|08:30 agent_replied author=bot|09:00 reopened|09:30 resolved",
            [],
        ),
        # Without it, what happens while the item is over is past.
        (
            "starts: {event: ticket.updated}, stops: agent_reply",
            "08:00 created|08:10 resolved|08:20 updated|09:00 reopened",
            [],
        ),
        # Its own pauses stand for the policy's.
        (
            "starts: created, stops: over, pauses: {group: waiting}",
            "08:00 created|08:10 updated group=waiting|09:00 updated group=none status=pending|09:30 resolved",
            ["1 met 08:00–09:30 due 10:50 elapsed 0:40 paused 0:50"],
        ),
        # Only of the kinds that it names.
        ("kinds: [chat, call], starts: created, stops: over", "08:00 created|09:00 resolved", []),
    ],
)
def test_each_word_of_the_language(definition: str, story: str, expected: list[str]) -> None:
    assert found("own", f"own: {{{definition}}}", story) == expected


def test_what_goes_on_is_measured_by_a_policy_that_matches_once_the_item_is_reopened() -> None:
    definition = "own: {starts: created, stops: agent_reply, goes_on: always}"
    policy = "- {name: p, applies_to: {customer: acme}, calendar: always, targets: {own: 2h}}"
    story = history("08:00 created\n08:30 resolved\n09:00 reopened customer=acme\n09:30 agent_replied")
    assert clocks(story, rulebook(policy, definition)) == ["own 1 p met 08:00–09:30 due 10:00 elapsed 1:30"]


def test_a_cycle_that_ended_unmeasured_was_the_only_one() -> None:
    definition = "own: {starts: customer_message, stops: agent_reply}"
    policy = "- {name: p, applies_to: {customer: acme}, calendar: always, targets: {own: 2h}}"
    story = "08:00 created\n08:10 customer_replied\n08:20 agent_replied\n08:30 customer_replied customer=acme"
    assert clocks(history(story), rulebook(policy, definition)) == []


def test_a_clock_follows_the_definition_that_it_started_with() -> None:
    policy = "- {name: p, applies_to: {}, calendar: always, targets: {own: 2h}}"
    first = policies(policy, "own: {starts: created, stops: agent_reply, repeats: true}")
    second = policies(policy, "own: {starts: customer_message, stops: over, repeats: true}")
    story = history(
        "08:00 created\n09:00 customer_replied\n09:10 agent_replied\n09:20 customer_replied\n09:30 resolved"
    )
    changed = Rulebook(((0, first), (MONDAY + 8 * 3600 * 1_000_000 + 1, second)))
    assert clocks(story, changed) == [
        "own 1 p met 08:00–09:10 due 10:00 elapsed 1:10",
        "own 2 p met 09:20–09:30 due 11:20 elapsed 0:10",
    ]


def test_what_is_published_of_them_names_them() -> None:
    rules = rulebook("- {name: p, applies_to: {}, calendar: always, targets: {vendor_time: 1h}}", WORKED)
    story = history("08:00 created\n08:30 updated source_status=with_vendor")
    (breach,) = published(story, rules, at("10:00"))
    assert (breach.type, breach.event.metric, breach.event.started_at, breach.event.breached_at) == (
        "sla.clock.breached.v1",
        "vendor_time",
        "2026-01-05T08:30:00Z",
        "2026-01-05T09:30:00Z",
    )


def test_on_reopen_restart_starts_a_metric_that_does_not_repeat() -> None:
    rows = found(
        "own",
        "own: {starts: customer_message, stops: over, taken_up: true}",
        "08:00 created|08:10 customer_replied|09:00 resolved|10:00 reopened|10:30 resolved",
        options="  on_reopen: restart",
    )
    assert rows == ["1 met 08:10–09:00 due 10:10 elapsed 0:50", "2 met 10:00–10:30 due 12:00 elapsed 0:30"]


def test_a_call_says_itself_whether_it_is_held() -> None:
    state = fold.refold(
        history("08:00 queued\n08:10 held held=music\n08:20 updated x=1", "call"),
        Rulebook(((0, policies("- {name: p, applies_to: {}, calendar: always, targets: {answer: 1m}}")),)),
    )
    assert state.attributes == {"held": "music", "x": "1"}


def test_a_start_that_is_held_moves_with_its_item_to_another_version() -> None:
    policy = "- {name: p, applies_to: {}, calendar: always, targets: {own: %s}}"
    definition = "own: {starts: customer_message, stops: agent_reply, holds_start: true}"
    first, second = policies(policy % "2h", definition), policies(policy % "3h", definition)
    story = history("08:00 created\n08:10 resolved\n08:20 customer_replied\n09:00 reopened\n09:30 agent_replied")
    move = event("08:30 recounted")
    move = replace(move, source="/plazo", recount=Recount(second.version))
    changed = Rulebook(((0, first), (at("20:00"), second)))
    assert clocks([*story, move], changed) == ["own 1 p met 08:20–09:30 due 11:20 elapsed 1:10"]
    assert clocks(story, changed) == ["own 1 p met 08:20–09:30 due 10:20 elapsed 1:10"]


def test_a_metric_whose_clock_reopening_would_take_up_is_not_started_beside_it() -> None:
    story = "08:00 created|09:00 resolved|10:00 reopened|10:30 updated assignee=ann|11:00 updated assignee=none"
    definition = "own: {starts: [created, unassigned], stops: assigned, taken_up: true, repeats: true}"
    assert found("own", definition, story, options="  on_reopen: ignore") == [
        "1 cancelled 08:00–09:00 due 10:00 elapsed 1:00",
        "2 breached 11:00– due 13:00 elapsed 9:00",
    ]
