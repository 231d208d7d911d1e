"""Explanations in words: exact times, what a metric measures, and the sentence by which a due time follows."""

from __future__ import annotations

from collections.abc import Sequence

from services.timer.explaining.derivation import Derivation
from services.timer.metric import AnyTrigger, Metric
from services.timer.policy_values import written
from shared.events import Instant, moment


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
    left = written(found.left)
    sum_up = f"{written(found.target)} allowed − {written(found.used)} used by {stamp(found.since)} = {left} left"
    if found.due_at is None:
        return f"{sum_up}; there is no due time: it stands still, or {found.calendar} has no such instant"
    condition = "if it had gone on then: " if found.hypothetical else ""
    excluded = f", without {written(found.excluded)} that are excluded," if found.excluded else ""
    return f"{sum_up}; {condition}{left} of open time in {found.calendar}{excluded} end at {stamp(found.due_at)}"
