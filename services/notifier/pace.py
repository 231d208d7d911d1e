"""How many messages a receiver gets in a length of time: a bucket that fills evenly. PURE.

The state of a bucket is one instant: when it will be full again. Taking from it moves that instant on, and all
arithmetic is exact, so processes that share the instant in a database share the bucket.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated, Any, Final

from pydantic import BeforeValidator

from shared.events import SECOND, Instant, Span

_RATE: Final = re.compile(r"([1-9][0-9]{0,5}) ?/ ?(s|min|h|d)")
_PER: Final = {"s": SECOND, "min": 60 * SECOND, "h": 3_600 * SECOND, "d": 86_400 * SECOND}


@dataclass(frozen=True, slots=True)
class Pace:
    """*count* messages in any moment, and *count* more in each *per* after it."""

    count: int
    per: Span
    text: str  # as it was written

    def free(self, full_at: Instant | None, now: Instant) -> int:
        """How many messages may go at *now* from a bucket that is full at *full_at* (None: it is full)."""
        missing = max((full_at or now) - now, 0)
        return max((self.per - missing) * self.count // self.per, 0)

    def taken(self, number: int, full_at: Instant | None, now: Instant) -> Instant:
        """When the bucket is full again, after *number* messages go at *now*."""
        return max(full_at or now, now) + -(-number * self.per // self.count)

    def next_free(self, full_at: Instant | None, now: Instant) -> Instant:
        """When the next message may go: *now*, or later."""
        return max(now, (full_at or now) - self.per + -(-self.per // self.count))


def pace_of(value: Any) -> Pace:
    """The pace that *value* says: `10/s`, `120/min`, `1000/h`, `5000/d`.

    Raises:
        ValueError: it is none.
    """
    found = _RATE.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        raise ValueError(f"expected a number of messages in a time, like 120/min, 10/s or 1000/h, got {value!r:.60}")
    return Pace(int(found[1]), _PER[found[2]], f"{found[1]}/{found[2]}")


RateLimit = Annotated[Pace, BeforeValidator(pace_of, json_schema_input_type=str)]
"""A pace in the file, as people write it."""
