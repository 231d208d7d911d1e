"""What a user may write about one target, and about the calendar that clocks run in."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationInfo, model_validator

from services.timer.calendar_data import CalendarData
from services.timer.metric import KINDS
from services.timer.policy import CalendarChoice, Target
from services.timer.policy_values import Duration, Values, Warnings, conditions_of
from shared.events import Severity


@dataclass(slots=True)
class Surroundings:
    """What a policy must know of the other places and files while it is checked."""

    calendars: frozenset[str] | None = None  # None: some file cannot be read, so nobody knows
    metrics: tuple[str, ...] | None = None  # likewise; the built-in ones first
    data: CalendarData | None = None  # knows zones and holidays beside the installed packages
    policies: set[str] = field(default_factory=set)  # the names met so far
    exclusions: set[str] = field(default_factory=set)  # likewise


def _known_calendar(name: str, info: ValidationInfo) -> str:
    known = info.context.calendars if isinstance(info.context, Surroundings) else None
    if known is not None and name not in known:
        raise ValueError(f"expected the name of a calendar ({', '.join(sorted(known)) or 'none'}), got {name!r}")
    return name


def _known_metric(name: str, info: ValidationInfo) -> str:
    known = info.context.metrics if isinstance(info.context, Surroundings) else None
    if known is not None and name not in known:
        raise ValueError(f"expected the name of a metric ({', '.join(dict.fromkeys(known))}), got {name!r}")
    return name


def known_kinds(asked: dict[str, list[str]]) -> dict[str, list[str]]:
    """Conditions that name no kind of item but those that exist.

    Raises:
        ValueError: another one is named.
    """
    for kind in asked.get("kind", ()):
        if kind not in KINDS:
            raise ValueError(f"expected kinds of {', '.join(KINDS)}, got {kind!r}")
    return asked


def _can_change(attributes: dict[str, Any]) -> dict[str, Any]:
    if "kind" in attributes:
        raise ValueError("expected attributes that can change; the kind of an item never does")
    return attributes


def _no_kind(by: dict[str, Any]) -> dict[str, Any]:
    if "kind" in by:
        raise ValueError("expected attributes; give each kind of item a policy of its own")
    return by


MetricName = Annotated[str, AfterValidator(_known_metric)]
CalendarName = Annotated[str, AfterValidator(_known_calendar)]
Pauses = Annotated[dict[str, Values], AfterValidator(_can_change)]
Calendars = Annotated[dict[str, dict[str, CalendarName]], AfterValidator(_no_kind)]
Durations = Annotated[dict[str, dict[str, Duration]], AfterValidator(_no_kind)]


class CalendarChoiceModel(BaseModel):
    """A calendar for each value of an attribute, and one for all others."""

    model_config = ConfigDict(extra="forbid")

    default: CalendarName
    by: Calendars = Field(
        {}, description="attribute to values to calendars; the first attribute whose value has an entry counts"
    )

    def choice(self) -> CalendarChoice:
        """The choice that it defines."""
        return CalendarChoice(self.default, tuple(self.by.items()))


CalendarText = Annotated[
    CalendarChoiceModel,
    BeforeValidator(
        lambda value: value if isinstance(value, dict) else {"default": value},
        json_schema_input_type=str | CalendarChoiceModel,
    ),
]


class TargetModel(BaseModel):
    """The business time allowed for a metric."""

    model_config = ConfigDict(extra="forbid")

    within: Duration | None = Field(None, description="for every item that `by` does not name")
    by: Durations = Field(
        {}, description="attribute to values to durations; the first attribute whose value has an entry counts"
    )
    warn_at: Warnings = Field([], description="shares of the target used up, or times left, at which to warn")
    severity: Severity | None = Field(None, description="of a breach; the policy's unless given")
    calendar: CalendarText | None = Field(None, description="in which its clocks run; the policy's unless given")
    pause_when: Pauses | None = Field(None, description="instead of the policy's; `{}` is never")

    @model_validator(mode="after")
    def _reachable(self) -> TargetModel:
        spans = self.target().spans
        if not spans:
            raise ValueError("expected `within`, entries in `by`, or both")
        for warning in self.warn_at:
            if warning.elapsed(max(spans)) <= 0:
                raise ValueError(f"expected warnings within the target, got {warning.label}")
        return self

    def target(self) -> Target:
        """The target that it defines."""
        return Target(
            self.within,
            tuple(self.by.items()),
            tuple(self.warn_at),
            self.severity,
            None if self.calendar is None else self.calendar.choice(),
            None if self.pause_when is None else conditions_of(self.pause_when),
        )


def _written_out(value: Any) -> Any:
    return value if isinstance(value, dict) else {"within": value}


TargetText = Annotated[TargetModel, BeforeValidator(_written_out, json_schema_input_type=Duration | TargetModel)]
