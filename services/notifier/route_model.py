"""A route as `notify.yaml` describes it: what it takes, who hears of it, and the routes within it. PURE."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final, get_args

import re2
from pydantic import BeforeValidator, Field, PlainValidator, WithJsonSchema, field_validator

from services.notifier.endpoints.values import Strict
from services.notifier.grouping import GroupingOptions
from services.notifier.matching import NOTHING, PATTERN_CHARACTERS, Conditions, Match, Pattern
from services.notifier.people.audience import Role
from services.notifier.sample import FIELD_VALUES
from shared.breach_records import TYPE_NAMES
from shared.events import Kind, Severity
from shared.expression import LENGTH, Formula, check

_CHOICES: Final = {
    "type": frozenset(TYPE_NAMES.values()),
    "kind": frozenset(get_args(Kind)),
    "severity": frozenset(get_args(Severity)),
}


def _text(value: Any) -> str:
    if value is None:
        return NOTHING
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, str | int | float):
        return str(value)
    raise ValueError("expected a value or a list of values")


def _allowed(value: Any) -> frozenset[str]:
    allowed = value if isinstance(value, list) else [value]
    if not allowed:
        raise ValueError("expected at least one value")
    return frozenset(map(_text, allowed))


def _pattern(value: Any) -> Pattern:
    if not isinstance(value, str) or not value:
        raise ValueError(f"expected a regular expression like acme-.*, got {value!r}")
    if len(value) > PATTERN_CHARACTERS:
        raise ValueError(f"expected a regular expression of at most {PATTERN_CHARACTERS} characters, got {len(value)}")
    pattern = Pattern(value)
    try:
        pattern.fits("")
    except re2.error as exc:
        raise ValueError(f"expected a regular expression in the syntax of RE2: {_said(exc)}") from exc
    return pattern


def _said(error: Exception) -> str:
    (said,) = error.args
    return said.decode(errors="replace") if isinstance(said, bytes) else str(said)


def _entries(value: Any) -> Any:
    entries = [value] if isinstance(value, str) else value
    if not isinstance(entries, list):
        return entries
    if [] in entries:
        raise ValueError("expected at least one of an entry's roles")
    return [[each] if isinstance(each, str) else each for each in entries]


def _formula(value: object) -> Formula:
    return Formula(check(value, FIELD_VALUES))


_Scalar = str | int | float | bool | None
Values = Annotated[frozenset[str], BeforeValidator(_allowed, json_schema_input_type=_Scalar | list[_Scalar])]
PatternText = Annotated[
    Pattern,
    PlainValidator(_pattern),
    WithJsonSchema({"type": "string", "minLength": 1, "maxLength": PATTERN_CHARACTERS}),
]
FormulaText = Annotated[
    Formula, PlainValidator(_formula), WithJsonSchema({"type": "string", "minLength": 1, "maxLength": LENGTH})
]


AudienceNames = Annotated[
    tuple[tuple[Role, ...], ...],
    BeforeValidator(_entries, json_schema_input_type=str | list[str | list[str]]),
]


class Asked(Strict):
    """What must hold of something published; all of it must, and nothing takes everything."""

    match: dict[str, Values] = Field(default_factory=dict)
    regex: dict[str, PatternText] = Field(default_factory=dict)
    when: FormulaText | None = None

    @field_validator("match")
    @classmethod
    def _known(cls, match: Match) -> Match:
        for name, choices in _CHOICES.items():
            unknown = match.get(name, frozenset()) - choices
            if unknown:
                raise ValueError(f"{name}: expected {', '.join(sorted(choices))}, got {', '.join(sorted(unknown))}")
        return match

    @property
    def conditions(self) -> Conditions:
        """It as it is asked."""
        return Conditions(self.match, self.regex, self.when)


class RouteModel(Asked, GroupingOptions):
    """One route, and the routes within it, which have its settings where they give none of their own."""

    name: str | None = Field(None, min_length=1)
    receivers: tuple[str, ...] | None = None
    audience: AudienceNames = ()
    escalation: str | None = None
    goes_on: bool = Field(default=False, alias="continue")
    routes: tuple[RouteModel, ...] = ()

    def within(self, around: RouteModel | None) -> RouteModel:
        """It with the settings of the route *around* it, where it gives none of its own."""
        if around is None:
            return self
        handed_down = type(self).model_fields.keys() - OWN - self.model_fields_set
        settings: Mapping[str, Any] = {name: getattr(around, name) for name in handed_down}
        return self.model_copy(update=dict(settings))


OWN: Final = frozenset({*Asked.model_fields, "name", "goes_on", "routes"})
"""What a route has for itself; everything else the routes within it inherit."""
