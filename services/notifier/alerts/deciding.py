"""What becomes of an alert, and who hears of it when, once something was published of its clock. PURE."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from services.notifier.alerts.standing import StandingAlert, fold
from services.notifier.delivery import Notice
from shared.breach_records import BreachRecord, PublishedRecord
from shared.events import Instant, rfc3339

Hold = Callable[[Notice, PublishedRecord, StandingAlert | None, Instant], Notice]
"""Says of a notice when it may be sent, or that it will not be; the alert is the one after the record."""


@dataclass(frozen=True, slots=True)
class Decision:
    """What is to be stored."""

    alert: StandingAlert | None  # after what was published; None of a silence
    notices: tuple[Notice, ...]
    next_step_at: Instant | None = None  # of its escalation


Decide = Callable[[PublishedRecord, Sequence[Notice], StandingAlert | None, Instant], Decision]


def at_once(notice: Notice, record: PublishedRecord, alert: StandingAlert | None, now: Instant) -> Notice:  # a Hold
    """The notice, held by nothing."""
    return notice


@dataclass(frozen=True, slots=True)
class Decider:
    """Decides by what the routes say and *hold* knows."""

    hold: Hold = at_once

    def on_event(
        self, record: PublishedRecord, notices: Sequence[Notice], alert: StandingAlert | None, now: Instant
    ) -> Decision:
        """What becomes of *alert*, the one before *record*, and of the *notices* that the routes chose."""
        after = fold(alert, record, now) if isinstance(record, BreachRecord) else None
        return Decision(after, tuple(self._held(each, record, after, now) for each in notices))

    def _held(self, notice: Notice, record: PublishedRecord, alert: StandingAlert | None, now: Instant) -> Notice:
        return rested(self.hold(notice, record, alert, now), alert, now)


def rested(notice: Notice, alert: StandingAlert | None, now: Instant) -> Notice:
    """*notice*, held as long as *alert* is snoozed; the end of an alert is told all the same."""
    until = None if alert is None else alert.snoozed_until
    if until is None or until <= now or notice.state not in ("pending", "held") or not _is_on(alert):
        return notice
    if notice.due is not None and notice.due >= until:
        return notice
    return replace(notice, state="held", due=until, why=f"snoozed until {rfc3339(until)}")


def _is_on(alert: StandingAlert | None) -> bool:
    return alert is not None and alert.standing not in ("ended", "retracted")
