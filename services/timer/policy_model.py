"""What a user may write about policies, checked field by field."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationInfo, field_validator, model_validator

from services.timer.calendar_file import AnyCalendar
from services.timer.exclusion_model import ExclusionModel
from services.timer.metric_model import Metrics
from services.timer.opening_times import HoursSpec
from services.timer.policy import ALWAYS, OnChange, OnReopen, Policy, Validity
from services.timer.policy_values import Grace, Moment, Values, When, conditions_of
from services.timer.source_model import SourceName, SourceText
from services.timer.target_model import CalendarText, MetricName, Pauses, Surroundings, TargetText, known_kinds
from shared.events import Instant, Severity


class ValidityModel(BaseModel):
    """When a policy can be taken: by cycles that start in it, the end itself excluded."""

    model_config = ConfigDict(extra="forbid")

    since: Moment | None = Field(None, alias="from", description="the first instant; from the beginning unless given")
    until: Moment | None = Field(None, description="the first instant after it; without an end unless given")

    @model_validator(mode="after")
    def _in_order(self) -> ValidityModel:
        if self.since is None and self.until is None:
            raise ValueError("expected `from`, `until`, or both")
        if self.since is not None and self.until is not None:
            if isinstance(self.since, date) != isinstance(self.until, date):
                raise ValueError("expected two dates or two instants, not one of each")
            if self.since >= self.until:  # type: ignore[operator]  # both are dates, or both instants
                raise ValueError("expected `from` before `until`")
        return self

    def validity(self, calendar: HoursSpec) -> Validity:
        """The validity that it defines; dates begin at midnight in the calendar's time zone."""
        return Validity(_instant(self.since, calendar), _instant(self.until, calendar))


def _instant(moment: date | Instant | None, calendar: HoursSpec) -> Instant | None:
    return calendar.midnight(moment) if isinstance(moment, date) else moment


class PolicyModel(BaseModel):
    """Which items it covers, in which hours, with which targets."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(min_length=1, max_length=200)
    applies_to: Annotated[dict[str, Values], AfterValidator(known_kinds)] = Field(
        description="attributes (or `kind`: ticket, chat, call) to a value or a list of values; all must match"
    )
    calendar: CalendarText = Field(description="in which the clocks run: a name, or a choice by attributes")
    targets: dict[MetricName, TargetText] = Field(min_length=1, description="metrics to the business time allowed")
    pause_when: Pauses = Field({}, description="while all of these match, clocks stand still")
    severity: Severity = "medium"
    rank: int | None = Field(None, ge=1, description="decides between equally specific policies; 1 before 2")
    combine: Literal["all"] | None = Field(None, description="`all`: applies beside the policy that wins")
    require_reply: bool = Field(default=False, description="reply clocks go on after the item is over")
    on_change: OnChange = Field("recompute", description="what another target or policy does to an open clock")
    on_reopen: OnReopen = Field("resume", description="what reopening does to a clock that ended by being over")
    grace: Grace = Field(0, description="real time to wait for slow sources after a due time")
    when: When | None = Field(None, description="an expression in CEL over `kind` and `item` that must hold as well")
    valid: ValidityModel | None = Field(None, description="when a cycle must start to take the policy")

    @field_validator("name")
    @classmethod
    def _only_one(cls, name: str, info: ValidationInfo) -> str:
        if isinstance(info.context, Surroundings):
            if name in info.context.policies:
                raise ValueError(f"expected a name of its own, but another policy is named {name!r} too")
            info.context.policies.add(name)
        return name

    def policy(self, order: int, calendar: HoursSpec) -> Policy:
        """The policy that it defines, at a place among all; *calendar* is its default one."""
        return Policy(
            name=self.name,
            applies_to=conditions_of(self.applies_to),
            calendar=self.calendar.choice(),
            targets={metric: target.target() for metric, target in self.targets.items()},
            pause_when=conditions_of(self.pause_when),
            severity=self.severity,
            rank=self.rank,
            order=order,
            combine_all=self.combine == "all",
            require_reply=self.require_reply,
            on_change=self.on_change,
            on_reopen=self.on_reopen,
            grace=self.grace,
            when=self.when,
            valid=ALWAYS if self.valid is None else self.valid.validity(calendar),
        )


class PolicyFile(BaseModel):
    """Policies with what they are made of, what is excluded from all of them, and how long sources may be quiet."""

    model_config = ConfigDict(extra="forbid")

    calendars: dict[str, AnyCalendar] = {}
    metrics: Metrics = Field({}, description="name to definition; a built-in metric of the same name gives way")
    policies: list[PolicyModel] = []
    sources: dict[SourceName, SourceText] = {}
    exclusions: list[ExclusionModel] = []
