"""Whether a notice is sent, waits, or is not sent at all, with the reason. PURE.

The gates in their order; the first two are final:

    silenced  a silence in force matches
    muted     something that is open inhibits it; somebody has taken the alert on; a warning whose breach is told
    held      the receiver's quiet hours; others of its group; its receiver's rate limit

A snooze of its alert comes after all of them (`alerts.deciding`). What was held goes through the same gates again
when it is due (`release`).
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final, NamedTuple
from uuid import UUID

from services.notifier.alerts.standing import StandingAlert
from services.notifier.customers import CUSTOMERS
from services.notifier.delivery import Notice, State
from services.notifier.grouping import Group, group_of
from services.notifier.heartbeat import is_heartbeat
from services.notifier.holding.rules import Rules
from services.notifier.holding.silences import hiding
from services.notifier.inhibition import ENDS, is_warning, muting
from shared.breach_records import PublishedRecord
from shared.events import Instant, rfc3339

QUIET: Final = "quiet hours"


class Ending(NamedTuple):
    """How a notice ends without being sent."""

    state: State
    why: str
    silence: UUID | None = None  # which one hides it


class Waiting(NamedTuple):
    """Until when a notice waits, for what, and with which others."""

    until: Instant
    why: str
    group: Group | None = None


def hold(notice: Notice, record: PublishedRecord, *, alert: StandingAlert | None, rules: Rules, now: Instant) -> Notice:
    """*notice* as it is to be remembered at *now*: pending, held until its `due`, or ended.

    Args:
        notice: what a receiver is to hear; one that is not pending, and a heartbeat, stay as they are.
        record: what was published.
        alert: what stands for its clock, *record* included; None of a silent source.
        rules: with the keys of what inhibits just now.
        now: when it would be sent.
    """
    if notice.state != "pending" or is_heartbeat(record):
        return notice
    ending = ended(notice, record, alert=alert, rules=rules, now=now)
    if ending is not None:
        return replace(notice, state=ending.state, why=ending.why, due=None, silence=ending.silence)
    found = waiting(notice, record, rules, now)
    together = _together(notice, record, rules, now)
    if together is not None and (found is None or found.group is not None):
        until = together.until if found is None else max(found.until, together.until)
        found = Waiting(until, together.why if found is None else found.why, together.group)
    if found is None and notice.receiver in rules.paces:
        found = Waiting(now, _pace_words(rules, notice.receiver))
    if found is None:
        return notice
    key = None if found.group is None else found.group.key
    return replace(notice, state="held", due=found.until, why=found.why, group=key)


def ended(
    notice: Notice, record: PublishedRecord, *, alert: StandingAlert | None, rules: Rules, now: Instant
) -> Ending | None:
    """How *notice* ends without being sent, or None."""
    silence = hiding(rules.silences, record, _heard_at(alert), now) if rules.silences else None
    if silence is not None:
        return Ending("silenced", silence.why, silence.id)
    # What the team knows or does is not the customer's, and the steps of an escalation know themselves what ends them.
    if notice.receiver == CUSTOMERS or notice.step is not None:
        return None
    inhibited = muting(rules.inhibit, record, rules.sources, _heard_at(alert)) if rules.sources else None
    return _known(record, alert) if inhibited is None else Ending("muted", inhibited)


def _heard_at(alert: StandingAlert | None) -> Instant | None:
    return None if alert is None else min(fact.heard_at for fact in alert.facts)


def _known(record: PublishedRecord, alert: StandingAlert | None) -> Ending | None:
    if alert is None or record.type in ENDS:
        return None
    if alert.acknowledged_by is not None:
        return Ending("muted", f"acknowledged by {alert.acknowledged_by}")
    if is_warning(record) and alert.standing == "open":
        return Ending("muted", "it broke: the breach is told")
    return None


def waiting(notice: Notice, record: PublishedRecord, rules: Rules, now: Instant) -> Waiting | None:
    """Until when *notice* may not be sent, whatever its group does; None where it may."""
    quiet = rules.quiet.get(notice.receiver)
    until = None if quiet is None else quiet.until(record.data.severity, now)
    if until is None:
        return None
    # All that one receiver finds in the morning is told together, unless its route groups it otherwise.
    return Waiting(until, f"{QUIET} until {rfc3339(until)}", Group(notice.receiver, None, label=QUIET))


def _together(notice: Notice, record: PublishedRecord, rules: Rules, now: Instant) -> Waiting | None:
    # A step of an escalation is due when it is due.
    grouping = None if notice.step is not None else rules.groupings.get(notice.route)
    if grouping is None:
        return None
    group = group_of(grouping, notice, record)
    return Waiting(now + grouping.wait, f"grouped by {group.words}" if group.words else "grouped", group)


def _pace_words(rules: Rules, receiver: str) -> str:
    return f"rate limit {rules.paces[receiver].text}"
