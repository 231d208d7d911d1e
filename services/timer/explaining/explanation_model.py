"""An explanation as JSON: what stands in it."""

from __future__ import annotations

from typing import Any, Final

from pydantic import BaseModel, Field

from services.timer.explaining.accounting import SpanState
from services.timer.explaining.milestones import What
from services.timer.explaining.policy_choice import Outcome
from services.timer.view import ClockState

Seconds = int | float
VERDICTS: Final = 50  # in one decision; the nearest come first, and a program can do nothing with the ten-thousandth
VALUES: Final = 50  # of one condition


class EventView(BaseModel):
    """An event by which something happened. When it arrived is not kept."""

    source: str
    id: str
    type: str
    time: str


class ChangeView(BaseModel):
    """An attribute that an event changed."""

    attribute: str
    before: Any
    after: Any


class RecountView(BaseModel):
    """What a person decided about the item: to move its open clocks to a version, or to count it again."""

    policy_version: str | None
    reason: str
    by: str


class HappeningView(BaseModel):
    """An event of the item, with those of the attributes that policies read that it changed."""

    event: EventView
    recount: RecountView | None
    changes: list[ChangeView]
    stage: str = Field(description="Of the item afterwards: unknown, open, over or final.")


class ConditionView(BaseModel):
    """A condition on an attribute, and what the item has."""

    attribute: str
    expected: list[str] = Field(description=f"Any of these; at most {VALUES} are named.")
    value: Any
    holds: bool


class VerdictView(BaseModel):
    """What became of one policy when a metric of the item was decided."""

    policy: str
    outcome: Outcome
    because: str
    conditions: list[ConditionView] = Field(description="Those that failed, where the policy does not match; else all.")
    when: str | None = Field(description="What the policy's expression says of the item; null where it has none.")
    target_s: Seconds | None
    target_by: ConditionView | None = Field(description="The entry of `by` that gave the target; null: `within`.")
    calendar: str | None
    calendar_by: ConditionView | None = Field(
        description="The entry of `by` that gave the calendar; null: its default."
    )


class DecisionView(BaseModel):
    """Which policy was to measure the clock, decided at an event."""

    at: str
    event: EventView
    policy_version: str
    verdicts: list[VerdictView] = Field(description=f"The winner first; at most {VERDICTS}.")
    verdicts_left_out: int


class PromiseView(BaseModel):
    """The terms of a clock at an instant."""

    policy: str
    policy_version: str
    calendar: str
    severity: str
    target_s: Seconds
    due_at: str | None


class MilestoneView(BaseModel):
    """Something that happened to a clock."""

    at: str
    what: What
    event: EventView | None = Field(description="Null: by the passing of time.")
    elapsed_s: Seconds | None
    warning: str | None
    was: PromiseView | None
    now: PromiseView | None


class SpanView(BaseModel):
    """A time in which one thing is to be said of a clock; each begins where the one before it ends."""

    start: str
    end: str
    state: SpanState
    business_s: Seconds = Field(
        description="Open time in it: those of running add up to elapsed_s, of paused and excluded to paused_s."
    )
    because: str | None = Field(
        description="Of a pause: which conditions hold, or that the item is over. Of an exclusion: its name and reason."
    )


class DueView(BaseModel):
    """How the due time follows: `left_s` of open time in the calendar from `since` on, without what is excluded."""

    due_at: str | None
    target_s: Seconds
    used_s: Seconds
    since: str
    left_s: Seconds
    excluded_s: Seconds = Field(description="Open time from `since` to `due_at` that an exclusion takes away.")
    calendar: str
    time_zone: str
    hypothetical: bool = Field(description="The clock was stopped while it stood still: due if it had gone on then.")
    words: str


class WarningView(BaseModel):
    """A warning that was given, or comes if nothing else happens."""

    label: str
    at: str
    given: bool


class ExplainedClock(BaseModel):
    """One clock, and how it came to be as it is."""

    clock_id: str
    metric: str
    measures: str = Field(description="What starts and ends a cycle of the metric, by its definition.")
    cycle: int
    state: ClockState
    policy: str
    policy_version: str
    calendar: str
    severity: str
    beside: bool = Field(description="Of a `combine: all` policy.")
    target_s: Seconds
    started_at: str
    due_at: str | None
    breached_at: str | None
    stopped_at: str | None
    elapsed_s: Seconds
    paused_s: Seconds
    due: DueView
    warnings: list[WarningView]
    decisions: list[DecisionView]
    milestones: list[MilestoneView]
    spans: list[SpanView]


class UnmeasuredView(BaseModel):
    """A cycle that is open, and that no policy measures."""

    metric: str
    started_at: str
    started_by: dict[str, str]
    decision: DecisionView


class ExplanationView(BaseModel):
    """Why an item's clocks are as they are at an instant, by the events with a time up to it."""

    item: str
    at: str
    stage: str
    attributes: dict[str, Any]
    arrival_known: bool = Field(
        default=False, description="When events arrived is not kept: what was known at `at` is by their own times."
    )
    events: list[HappeningView]
    clocks: list[ExplainedClock]
    unmeasured: list[UnmeasuredView]
    next_since: str | None = Field(default=None, description="Where the next page begins; null on the last.")
