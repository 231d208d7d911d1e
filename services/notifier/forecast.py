"""Who would hear of something published, and when, if nobody does anything about it. PURE.

What only the database knows is left out: silences, what is open and mutes, how much of a rate limit is used up.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import msgspec

from services.notifier.alerts.standing import StandingAlert, fold
from services.notifier.deciders import decider_of
from services.notifier.delivery import Notice
from services.notifier.holding.hold import hold
from services.notifier.holding.rules import Rules, rules_of
from services.notifier.routing import Routes, route
from shared.breach_records import BreachRecord, PublishedRecord
from shared.events import Instant

_ENDS: Final = frozenset({"sla.breach.stopped.v1", "sla.breach.cancelled.v1", "sla.breach.retracted.v1"})


@dataclass(frozen=True, slots=True)
class Foretold:
    """A notice, and when it would be made."""

    at: Instant
    notice: Notice

    @property
    def due(self) -> Instant | None:
        """When it would be sent; None where it would not be."""
        if self.notice.state not in ("pending", "held"):
            return None
        return self.at if self.notice.due is None else self.notice.due


def foretold(routes: Routes, record: PublishedRecord, now: Instant) -> Iterator[Foretold]:
    """What receivers hear of *record*, read at *now*, and of the escalation that it begins."""
    rules = rules_of(routes)
    decider = decider_of(routes, lambda *asked: _held(rules, *asked))
    before = _before(record, routes, now) if isinstance(record, BreachRecord) and record.type in _ENDS else None
    decision = decider.on_event(record, route(routes, record, now), before, now)
    yield from (Foretold(now, each) for each in decision.notices)
    while isinstance(record, BreachRecord):
        at, alert = decision.next_step_at, decision.alert
        if at is None or alert is None or (alert.course is not None and alert.course.repeats):
            return  # what is repeated once is repeated for ever
        decision = decider.on_step(record, alert, at)
        yield from (Foretold(at, each) for each in decision.notices)


def _held(rules: Rules, notice: Notice, record: PublishedRecord, alert: StandingAlert | None, now: Instant) -> Notice:
    return hold(notice, record, alert=alert, rules=rules, now=now)


def _before(record: BreachRecord, routes: Routes, now: Instant) -> StandingAlert:
    # An end is the end of something: of a breach of which everybody has heard.
    data = msgspec.structs.replace(record.data, sequence=record.data.sequence - 1, replaced_by=None, stopped_at=None)
    breach = msgspec.structs.replace(record, id=f"{record.id} before", type="sla.clock.breached.v1", data=data)
    return msgspec.structs.replace(fold(None, breach, now), customer_told=routes.customers is not None)
