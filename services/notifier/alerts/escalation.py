"""Who hears of an alert later, if nobody takes it on: the steps of an escalation, and which of them is due. PURE.

A step hangs on a warning, on the breach, or on a time since the breach. That time begins when the breach was first
heard of: a step is there to give those before it time to act, so a breach that was seen late takes them one by one all
the same. A step of a warning that never came is taken at the breach.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal

from msgspec.structs import replace

from services.notifier.alerts.standing import Course, Fact, Now, StandingAlert, now_of
from services.notifier.people.audience import Audience
from shared.events import Instant, Span

Unless = Literal["acknowledged", "ended"]
_SHARE: Final = re.compile(r"(\d+(?:\.\d+)?)%")


@dataclass(frozen=True, slots=True)
class Step:
    """One step: when it is due, and who hears of the alert then."""

    at: str  # as it is written, its name: `80%`, `15m_left`, `breach`, `+30m`
    receivers: tuple[str, ...]
    after: Span | None = None  # since the breach was heard of; None of a step that hangs on a warning
    unless: Unless = "acknowledged"  # whoever takes the alert on stops it, or only its end does
    audience: Audience = ()  # who hears of it beside the receivers, by the item


@dataclass(frozen=True, slots=True)
class Escalation:
    """The steps of an alert, in order."""

    name: str
    steps: tuple[Step, ...]
    repeat_every: Span | None = None  # how often the last step is repeated until somebody takes the alert on
    line: int = 1  # in the file


@dataclass(frozen=True, slots=True)
class Due:
    """The next step of an alert."""

    at: Instant
    step: Step
    name: str  # of the step, and which repeat of it
    course: Course  # of the escalation, once it is taken


def next_step(escalation: Escalation, alert: StandingAlert) -> Due | None:
    """The next step of *alert*, and when it is due; None when there is none, as things stand."""
    told = now_of(alert.facts)
    if not told.is_on:
        return None
    course = _course(alert, told)
    waiting = [due for due in _first(escalation, alert, course, told) if due is not None]
    found = min(waiting, key=lambda due: due.at, default=None) or _again(escalation, alert, course, told)
    if found is None or alert.snoozed_until is None:
        return found
    return Due(max(found.at, alert.snoozed_until), found.step, found.name, found.course)


def due_steps(escalation: Escalation, alert: StandingAlert, now: Instant) -> list[Due]:
    """The steps of *alert* that are due by *now*, each once; of a repeat the newest only.

    The course of the last one says how far the escalation has got.
    """
    found: list[Due] = []
    course = alert.course
    while (due := next_step(escalation, replace(alert, course=course))) is not None and due.at <= now:
        # A repeat that is late is counted from now: those that were missed are not made up for.
        course = replace(due.course, last_at=now)
        found.append(Due(due.at, due.step, due.name, course))
    return found


def _course(alert: StandingAlert, told: Now) -> Course:
    # A breach goes on with the steps that its warnings have taken; another breach begins anew.
    breach = told.breaches[0] if told.breaches else None
    before = alert.course
    if before is None or (before.breach != breach and before.breach is not None):
        return Course(breach)
    return replace(before, breach=breach)


def _first(escalation: Escalation, alert: StandingAlert, course: Course, told: Now) -> Iterator[Due | None]:
    for step in escalation.steps:
        if step.at not in course.taken and not _is_stopped(step, alert):
            at = _when(step, alert, told)
            lasting = course.lasting if step.unless == "acknowledged" else (*course.lasting, step.at)
            taken = replace(course, taken=(*course.taken, step.at), lasting=lasting)
            yield None if at is None else Due(at, step, step.at, taken)


def _again(escalation: Escalation, alert: StandingAlert, course: Course, told: Now) -> Due | None:
    last = escalation.steps[-1]
    is_over = told.standing != "open" or alert.acknowledged_by is not None or last.at not in course.taken
    if escalation.repeat_every is None or is_over:
        return None
    count = course.repeats + 1
    again_at = course.last_at + escalation.repeat_every
    return Due(again_at, last, f"{last.at} again {count}", replace(course, repeats=count))


def _is_stopped(step: Step, alert: StandingAlert) -> bool:
    return step.unless == "acknowledged" and alert.acknowledged_by is not None


def _when(step: Step, alert: StandingAlert, told: Now) -> Instant | None:
    opened = None if told.opened is None else told.opened.heard_at
    if step.after is not None:
        return None if opened is None or told.standing != "open" else opened + step.after
    warned = [fact.heard_at for fact in _of_this_time(alert, told) if _is_reached(step.at, fact.warning)]
    return min([*warned, *([] if opened is None else [opened])], default=None)


def _of_this_time(alert: StandingAlert, told: Now) -> Iterator[Fact]:
    # The warnings since the clock was last off: a breach that was taken back begins anew.
    ended = [fact.order for fact in alert.facts if fact.happening in ("retracted", "stopped", "cancelled")]
    first = told.opened.order if told.opened is not None else None
    since = max((order for order in ended if first is None or order < first), default=None)
    for fact in alert.facts:
        if fact.happening == "warning" and (since is None or fact.order > since):
            yield fact


def _is_reached(wanted: str, warning: str | None) -> bool:
    # A share is reached by any larger one: of two that were past when the clock started, only the larger is told.
    if warning is None or wanted == warning:
        return warning is not None
    asked, given = _SHARE.fullmatch(wanted), _SHARE.fullmatch(warning)
    return asked is not None and given is not None and float(given[1]) >= float(asked[1])
