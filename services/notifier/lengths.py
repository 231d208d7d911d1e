"""Lengths of time in `notify.yaml`, as people write them. PURE."""

from __future__ import annotations

import re
from typing import Annotated, Any, Final

from pydantic import BeforeValidator, Field

from shared.events import SECOND, Span

LONGEST: Final[Span] = 366 * 86_400 * SECOND
_PART: Final = r"(?:(\d{1,6})d)?(?:(\d{1,6})h)?(?:(\d{1,6})m)?(?:(\d{1,6})s)?"
_LENGTH: Final = re.compile(_PART)
_UNITS: Final = (86_400, 3_600, 60, 1)


def length_of(value: Any) -> Span:
    """The length of real time that *value* says: `45s`, `30m`, `4h`, `2d`, `1h30m`.

    Raises:
        ValueError: it is none, or is longer than a year.
    """
    found = _LENGTH.fullmatch(value) if isinstance(value, str) and value else None
    if found is None:
        raise ValueError(f"expected a length of time like 45s, 30m, 4h or 1h30m, got {value!r:.60}")
    whole = sum(int(count or 0) * unit for count, unit in zip(found.groups(), _UNITS, strict=True)) * SECOND
    if whole > LONGEST:
        raise ValueError(f"expected at most 366d, got {value!r:.60}")
    return whole


Length = Annotated[Span, Field(ge=0), BeforeValidator(length_of, json_schema_input_type=str)]
"""A length of time in the file, as people write it."""
