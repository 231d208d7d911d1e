"""What a user may write about policies, checked field by field."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Final, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainValidator,
    ValidationInfo,
    WithJsonSchema,
    field_validator,
    model_validator,
)

from services.timer.calendar_file import AnyCalendar, one_or_list
from services.timer.conditions import Conditions, texts
from services.timer.policy import OnChange, OnReopen, Policy, Target, WarnAt
from shared.events import SECOND, Severity, Span

Metric = Literal[
    "first_response",
    "next_response",
    "periodic_update",
    "resolution",
    "pickup",
    "answer",
    "assignment",
    "handling",
]
KINDS: Final = ("ticket", "chat", "call")
_UNITS: Final = {"d": 86_400, "h": 3_600, "m": 60, "s": 1}
_DURATION: Final = "(?=[0-9])" + "".join(f"(?:([0-9]{{1,7}}){unit})?" for unit in _UNITS)
_SHARE: Final = r"([0-9]{1,2}(?:\.[0-9]{1,3})?)%"


def parse_duration(text: object) -> Span:
    """The span that a text like `45s`, `1h30m` or `2d` names; a day is 24 hours.

    Raises:
        ValueError: *text* is no such text.
    """
    found = re.fullmatch(_DURATION, text) if isinstance(text, str) else None
    if found is None:
        raise ValueError(f"expected a duration like 45s, 30m, 4h, 2d or 1h30m, got {text!r}")
    return sum(int(count or 0) * unit for count, unit in zip(found.groups(), _UNITS.values(), strict=True)) * SECOND


def parse_warn_at(text: object) -> WarnAt:
    """The warning that a text like `80%` (of the target used up) or `15m_left` names.

    Raises:
        ValueError: *text* is no such text, or warns at the very start.
    """
    if isinstance(text, str) and (found := re.fullmatch(_SHARE, text)) and float(found[1]) > 0:
        return WarnAt(text, share=float(found[1]) / 100)
    if isinstance(text, str) and text.endswith("_left"):
        return WarnAt(text, left=_some(parse_duration(text.removesuffix("_left"))))
    raise ValueError(f"expected a share like 80%, above 0% and below 100%, or a time left like 15m_left, got {text!r}")


def _some(span: Span) -> Span:
    if span == 0:
        raise ValueError("expected more than no time at all")
    return span


def _as_text(value: object) -> str:
    if isinstance(value, str | int | float):
        return next(iter(texts(value)))
    raise ValueError(f"expected a text, a number, true or false, got {value!r}")


Duration = Annotated[
    Span,
    PlainValidator(lambda text: _some(parse_duration(text))),
    WithJsonSchema({"type": "string", "pattern": f"^{_DURATION}$", "examples": ["4h"]}),
]
Grace = Annotated[Span, PlainValidator(parse_duration), WithJsonSchema({"type": "string", "pattern": f"^{_DURATION}$"})]
Warn = Annotated[
    WarnAt,
    PlainValidator(parse_warn_at),
    WithJsonSchema({"type": "string", "pattern": f"^({_SHARE}|{_DURATION}_left)$", "examples": ["80%", "15m_left"]}),
]
Value = Annotated[str, PlainValidator(_as_text), WithJsonSchema({"type": ["string", "number", "boolean"]})]
Values = Annotated[
    list[Value], Field(min_length=1), BeforeValidator(one_or_list, json_schema_input_type=Value | list[Value])
]
Warnings = Annotated[list[Warn], BeforeValidator(one_or_list, json_schema_input_type=Warn | list[Warn])]


@dataclass(slots=True)
class Surroundings:
    """What a policy must know of the other places and files while it is checked."""

    calendars: frozenset[str] | None  # None: some file cannot be read, so nobody knows
    policies: set[str] = field(default_factory=set)  # the names met so far


class TargetModel(BaseModel):
    """The business time allowed for a metric."""

    model_config = ConfigDict(extra="forbid")

    within: Duration | None = Field(None, description="for every item that `by` does not name")
    by: dict[str, dict[str, Duration]] = Field(
        {}, description="attribute to values to durations; the first attribute whose value has an entry counts"
    )
    warn_at: Warnings = Field([], description="shares of the target used up, or times left, at which to warn")
    severity: Severity | None = Field(None, description="of a breach; the policy's unless given")

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
        return Target(self.within, tuple(self.by.items()), tuple(self.warn_at), self.severity)


def _written_out(value: Any) -> Any:
    return value if isinstance(value, dict) else {"within": value}


TargetText = Annotated[TargetModel, BeforeValidator(_written_out, json_schema_input_type=Duration | TargetModel)]


class PolicyModel(BaseModel):
    """Which items it covers, in which hours, with which targets."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(min_length=1, max_length=200)
    applies_to: dict[str, Values] = Field(
        description="attributes (or `kind`: ticket, chat, call) to a value or a list of values; all must match"
    )
    calendar: str
    targets: dict[Metric, TargetText] = Field(min_length=1, description="metrics to the business time allowed")
    pause_when: dict[str, Values] = Field({}, description="while all of these match, clocks stand still")
    severity: Severity = "medium"
    rank: int | None = Field(None, ge=1, description="decides between equally specific policies; 1 before 2")
    combine: Literal["all"] | None = Field(None, description="`all`: applies beside the policy that wins")
    require_reply: bool = Field(default=False, description="reply clocks go on after the item is over")
    on_change: OnChange = Field("recompute", description="what another target or policy does to an open clock")
    on_reopen: OnReopen = Field("resume", description="what reopening does to a clock that was met")
    grace: Grace = Field(0, description="real time to wait for slow sources after a due time")

    @field_validator("name")
    @classmethod
    def _only_one(cls, name: str, info: ValidationInfo) -> str:
        if isinstance(info.context, Surroundings):
            if name in info.context.policies:
                raise ValueError(f"expected a name of its own, but another policy is named {name!r} too")
            info.context.policies.add(name)
        return name

    @field_validator("calendar")
    @classmethod
    def _known(cls, name: str, info: ValidationInfo) -> str:
        known = info.context.calendars if isinstance(info.context, Surroundings) else None
        if known is not None and name not in known:
            raise ValueError(f"expected the name of a calendar ({', '.join(sorted(known)) or 'none'}), got {name!r}")
        return name

    @field_validator("applies_to")
    @classmethod
    def _kinds(cls, conditions: dict[str, list[str]]) -> dict[str, list[str]]:
        for kind in conditions.get("kind", ()):
            if kind not in KINDS:
                raise ValueError(f"expected kinds of {', '.join(KINDS)}, got {kind!r}")
        return conditions

    @field_validator("pause_when")
    @classmethod
    def _no_kind(cls, conditions: dict[str, list[str]]) -> dict[str, list[str]]:
        if "kind" in conditions:
            raise ValueError("expected attributes that can change; the kind of an item never does")
        return conditions

    def policy(self, order: int) -> Policy:
        """The policy that it defines, at a place among all."""
        return Policy(
            name=self.name,
            applies_to=_conditions(self.applies_to),
            calendar=self.calendar,
            targets={metric: target.target() for metric, target in self.targets.items()},
            pause_when=_conditions(self.pause_when),
            severity=self.severity,
            rank=self.rank,
            order=order,
            combine_all=self.combine == "all",
            require_reply=self.require_reply,
            on_change=self.on_change,
            on_reopen=self.on_reopen,
            grace=self.grace,
        )


class PolicyFile(BaseModel):
    """Policies and the calendars in which their clocks run."""

    model_config = ConfigDict(extra="forbid")

    calendars: dict[str, AnyCalendar] = {}
    policies: list[PolicyModel] = []


def _conditions(found: Mapping[str, list[str]]) -> Conditions:
    return {name: frozenset(values) for name, values in found.items()}
