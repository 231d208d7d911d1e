"""What becomes of an alert, and who hears of it when, once something happens to it. PURE."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from msgspec.structs import replace as changed

from services.notifier.alerts.customer import settled
from services.notifier.alerts.escalation import Due, Escalation, Step, due_steps, next_step
from services.notifier.alerts.standing import StandingAlert, escalated, fold
from services.notifier.customers import CUSTOMERS
from services.notifier.delivery import ChannelName, Notice
from services.notifier.heartbeat import is_heartbeat
from services.notifier.people.audience import Audience, Found
from shared.breach_records import BreachRecord, PublishedRecord
from shared.events import Instant, rfc3339

Hold = Callable[[Notice, PublishedRecord, StandingAlert | None, Instant], Notice]
"""Says of a notice when it may be sent, or that it will not be; the alert is the one after the record."""


@dataclass(frozen=True, slots=True)
class Chosen:
    """The escalation that the routes choose for something published, and the route that did."""

    route: str
    escalation: str


@dataclass(frozen=True, slots=True)
class Decision:
    """What is to be stored."""

    alert: StandingAlert | None  # as it is now; None of a silence
    notices: tuple[Notice, ...] = ()
    next_step_at: Instant | None = None  # of its escalation
    steps: tuple[str, ...] = ()  # that were taken


Decide = Callable[[PublishedRecord, Sequence[Notice], StandingAlert | None, Instant], Decision]
DecideStep = Callable[[BreachRecord, StandingAlert, Instant], Decision]


Responsible = Callable[[Audience, PublishedRecord, Instant], Found]
"""Says whom an audience comes to."""


def nobody(_audience: Audience, _record: PublishedRecord, _at: Instant) -> Found:
    """Nobody, where there is no directory."""
    return Found((), "")


def at_once(notice: Notice, _record: PublishedRecord, _alert: StandingAlert | None, _now: Instant) -> Notice:
    """The notice, held by nothing."""
    return notice


@dataclass(frozen=True, slots=True)
class Decider:
    """Decides by what `notify.yaml` says, and by what *hold* knows."""

    hold: Hold = at_once
    escalations: Mapping[str, Escalation] = field(default_factory=dict)
    choose: Callable[[PublishedRecord], Chosen | None] = lambda _record: None
    channels: Mapping[str, ChannelName] = field(default_factory=dict)  # of the receivers
    responsible: Responsible = nobody

    def on_event(
        self, record: PublishedRecord, notices: Sequence[Notice], alert: StandingAlert | None, now: Instant
    ) -> Decision:
        """What becomes of *alert*, the one before *record*, and of the *notices* that the routes chose."""
        if not isinstance(record, BreachRecord) or is_heartbeat(record):  # of which people keep no account
            return Decision(None, tuple(self._held(each, record, None, now) for each in notices))
        after = fold(alert, record, now)
        if self.escalations:
            after = self._on_course(after, record)
            notices = [*notices, *self._endings(after, notices)]
        decision = self._stepped(record, notices, after, now)
        after, told = settled(decision.alert or after, record, decision.notices)
        return replace(decision, alert=after, notices=told)

    def on_step(self, record: BreachRecord, alert: StandingAlert, now: Instant) -> Decision:
        """What becomes of *alert*, of which *record* tells, when the time of a step has come."""
        return self._stepped(record, (), alert, now)

    def _stepped(self, record: BreachRecord, notices: Sequence[Notice], alert: StandingAlert, now: Instant) -> Decision:
        escalation = None if alert.escalation is None else self.escalations.get(alert.escalation)
        if escalation is None:
            return Decision(alert, tuple(self._held(each, record, alert, now) for each in notices))
        steps = due_steps(escalation, alert, now)
        # Who hears of it by a route in this moment is not told a second time.
        told = [*notices]
        for due in steps:
            receivers = self._receivers(due.step, record, now)
            heard = {each.receiver for each in told}
            told += self._of_step(due, alert, {name: receivers[name] for name in receivers if name not in heard})
            alert = escalated(alert, due.course, receivers, by=f"{escalation.name} {due.name}", now=now)
        coming = next_step(escalation, alert)
        held = tuple(self._held(each, record, alert, now) for each in told)
        return Decision(alert, held, None if coming is None else coming.at, tuple(due.name for due in steps))

    def _on_course(self, alert: StandingAlert, record: BreachRecord) -> StandingAlert:
        chosen = self.choose(record)
        if chosen is None or (chosen.route, chosen.escalation) == (alert.route, alert.escalation):
            return alert
        return changed(alert, route=chosen.route, escalation=chosen.escalation)

    def _receivers(self, step: Step, record: BreachRecord, now: Instant) -> dict[str, str]:
        # Receiver -> who they are, for people; those that the file no longer has are passed over.
        found = self.responsible(step.audience, record, now) if step.audience else Found((), "")
        named = dict.fromkeys(step.receivers, "") | dict.fromkeys(found.receivers, f"; to {found.how}")
        return {name: how for name, how in named.items() if name in self.channels}

    def _of_step(self, due: Due, alert: StandingAlert, receivers: Mapping[str, str]) -> Iterator[Notice]:
        for receiver, how in receivers.items():
            reason = f"escalation {alert.escalation}: {due.name}{how}"
            yield Notice(alert.route, receiver, self.channels[receiver], reason, step=due.name)

    def _endings(self, alert: StandingAlert, notices: Sequence[Notice]) -> Iterator[Notice]:
        # Whoever heard of it by a step hears of its end too.
        if alert.newest.happening not in ("stopped", "cancelled", "retracted"):
            return
        told = {each.receiver for each in notices}
        for receiver in alert.told:
            if receiver in self.channels and receiver not in told:
                reason = f"escalation {alert.escalation}: told of it before"
                yield Notice(alert.route, receiver, self.channels[receiver], reason)

    def _held(self, notice: Notice, record: PublishedRecord, alert: StandingAlert | None, now: Instant) -> Notice:
        held = self.hold(notice, record, alert, now)
        if notice.receiver == CUSTOMERS:
            # The team may take an alert on, or let it rest, and the customer waits no longer for that.
            return held if held.state == "silenced" else notice
        return rested(held, alert, now)


def rested(notice: Notice, alert: StandingAlert | None, now: Instant) -> Notice:
    """*notice*, held as long as *alert* is snoozed; the end of an alert is told all the same."""
    if alert is None or alert.snoozed_until is None or alert.standing in ("ended", "retracted"):
        return notice
    until = alert.snoozed_until
    if notice.state not in ("pending", "held") or until <= now or (notice.due or now) >= until:
        return notice
    return replace(notice, state="held", due=until, why=f"snoozed until {rfc3339(until)}")
