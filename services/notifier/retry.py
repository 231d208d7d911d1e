"""When a delivery is attempted again, and when it is given up. PURE."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Final

from services.notifier.delivery import Attempt, Delivery, Outcome, State
from shared.events import SECOND, Instant, Span, instant

_MINUTE: Final = 60 * SECOND
_HOUR: Final = 60 * _MINUTE

# The waits before the first, second, … attempt that Standard Webhooks recommends: 75 h 35 min 5 s in all.
SCHEDULE: Final[tuple[Span, ...]] = (
    0,
    5 * SECOND,
    5 * _MINUTE,
    30 * _MINUTE,
    2 * _HOUR,
    5 * _HOUR,
    10 * _HOUR,
    14 * _HOUR,
    20 * _HOUR,
    24 * _HOUR,
)
LONGEST_WAIT: Final[Span] = 24 * _HOUR  # a receiver that asks for more is asked again after this
JITTER: Final = 0.1  # a wait is up to this share longer, so that what failed together is not repeated together


@dataclass(frozen=True, slots=True)
class Verdict:
    """What becomes of a delivery after an attempt."""

    state: State
    next_attempt_at: Instant | None = None  # of a pending one
    gave_up: bool = False  # it failed because the schedule is used up, not because it was refused


@dataclass(frozen=True, slots=True)
class Finished:
    """An attempt that was made, and what becomes of its delivery."""

    delivery: Delivery
    attempt: Attempt
    verdict: Verdict


def judge(outcome: Outcome, attempts: int, now: Instant, *, jitter: float) -> Verdict:
    """What becomes of a delivery whose attempt number *attempts* ended at *now* with *outcome*.

    Args:
        jitter: in [0, 1), what chance adds to the wait.

    What could not be told because its endpoint is gone waits, until somebody else is told or the endpoint is back.

    A wait that the receiver asked for lengthens the schedule's, never shortens it: a receiver that always asks for a
    second would use up all attempts before its outage is over.
    """
    if outcome.result == "delivered":
        return Verdict("delivered")
    if outcome.result == "refused" and not outcome.gone:
        return Verdict("failed")
    if attempts >= len(SCHEDULE):
        return Verdict("failed", gave_up=True)
    planned = SCHEDULE[attempts]
    asked = min(outcome.after or 0, LONGEST_WAIT)
    wait = max(planned, asked)
    return Verdict("pending", now + wait + round(wait * JITTER * jitter))


def retry_after(text: str | None, now: Instant) -> Span | None:
    """The wait that a `Retry-After` header asks for, in seconds or as a date; None when it says nothing readable.

    A date that has passed is a wait of 0.
    """
    if text is None:
        return None
    text = text.strip()
    if text.isascii() and text.isdigit():
        return min(int(text[:9]) * SECOND, LONGEST_WAIT)
    try:
        moment = parsedate_to_datetime(text)
    except ValueError:
        return None
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return min(max(instant(aware) - now, 0), LONGEST_WAIT)
