"""An explanation as JSON, whole or a page of it.

A page is what begins in a stretch of time `[since, next_since)`: each entry of a list (a span, a milestone, a decision,
an event) stands in exactly one page, and a clock on every page on which it has any.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final, TypeVar

from services.timer.announcement import clock_id
from services.timer.clock import Clock
from services.timer.explaining import wording
from services.timer.explaining.accounting import Counted
from services.timer.explaining.derivation import Derivation
from services.timer.explaining.explanation import ClockStory, Decision, Explanation, Happening, Unmeasured
from services.timer.explaining.explanation_model import (
    VALUES,
    VERDICTS,
    ChangeView,
    ConditionView,
    DecisionView,
    DueView,
    EventView,
    ExplainedClock,
    ExplanationView,
    HappeningView,
    MilestoneView,
    PromiseView,
    RecountView,
    SpanView,
    UnmeasuredView,
    VerdictView,
    WarningView,
)
from services.timer.explaining.milestones import Milestone, Promise
from services.timer.explaining.policy_choice import Condition, Verdict
from shared.events import Event, Instant, rfc3339, rfc3339_or_none, seconds

_BEGINNING: Final[Instant] = -(2**63)
_END: Final[Instant] = 2**63
Entry = TypeVar("Entry")


@dataclass(frozen=True, slots=True)
class Window:
    """Which entries stand in a page: those that begin in `[since, until)`."""

    since: Instant = _BEGINNING
    until: Instant = _END

    def of(self, entries: Iterable[Entry], at: Callable[[Entry], Instant]) -> list[Entry]:
        """Those of *entries* that begin in it."""
        return [entry for entry in entries if self.since <= at(entry) < self.until]

    def has(self, story: ClockStory) -> bool:
        """Whether anything of a clock begins in it."""
        return any(self.since <= at < self.until for at in _marks_of(story))


WHOLE: Final = Window()


def page(found: Explanation, since: Instant | None, limit: int) -> Window:
    """The page that begins at *since* (None: at the beginning) and has about *limit* entries.

    It ends between two instants: what begins at one instant is never parted, so it can be longer than *limit*.
    """
    begins = _BEGINNING if since is None else since
    marks = sorted(at for at in _marks(found) if at >= begins)
    later = [at for at in marks[limit:] if at > marks[0]]
    return Window(begins, later[0] if later else _END)


def explanation_view(found: Explanation, window: Window = WHOLE) -> ExplanationView:
    """What stands in a page of an explanation; by default all of it."""
    clocks = [_clock(found.item, story, window) for story in found.clocks if window.has(story)]
    return ExplanationView(
        item=found.item,
        at=rfc3339(found.at),
        stage=found.state.stage,
        attributes=found.state.attributes,
        events=[_happening(each) for each in window.of(found.happenings, lambda each: each.event.time)],
        clocks=clocks,
        unmeasured=[_unmeasured(each) for each in found.unmeasured],
        next_since=None if window.until == _END else rfc3339(window.until),
    )


def _marks(found: Explanation) -> Iterable[Instant]:
    for happening in found.happenings:
        yield happening.event.time
    for story in found.clocks:
        yield from _marks_of(story)


def _marks_of(story: ClockStory) -> Iterable[Instant]:
    yield from (milestone.at for milestone in story.milestones)
    yield from (decision.at for decision in story.decisions)
    yield from (span.start for span in story.spans)


def _clock(item: str, story: ClockStory, window: Window) -> ExplainedClock:
    clock = story.clock
    return ExplainedClock(
        clock_id=clock_id(item, clock),
        metric=clock.metric,
        measures=wording.definition(story.decisions[-1].policies.metrics[clock.metric]),
        cycle=clock.cycle,
        state=clock.state,
        policy=clock.policy,
        policy_version=clock.version,
        calendar=clock.calendar,
        severity=clock.severity,
        beside=clock.beside,
        target_s=seconds(clock.target),
        started_at=rfc3339(clock.started_at),
        due_at=rfc3339_or_none(clock.due_at),
        breached_at=rfc3339_or_none(clock.breached_at),
        stopped_at=rfc3339_or_none(clock.stopped_at),
        elapsed_s=seconds(story.elapsed),
        paused_s=seconds(story.paused),
        due=_due(story.derivation),
        warnings=_warnings(clock),
        decisions=[_decision(each) for each in window.of(story.decisions, lambda each: each.at)],
        milestones=[_milestone(each) for each in window.of(story.milestones, lambda each: each.at)],
        spans=[_span(each) for each in window.of(story.spans, lambda each: each.start)],
    )


def _due(found: Derivation) -> DueView:
    return DueView(
        due_at=rfc3339_or_none(found.due_at),
        target_s=seconds(found.target),
        used_s=seconds(found.used),
        since=rfc3339(found.since),
        left_s=seconds(found.left),
        excluded_s=seconds(found.excluded),
        calendar=found.calendar,
        time_zone=found.time_zone,
        hypothetical=found.hypothetical,
        words=wording.derivation(found),
    )


def _warnings(clock: Clock) -> list[WarningView]:
    given = [WarningView(label=each.label, at=rfc3339(each.at), given=True) for each in clock.warned]
    if clock.phase != "running" or clock.breached_at is not None:
        return given
    return [*given, *(WarningView(label=label, at=rfc3339(at), given=False) for at, _, label in clock.pending)]


def _span(span: Counted) -> SpanView:
    return SpanView(
        start=rfc3339(span.start),
        end=rfc3339(span.end),
        state=span.state,
        business_s=seconds(span.business),
        because=span.because,
    )


def _milestone(found: Milestone) -> MilestoneView:
    return MilestoneView(
        at=rfc3339(found.at),
        what=found.what,
        event=None if found.event is None else _event(found.event),
        elapsed_s=None if found.elapsed is None else seconds(found.elapsed),
        warning=found.label,
        was=_promise(found.was),
        now=_promise(found.now),
    )


def _promise(found: Promise | None) -> PromiseView | None:
    if found is None:
        return None
    return PromiseView(
        policy=found.policy,
        policy_version=found.version,
        calendar=found.calendar,
        severity=found.severity,
        target_s=seconds(found.target),
        due_at=rfc3339_or_none(found.due_at),
    )


def _decision(found: Decision) -> DecisionView:
    decided = found.verdicts
    return DecisionView(
        at=rfc3339(found.at),
        event=_event(found.event),
        policy_version=found.policies.version,
        verdicts=[_verdict(each) for each in decided[:VERDICTS]],
        verdicts_left_out=max(len(decided) - VERDICTS, 0),
    )


def _verdict(found: Verdict) -> VerdictView:
    return VerdictView(
        policy=found.policy,
        outcome=found.outcome,
        because=found.because,
        conditions=[_condition(each) for each in found.conditions],
        when=found.when,
        target_s=None if found.target is None else seconds(found.target),
        target_by=_condition_or_none(found.target_by),
        calendar=found.calendar,
        calendar_by=_condition_or_none(found.calendar_by),
    )


def _condition_or_none(found: Condition | None) -> ConditionView | None:
    return None if found is None else _condition(found)


def _condition(found: Condition) -> ConditionView:
    return ConditionView(
        attribute=found.attribute, expected=list(found.expected[:VALUES]), value=found.value, holds=found.holds
    )


def _happening(found: Happening) -> HappeningView:
    changes = [ChangeView(attribute=name, before=before, after=after) for name, before, after in found.changes]
    said = found.event.recount
    recount = None if said is None else RecountView(policy_version=said.policy_version, reason=said.reason, by=said.by)
    return HappeningView(event=_event(found.event), recount=recount, changes=changes, stage=found.stage)


def _event(found: Event) -> EventView:
    return EventView(source=found.source, id=found.id, type=found.type, time=rfc3339(found.time))


def _unmeasured(found: Unmeasured) -> UnmeasuredView:
    cycle = found.cycle
    return UnmeasuredView(
        metric=cycle.metric,
        started_at=rfc3339(cycle.started_at),
        started_by={"source": cycle.source, "id": cycle.event_id},
        decision=_decision(found.decision),
    )
