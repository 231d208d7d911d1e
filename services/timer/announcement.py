"""A fact as the event that subscribers receive, with the ids that let them find what belongs together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

from services.timer.clock import Clock, present
from services.timer.facts import Fact
from services.timer.item import ItemState, attributes_at
from services.timer.names import name_in
from services.timer.stretches import Stretch
from shared.events import SECOND, BreachEvent, BreachType, CountedSpan, Instant, Severity, Span, rfc3339

# The names under which ids are made; another one would make every id anew.
_CLOCKS: Final = "5d2f7c1e-8a34-5b0f-9c67-1e4a90d3b258"
_EVENTS: Final = "c7a94b60-2f1d-5e83-b3d8-64f05a7e921c"
_SEPARATOR: Final = "\0"  # occurs in no text that the system accepts, so no two identities run together


class Broken(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A breach as it was published; enough to retract it after its clock is gone."""

    due_at: Instant | None
    breached_at: Instant
    target: Span
    policy: str
    version: str
    calendar: str
    severity: Severity
    metric: str
    cycle: int
    started_at: Instant
    elapsed: Span


class Output(msgspec.Struct, frozen=True, gc=False):
    """One event to publish about an item."""

    event_id: str
    type: BreachType
    time: Instant  # breached_at of a breach and its retraction, else when it happened
    event: BreachEvent


@dataclass(frozen=True, slots=True)
class Firing:
    """When outputs are asked for, and how much is known by then."""

    evidence_through: Instant  # everything that happened up to it has been read
    detected_at: Instant
    late_evidence_possible: bool = False
    calendar_data: Mapping[str, str] = field(default_factory=dict)  # a version of the policies -> what it is made with


@dataclass(frozen=True, slots=True)
class Occasion:
    """What all outputs of one item at one time share."""

    item: str  # tenant/kind/id
    state: ItemState
    firing: Firing


@dataclass(frozen=True, slots=True)
class Numbers:
    """What ids are made of."""

    sequence: int  # of the output among the item's
    retractions: int  # of the clock's breaches so far


def identity(clock: Clock) -> str:
    """What tells the clock from every other of its item, whatever its policy and number.

    Clocks that measure one cycle one after another, because no policy covered the item in between, share it.
    """
    cycle = f"{clock.metric}{_SEPARATOR}{clock.source}{_SEPARATOR}{clock.event_id}"
    return f"{cycle}{_SEPARATOR}{clock.policy}" if clock.beside else cycle


def clock_id(item_key: str, clock: Clock) -> str:
    """The id of the clock: the same for ever, also when late evidence changes its number or its policy."""
    return _clock_id(item_key, identity(clock))


def breach_id(clock_id: str, retractions: int) -> str:
    """The id of a clock's breach after so many retractions of its earlier ones."""
    return name_in(clock_id, str(retractions))


def event_id(item_key: str, sequence: int) -> str:
    """The id of the CloudEvent that is an item's output of this number."""
    return name_in(_EVENTS, f"{item_key}{_SEPARATOR}{sequence}")


def broken(clock: Clock, fact: Fact) -> Broken:
    """What is kept of a breach that is published."""
    terms = fact.terms
    return Broken(
        terms.due_at,
        fact.at,
        terms.target,
        terms.policy,
        clock.version,
        terms.calendar,
        terms.severity,
        clock.metric,
        clock.cycle,
        clock.started_at,
        fact.elapsed,
    )


def announce(occasion: Occasion, clock: Clock, fact: Fact, numbers: Numbers) -> Output:
    """The event that tells a fact."""
    clock_name = clock_id(occasion.item, clock)
    is_warning = fact.warning is not None
    is_end = fact.type in ("sla.breach.stopped.v1", "sla.breach.cancelled.v1")
    breached_at = None if is_warning else clock.breached_at if clock.breached_at is not None else fact.at
    event = BreachEvent(
        breach_id=None if is_warning else breach_id(clock_name, numbers.retractions),
        clock_id=clock_name,
        stopped_at=rfc3339(fact.at) if is_end else None,
        breached_at=_shown(breached_at),
        warning=fact.warning,
        explanation=explanation(clock, fact),
        sequence=numbers.sequence,
        **_common(occasion, broken(clock, fact), fact.at),
    )
    return Output(event_id(occasion.item, numbers.sequence), fact.type, fact.at, event)


def retract(occasion: Occasion, name: str, told: Broken, numbers: Numbers, *, replaced: bool) -> Output:
    """The event that takes back a published breach of the clock of this identity.

    *replaced* says that another breach takes its place at once.
    """
    clock_name = _clock_id(occasion.item, name)
    event = BreachEvent(
        breach_id=breach_id(clock_name, numbers.retractions),
        clock_id=clock_name,
        breached_at=rfc3339(told.breached_at),
        replaced_by=breach_id(clock_name, numbers.retractions + 1) if replaced else None,
        sequence=numbers.sequence,
        **_common(occasion, told, told.breached_at),
    )
    return Output(event_id(occasion.item, numbers.sequence), "sla.breach.retracted.v1", told.breached_at, event)


def explanation(clock: Clock, fact: Fact) -> list[CountedSpan]:
    """The stretches of the clock up to a fact, with the business time in each."""
    stretches = (*clock.past, *_present(clock))
    spans = []
    for stretch, following in zip(stretches, (*stretches[1:], None), strict=True):
        if stretch.since >= fact.at:
            break
        spans.append(_span(stretch, following, fact))
    return [span for span in spans if span.start != span.end]


def _present(clock: Clock) -> tuple[Stretch, ...]:
    # The present stretch, as what exclusions make of it.
    if clock.phase == "running" and clock.coming and clock.coming[0].since == clock.since:
        return clock.coming
    return (present(clock),)


def _span(stretch: Stretch, following: Stretch | None, fact: Fact) -> CountedSpan:
    if following is not None and following.since <= fact.at:
        end = following.since
        business = following.elapsed - stretch.elapsed if stretch.ran else following.paused - stretch.paused
    else:
        # A fact in the middle of a stretch is one of a clock that runs: whatever stops a clock begins a new stretch.
        end, business = fact.at, fact.elapsed - stretch.elapsed
    return CountedSpan(
        rfc3339(stretch.since),
        rfc3339(end),
        "running" if stretch.ran else "excluded" if stretch.exclusion else "paused",
        business / SECOND,
        stretch.exclusion or None,
        stretch.reason or None,
    )


def _clock_id(item_key: str, name: str) -> str:
    return name_in(_CLOCKS, f"{item_key}{_SEPARATOR}{name}")


def _shown(at: Instant | None) -> str | None:
    return None if at is None else rfc3339(at)


def _common(occasion: Occasion, told: Broken, at: Instant) -> dict[str, Any]:
    tenant, kind, subject = occasion.item.split("/", 2)
    firing = occasion.firing
    return {
        "item": occasion.item,
        "tenant": tenant,
        "kind": kind,
        "id": subject,
        "metric": told.metric,
        "cycle": told.cycle,
        "policy": told.policy,
        "policy_version": told.version,
        "calendar": told.calendar,
        "calendar_data": firing.calendar_data.get(told.version, ""),
        "severity": told.severity,
        "target_s": told.target / SECOND,
        "elapsed_s": told.elapsed / SECOND,
        "started_at": rfc3339(told.started_at),
        "due_at": _shown(told.due_at),
        "detected_at": rfc3339(firing.detected_at),
        "evidence_through": rfc3339(firing.evidence_through),
        "late_evidence_possible": firing.late_evidence_possible,
        "attributes": attributes_at(occasion.state, at),
    }
