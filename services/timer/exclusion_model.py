"""What a user may write about exclusions: spans in which the clocks of matching items stand still."""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    PlainValidator,
    ValidationInfo,
    WithJsonSchema,
    field_validator,
    model_validator,
)

from services.timer.exclusion import Exclusion
from services.timer.policy_values import Values, When, conditions_of, parse_moment
from services.timer.target_model import Surroundings, known_kinds
from shared.events import Instant

REASON_LENGTH: Final = 300  # it is kept with every clock that stood still in it


def _instant(text: object) -> Instant:
    # One span holds for clocks of any calendar, so that no time zone goes without saying, and a date names no instant.
    try:
        if isinstance(moment := parse_moment(text), int):
            return moment
    except ValueError:
        pass
    raise ValueError(f"expected an instant like 2026-01-05T08:00:00Z or 2026-01-05T09:00:00+01:00, got {text!r}")


InstantText = Annotated[
    Instant,
    PlainValidator(_instant),
    WithJsonSchema({"type": "string", "format": "date-time", "examples": ["2026-01-05T08:00:00Z"]}),
]


class ExclusionModel(BaseModel):
    """A span of time that does not count for the items that match."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(min_length=1, max_length=200)
    since: InstantText = Field(alias="from", description="the first instant that does not count")
    until: InstantText = Field(description="the first instant that counts again")
    reason: str = Field(min_length=1, max_length=REASON_LENGTH, description="shown in every explanation")
    applies_to: Annotated[dict[str, Values], AfterValidator(known_kinds)] = Field(
        {}, description="attributes (or `kind`) to a value or a list of values; all must match; `{}` covers all items"
    )
    when: When | None = Field(None, description="an expression in CEL over `kind` and `item` that must hold as well")

    @field_validator("name")
    @classmethod
    def _only_one(cls, name: str, info: ValidationInfo) -> str:
        if isinstance(info.context, Surroundings):
            if name in info.context.exclusions:
                raise ValueError(f"expected a name of its own, but another exclusion is named {name!r} too")
            info.context.exclusions.add(name)
        return name

    @model_validator(mode="after")
    def _in_order(self) -> ExclusionModel:
        if self.since >= self.until:
            raise ValueError("expected `from` before `until`")
        return self

    def exclusion(self) -> Exclusion:
        """The exclusion that it defines."""
        return Exclusion(self.name, self.since, self.until, self.reason, conditions_of(self.applies_to), self.when)
