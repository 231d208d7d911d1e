"""Explanations in words: exact times and spans, and the sentence by which a due time follows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from services.timer.derivation import Derivation
from services.timer.metric import AnyTrigger, Metric
from shared.events import SECOND, Instant, Span, moment

_UNITS: Final = (("h", 3600 * SECOND), ("m", 60 * SECOND))


def span(length: Span) -> str:
    """A span in hours, minutes and seconds, exact: `4h`, `1h30m`, `26.5s`; a day is 24 hours of it."""
    if length < 0:
        return f"−{span(-length)}"
    parts = []
    for unit, size in _UNITS:
        count, length = divmod(length, size)
        parts += [f"{count}{unit}"] if count else []
    if length or not parts:
        whole, rest = divmod(length, SECOND)
        parts.append(f"{whole}.{rest:06}".rstrip("0") + "s" if rest else f"{whole}s")
    return "".join(parts)


def stamp(at: Instant) -> str:
    """An instant in UTC with its day of the week: `Mon 2026-01-05 08:00:00`, with as much of the second as it has."""
    found = moment(at)
    fraction = f".{found.microsecond:06}".rstrip("0") if found.microsecond else ""
    return f"{found:%a %Y-%m-%d %H:%M:%S}{fraction}"


def definition(metric: Metric) -> str:
    """What a metric measures, in the words of its definition."""
    ends = [("until", metric.stops), ("abandoned by", metric.abandons), ("cancelled by", metric.cancels)]
    told = [f"{word} {_either(triggers)}" for word, triggers in ends if triggers]
    return ", ".join([f"from {_either(metric.starts)}", *told])


def _either(triggers: Sequence[AnyTrigger]) -> str:
    return " or ".join(map(str, triggers))


def derivation(found: Derivation) -> str:
    """Why a clock is due when it is, as a sum: allowed, used, from when on, in which calendar."""
    left = f"{span(found.target)} allowed − {span(found.used)} used by {stamp(found.since)} = {span(found.left)} left"
    if found.due_at is None:
        return f"{left}; there is no due time: it stands still, or {found.calendar} has no such instant"
    condition = "if it had gone on then: " if found.hypothetical else ""
    excluded = f", without {span(found.excluded)} that are excluded," if found.excluded else ""
    return (
        f"{left}; {condition}{span(found.left)} of open time in {found.calendar}{excluded} end at {stamp(found.due_at)}"
    )
