"""Which step of an escalation is due when: three days of it in milliseconds, under a clock that the tests turn."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.notifier.alerts.deciding import Chosen, Decider
from services.notifier.alerts.escalation import Escalation, Step
from services.notifier.alerts.standing import StandingAlert, acknowledged, pack, snoozed, unpack
from services.notifier.delivery import ChannelName, Notice, alert_id, delivery_id
from services.notifier.people.audience import Audience, Found
from shared.breach_records import BreachRecord, PublishedRecord
from shared.events import HEARTBEAT_TENANT, SECOND, BreachType, Instant
from tests.factories import DUE, breach

MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR
STANDARD = Escalation(
    "standard",
    (
        Step("50%", ("team",)),
        Step("80%", ("lead",)),
        Step("breach", ("lead",), 0),
        Step("+30m", ("boss",), 30 * MINUTE),
        Step("+4h", ("head",), 4 * HOUR, "ended"),
    ),
)
NAGGING = Escalation("nagging", (Step("breach", ("lead",), 0),), repeat_every=HOUR)


class World:
    """An alert, its escalation, and a clock."""

    def __init__(self, escalation: Escalation) -> None:
        self.now: Instant = DUE
        self.alert: StandingAlert | None = None
        self.record = breach()
        self.sent: list[tuple[Instant, Notice]] = []
        self.next_step_at: Instant | None = None
        names = {name: "console" for step in escalation.steps for name in step.receivers}
        self.decider = Decider(
            escalations={escalation.name: escalation},
            choose=lambda _record: Chosen("all", escalation.name),
            channels=names,  # type: ignore[arg-type] # the values are all one literal
        )

    def hear(self, event_type: BreachType, after: int = 0, notices: Iterable[Notice] = (), **changes: Any) -> None:
        """Let something be published *after* the last one."""
        self.run_until(self.now + after)
        self.record = _next(self.record, event_type, self.now, changes)
        self._keep(self.decider.on_event(self.record, list(notices), self.alert, self.now))

    def run_until(self, end: Instant) -> None:
        """Let time pass, and every step be taken when it is due."""
        while self.alert is not None and self.next_step_at is not None and self.next_step_at <= end:
            self.now = max(self.now, self.next_step_at)
            self._keep(self.decider.on_step(self.record, self.alert, self.now))
        self.now = end

    def told(self) -> list[tuple[str | None, str, int]]:
        """(step, receiver, minutes since DUE) of all that was sent."""
        return [(each.step, each.receiver, (at - DUE) // MINUTE) for at, each in self.sent]

    def _keep(self, decision: Any) -> None:
        # As it is stored and read again.
        self.alert = unpack(pack(decision.alert))
        self.next_step_at = decision.next_step_at
        self.sent += [(self.now, each) for each in decision.notices]


def _next(before: BreachRecord, event_type: BreachType, now: Instant, changes: dict[str, Any]) -> BreachRecord:
    number = before.data.sequence + 1
    return breach(f"event-{number}", event_type, now, **{"sequence": number, **changes})


WARNING: BreachType = "sla.clock.warning.v1"
BREACHED: BreachType = "sla.clock.breached.v1"
STOPPED: BreachType = "sla.breach.stopped.v1"
RETRACTED: BreachType = "sla.breach.retracted.v1"


def test_the_steps_of_a_breach_that_nobody_takes_on() -> None:
    world = World(STANDARD)
    world.hear(WARNING, breach_id=None, warning="50%")
    world.hear(WARNING, 30 * MINUTE, breach_id=None, warning="80%")
    world.hear(BREACHED, 30 * MINUTE)
    world.run_until(DUE + 3 * DAY)
    assert world.told() == [
        ("50%", "team", 0),
        ("80%", "lead", 30),
        ("breach", "lead", 60),
        ("+30m", "boss", 90),
        ("+4h", "head", 300),
    ]
    assert world.next_step_at is None


def test_steps_of_warnings_that_never_came_are_taken_at_the_breach() -> None:
    world = World(STANDARD)
    world.hear(BREACHED)
    # The lead has two of them, and hears of it once.
    assert world.told() == [("50%", "team", 0), ("80%", "lead", 0)]


def test_a_larger_share_takes_the_steps_of_the_smaller_ones() -> None:
    world = World(STANDARD)
    world.hear(WARNING, breach_id=None, warning="75%")
    assert world.told() == [("50%", "team", 0)]


def test_a_warning_takes_no_step_of_the_breach_however_long_it_stands() -> None:
    world = World(STANDARD)
    world.hear(WARNING, breach_id=None, warning="80%")
    world.run_until(DUE + 3 * DAY)
    assert [step for step, _, _ in world.told()] == ["50%", "80%"]


def test_whoever_takes_it_on_stops_the_steps_but_not_those_that_only_the_end_stops() -> None:
    world = World(STANDARD)
    world.hear(BREACHED)
    assert world.alert is not None
    world.alert = acknowledged(world.alert, "Ana", "on it", DUE)
    world.run_until(DUE + 3 * DAY)
    assert world.told()[2:] == [("+4h", "head", 240)]


@pytest.mark.parametrize("event_type", [STOPPED, RETRACTED, "sla.breach.cancelled.v1"])
def test_the_end_stops_every_step_and_whoever_was_told_by_one_hears_of_it(event_type: BreachType) -> None:
    world = World(STANDARD)
    world.hear(BREACHED)
    world.run_until(DUE + 31 * MINUTE)
    world.hear(event_type)
    world.run_until(DUE + 3 * DAY)
    assert world.told()[2:] == [("+30m", "boss", 30), (None, "team", 31), (None, "lead", 31), (None, "boss", 31)]


def test_whom_a_route_tells_in_the_same_moment_a_step_does_not_tell_again() -> None:
    world = World(NAGGING)
    notice = Notice("all", "lead", "console", "route all takes everything")
    world.hear(BREACHED, notices=[notice])
    assert world.told() == [(None, "lead", 0)]
    world.hear(STOPPED, MINUTE, notices=[notice])
    assert world.told()[1:] == [(None, "lead", 1)]


def test_the_last_step_is_repeated_until_somebody_takes_it_on() -> None:
    world = World(NAGGING)
    world.hear(BREACHED)
    world.run_until(DUE + 2 * HOUR + MINUTE)
    assert world.told() == [
        ("breach", "lead", 0),
        ("breach again 1", "lead", 60),
        ("breach again 2", "lead", 120),
    ]
    assert world.alert is not None
    world.alert = acknowledged(world.alert, "Ana", "", world.now)
    world.run_until(DUE + 3 * DAY)
    assert len(world.sent) == 3


def test_repeats_that_were_missed_are_not_made_up_for() -> None:
    world = World(NAGGING)
    world.hear(BREACHED)
    world.now = DUE + DAY  # nobody took steps for a day
    assert world.alert is not None
    world._keep(world.decider.on_step(world.record, world.alert, world.now))
    assert world.told()[1:] == [("breach again 1", "lead", 1440)]
    assert world.next_step_at == DUE + DAY + HOUR


def test_steps_wait_as_long_as_the_alert_is_snoozed() -> None:
    world = World(STANDARD)
    world.hear(BREACHED)
    assert world.alert is not None
    world.alert = snoozed(world.alert, "Ana", "lunch", DUE + 2 * HOUR, DUE)
    world.run_until(DUE + 5 * HOUR)
    assert world.told()[2:] == [("+30m", "boss", 120), ("+4h", "head", 240)]


def test_a_breach_that_replaces_another_goes_on_with_its_steps() -> None:
    world = World(STANDARD)
    world.hear(BREACHED)
    world.hear(RETRACTED, MINUTE, replaced_by="B")
    world.hear(BREACHED, breach_id="B")
    world.run_until(DUE + 3 * DAY)
    assert [each for each in world.told() if each[0]] == [
        ("50%", "team", 0),
        ("80%", "lead", 0),
        ("+30m", "boss", 30),
        ("+4h", "head", 240),
    ]


def test_another_breach_of_the_same_clock_begins_anew() -> None:
    world = World(NAGGING)
    world.hear(BREACHED)
    world.hear(RETRACTED, MINUTE)
    world.hear(BREACHED, HOUR, breach_id="B")
    assert [step for step, _, _ in world.told()] == ["breach", None, "breach"]


def test_an_escalation_that_the_file_no_longer_has_takes_no_steps() -> None:
    world = World(NAGGING)
    world.hear(BREACHED)
    assert world.alert is not None
    decision = Decider().on_step(world.record, world.alert, DUE + DAY)
    assert (decision.notices, decision.next_step_at) == ((), None)


def test_steps_have_ids_of_their_own_and_a_repeat_of_the_same_step_has_the_same() -> None:
    notice = Notice("all", "lead", "console", "because")
    steps = [Notice("all", "lead", "console", "because", step=name) for name in ("+30m", "+4h", "+30m")]
    ids = [delivery_id(breach(), each) for each in (notice, *steps)]
    assert len(set(ids)) == 3
    assert ids[1] == ids[3]


EVENTS = st.sampled_from([(WARNING, "50%"), (WARNING, "80%"), (BREACHED, None), (STOPPED, None), (RETRACTED, None)])


@given(st.lists(st.tuples(EVENTS, st.integers(0, 6 * 60)), min_size=1, max_size=6))
def test_no_step_of_a_breach_is_taken_twice(story: list[tuple[tuple[BreachType, str | None], int]]) -> None:
    world = World(STANDARD)
    for (event_type, warning), minutes in story:
        breach_id = None if event_type == WARNING else "A"
        world.hear(event_type, minutes * MINUTE, warning=warning, breach_id=breach_id)
    world.run_until(world.now + 3 * DAY)
    taken = [(each.receiver, each.step) for _, each in world.sent if each.step is not None]
    ends = sum(event_type in (RETRACTED, STOPPED) for (event_type, _), _ in story)
    # Each end can be followed by another breach, whose steps are its own.
    assert all(taken.count(each) <= ends + 1 for each in taken)
    assert world.next_step_at is None or world.next_step_at > world.now


def test_a_heartbeat_is_no_alert_and_escalates_nothing() -> None:
    found = breach(item=f"{HEARTBEAT_TENANT}/chat/1")
    decision = World(NAGGING).decider.on_event(found, [Notice("heartbeat", "watch", "console", "because")], None, DUE)
    assert (decision.alert, [each.receiver for each in decision.notices]) == (None, ["watch"])
    assert alert_id(found) is None


def test_a_step_tells_whoever_is_responsible_at_that_time() -> None:
    step = Step("+30m", ("lead",), 30 * MINUTE, audience=(("manager",),))
    world = World(Escalation("standard", (step,)))
    asked: list[tuple[Any, Instant]] = []

    def responsible(audience: Audience, _record: PublishedRecord, at: Instant) -> Found:
        asked.append((audience, at))
        return Found(("boss", "gone"), "manager Bea")

    channels: dict[str, ChannelName] = {"lead": "console", "boss": "email"}  # `gone` is in the file no longer
    world.decider = replace(world.decider, responsible=responsible, channels=channels)
    world.hear(BREACHED)
    world.run_until(DUE + HOUR)
    assert asked == [((("manager",),), DUE + 30 * MINUTE)]
    assert [(each.receiver, each.channel, each.reason) for _, each in world.sent] == [
        ("lead", "console", "escalation standard: +30m"),
        ("boss", "email", "escalation standard: +30m; to manager Bea"),
    ]
    world.hear(STOPPED, MINUTE)
    assert [each.receiver for _, each in world.sent][2:] == ["lead", "boss"]
