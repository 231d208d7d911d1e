"""What a user may write about sources: how long each may be quiet."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainValidator, WithJsonSchema

from services.timer.policy_values import parse_duration
from services.timer.silence import SourceRule
from services.timer.target_model import CalendarName
from shared.events import SECOND, Severity, Span

SHORTEST: Final[Span] = 5 * SECOND  # time goes on in steps of about a second on the way of an event to its clock

After = Span | Literal["learned", "never"]


def _after(text: object) -> After:
    if text == "learned" or text == "never":  # noqa: PLR1714 # so that the type is known
        return text
    try:
        span = parse_duration(text)
    except ValueError as exc:
        raise ValueError(f"expected a duration like 15m or 2h, `learned` or `never`, got {text!r}") from exc
    if span < SHORTEST:
        raise ValueError(f"expected at least {SHORTEST // SECOND}s, got {text!r}")
    return span


SilentAfter = Annotated[
    After, PlainValidator(_after), WithJsonSchema({"type": "string", "examples": ["15m", "learned", "never"]})
]


class SourceModel(BaseModel):
    """How long the sources may be quiet whose name matches."""

    model_config = ConfigDict(extra="forbid")

    silent_after: SilentAfter = Field("learned", description="a duration, `learned` or `never`")
    severity: Severity = Field("medium", description="of the event that tells of a silence")
    calendar: CalendarName | None = Field(None, description="the calendar outside of which quiet does not count")

    def rule(self, pattern: str) -> SourceRule:
        """The rule that it defines, without the hours of its calendar."""
        return SourceRule(pattern, self.silent_after, self.severity, self.calendar)


def _written_out(value: Any) -> Any:
    return value if isinstance(value, dict) else {"silent_after": value}


SourceText = Annotated[SourceModel, BeforeValidator(_written_out, json_schema_input_type=SilentAfter | SourceModel)]
SourceName = Annotated[str, Field(min_length=1, max_length=512)]
