"""The single values of a policy file: durations, warnings, and what attributes are compared with."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Annotated, Final

from pydantic import BeforeValidator, Field, PlainValidator, WithJsonSchema

from services.timer.calendar_file import one_or_list, parse_date
from services.timer.conditions import Conditions, texts
from services.timer.expression import Expression, checked
from services.timer.policy import WarnAt
from shared.events import SECOND, Instant, Span, parse_instant
from shared.expression import LENGTH

_UNITS: Final = {"d": 86_400, "h": 3_600, "m": 60, "s": 1}
_DURATION: Final = "(?=[0-9])" + "".join(f"(?:([0-9]{{1,7}}){unit})?" for unit in _UNITS)
_UNITS_WRITTEN: Final = (("h", 3600 * SECOND), ("m", 60 * SECOND))
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


def written(length: Span) -> str:
    """A span in hours, minutes and seconds, exact: `4h`, `1h30m`, `26.5s`; a day is 24 hours of it."""
    if length < 0:
        return f"−{written(-length)}"
    parts = []
    for unit, size in _UNITS_WRITTEN:
        count, length = divmod(length, size)
        parts += [f"{count}{unit}"] if count else []
    if length or not parts:
        whole, rest = divmod(length, SECOND)
        parts.append(f"{whole}.{rest:06}".rstrip("0") + "s" if rest else f"{whole}s")
    return "".join(parts)


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


def parse_moment(text: object) -> date | Instant:
    """The date that a text like `2026-01-01` names, or the instant that one like `2026-01-05T08:00:00Z` names.

    Raises:
        ValueError: *text* is neither.
    """
    if isinstance(text, str):
        try:
            return parse_instant(text) if "T" in text else parse_date(text)
        except ValueError:
            pass
    raise ValueError(f"expected a date like 2026-01-01 or an instant like 2026-01-05T08:00:00Z, got {text!r}")


def _some(span: Span) -> Span:
    if span == 0:
        raise ValueError("expected more than no time at all")
    return span


def _as_text(value: object) -> str:
    if isinstance(value, str | int | float):
        return next(iter(texts(value)))
    raise ValueError(f"expected a text, a number, true or false, got {value!r}")


def conditions_of(found: Mapping[str, Sequence[str]]) -> Conditions:
    """The conditions that a checked mapping of attributes to values defines."""
    return {name: frozenset(values) for name, values in found.items()}


Duration = Annotated[
    Span,
    PlainValidator(lambda text: _some(parse_duration(text))),
    WithJsonSchema({"type": "string", "pattern": f"^{_DURATION}$", "examples": ["4h"]}),
]
Grace = Annotated[Span, PlainValidator(parse_duration), WithJsonSchema({"type": "string", "pattern": f"^{_DURATION}$"})]
Moment = Annotated[
    date | Instant,
    PlainValidator(parse_moment),
    WithJsonSchema({"type": "string", "examples": ["2026-01-01", "2026-01-05T08:00:00Z"]}),
]
When = Annotated[
    Expression,
    PlainValidator(checked),
    WithJsonSchema({"type": "string", "maxLength": LENGTH, "examples": ["has(item.amount) && item.amount > 1000"]}),
]
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
