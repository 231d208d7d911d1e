"""An alert: what stands for one promise that is broken, or about to be, whatever is published of its clock. PURE.

It keeps what was published as facts, in the order in which it happened, and what people did. How it stands follows from
the facts alone, so neither their order of arrival nor a repeat makes a difference.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import reduce
from typing import Final, Literal

import msgspec

from services.notifier.delivery import AlertStanding
from shared.breach_records import BreachRecord
from shared.events import Instant, instant, parse_instant

Happening = Literal["warning", "breached", "stopped", "cancelled", "retracted"]
Deed = Literal["acknowledged", "snoozed", "assigned", "escalated"]

FACTS_KEPT: Final = 200  # the newest; a clock has a handful
ACTS_KEPT: Final = 200  # the newest, of its history
_HAPPENINGS: Final[dict[str, Happening]] = {
    "sla.clock.warning.v1": "warning",
    "sla.clock.breached.v1": "breached",
    "sla.breach.stopped.v1": "stopped",
    "sla.breach.cancelled.v1": "cancelled",
    "sla.breach.retracted.v1": "retracted",
}


class Fact(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Something that was published of the alert's clock."""

    sequence: int  # among the events of its item
    at: Instant  # when it happened
    event_id: str
    happening: Happening
    heard_at: Instant  # when the notifier first heard of it
    breach_id: str | None = None
    replaced_by: str | None = None  # of a retraction: the breach that stands in its place
    warning: str | None = None  # which warning: `80%`, `15m_left`
    due_at: Instant | None = None

    @property
    def order(self) -> tuple[int, Instant, str]:
        """Its place among the facts of the clock."""
        return (self.sequence, self.at, self.event_id)


class Act(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Something that was done about the alert, by a person or by an escalation."""

    at: Instant
    deed: Deed
    by: str  # who, or which step
    comment: str = ""
    until: Instant | None = None  # of a snooze
    assignee: str | None = None  # of an assignment; None takes it back
    about: str | None = None  # of an acknowledgement: the breach; None of a warning


class Course(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """How far the escalation of one breach has got."""

    breach: str | None  # which breach, by its first id; None while there are only warnings
    taken: tuple[str, ...] = ()  # the steps, by their names
    repeats: int = 0  # of the last one
    last_at: Instant = 0  # when the newest was taken
    lasting: tuple[str, ...] = ()  # those of the steps that are taken although somebody has taken the alert on


class StandingAlert(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """All that is known of one alert; stored as it is, so new fields go to the end."""

    facts: tuple[Fact, ...]  # at least one, in order
    acts: tuple[Act, ...] = ()  # the oldest first
    acknowledgement: Act | None = None  # the newest, whether it still counts or not
    snoozed_until: Instant | None = None
    assignee: str | None = None
    route: str = ""  # the route that chose its escalation
    escalation: str | None = None  # the name of its escalation
    course: Course | None = None  # of its escalation
    told: tuple[str, ...] = ()  # receivers that heard of it by a step, and hear of its end
    customer_told: bool = False  # the customer has heard of the breach, or will, and hears of its end

    @property
    def newest(self) -> Fact:
        """What it tells of: what happened last."""
        return self.facts[-1]

    @property
    def standing(self) -> AlertStanding:
        """How it stands, for people: an open one that somebody took on is acknowledged."""
        told = now_of(self.facts)
        return "acknowledged" if told.is_on and self.acknowledged_by is not None else told.standing

    @property
    def acknowledged_by(self) -> str | None:
        """Who has taken it on; None where nobody has, or what they took on has become another breach."""
        given = self.acknowledgement
        if given is None:
            return None
        told = now_of(self.facts)
        counts = given.about in told.breaches if told.breaches else given.about is None
        return given.by if counts else None

    @property
    def due_at(self) -> Instant | None:
        """When the promise is or was due, as far as the newest fact that tells it."""
        return next((each.due_at for each in reversed(self.facts) if each.due_at is not None), None)


class Now(msgspec.Struct, frozen=True, gc=False):
    """What the facts say together."""

    standing: AlertStanding
    breaches: tuple[str, ...] = ()  # the ids of the present breach, the first and what replaced it; () without one
    opened: Fact | None = None  # what made it an open one; it stays through replacements

    @property
    def is_on(self) -> bool:
        """Whether somebody should do something about it."""
        return self.standing in ("warning", "open")


_decoder: Final = msgspec.msgpack.Decoder(StandingAlert)
_encoder: Final = msgspec.msgpack.Encoder()


def pack(alert: StandingAlert) -> bytes:
    """The alert as it is stored."""
    return _encoder.encode(alert)


def unpack(stored: bytes) -> StandingAlert:
    """The alert that was stored, by this version or an older one."""
    return _decoder.decode(stored)


def fold(alert: StandingAlert | None, record: BreachRecord, now: Instant) -> StandingAlert:
    """*alert* and what *record* tells, heard at *now*; a repeat changes nothing."""
    found = fact(record, now)
    if alert is None:
        return StandingAlert((found,))
    if any(each.event_id == found.event_id for each in alert.facts):
        return alert
    facts = tuple(sorted((*alert.facts, found), key=lambda each: each.order))
    return msgspec.structs.replace(alert, facts=facts[-FACTS_KEPT:])


def fact(record: BreachRecord, now: Instant) -> Fact:
    """What *record* tells of its clock, heard at *now*."""
    data = record.data
    due_at = None if data.due_at is None else parse_instant(data.due_at)
    return Fact(
        *(data.sequence, instant(record.time), record.id, _HAPPENINGS[record.type], now),
        *(data.breach_id, data.replaced_by, data.warning, due_at),
    )


def now_of(facts: tuple[Fact, ...]) -> Now:
    """What *facts*, in their order, say together.

    A breach that was replaced goes on as the one in its place: whoever took it on has taken on that one. One that was
    taken back and happens after all is another.
    """
    return reduce(_then, facts, Now("warning"))


def _then(now: Now, found: Fact) -> Now:
    if found.happening == "warning":
        return now if now.standing == "open" else Now("warning")
    if found.happening == "breached":
        return _broken(now, found)
    if found.happening != "retracted":
        return Now("ended", now.breaches, now.opened)
    if found.replaced_by is None:
        return Now("retracted", now.breaches, now.opened)
    return Now("open", (*now.breaches, found.replaced_by), now.opened or found)


def _broken(now: Now, found: Fact) -> Now:
    named = found.breach_id or found.event_id
    if now.standing != "open":
        return Now("open", (named,), found)
    breaches = now.breaches if named in now.breaches else (*now.breaches, named)
    opened = now.opened if now.opened is not None and now.opened.happening == "breached" else found
    return Now("open", breaches, opened)


def acknowledged(alert: StandingAlert, by: str, comment: str, now: Instant) -> StandingAlert:
    """*alert*, taken on by somebody. What was a warning and breaks later is no longer theirs."""
    told = now_of(alert.facts)
    act = Act(now, "acknowledged", by, comment, about=told.breaches[-1] if told.breaches else None)
    return msgspec.structs.replace(_done(alert, act), acknowledgement=act)


def snoozed(alert: StandingAlert, by: str, comment: str, until: Instant, now: Instant) -> StandingAlert:
    """*alert*, of which nothing is told before *until*; an instant that has passed ends a snooze."""
    act = Act(now, "snoozed", by, comment, until=until)
    return msgspec.structs.replace(_done(alert, act), snoozed_until=until if until > now else None)


def assigned(alert: StandingAlert, by: str, comment: str, assignee: str | None, now: Instant) -> StandingAlert:
    """*alert*, given to *assignee*, or to nobody."""
    act = Act(now, "assigned", by, comment, assignee=assignee)
    return msgspec.structs.replace(_done(alert, act), assignee=assignee)


def escalated(alert: StandingAlert, course: Course, told: Iterable[str], *, by: str, now: Instant) -> StandingAlert:
    """*alert* after the step that *by* names, by which the receivers *told* hear of it."""
    heard = tuple(dict.fromkeys((*alert.told, *told)))
    return msgspec.structs.replace(_done(alert, Act(now, "escalated", by)), course=course, told=heard)


def _done(alert: StandingAlert, act: Act) -> StandingAlert:
    return msgspec.structs.replace(alert, acts=(*alert.acts, act)[-ACTS_KEPT:])
