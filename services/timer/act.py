"""What an event did to clocks, so that it can be done again to others."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from services.timer.clock import Clock
from services.timer.net_hours import Hours
from services.timer.policy_set import Terms

ToClock = Callable[..., Clock]  # takes a clock, the instant, and what else it needs


class Act(NamedTuple):
    """What became of a clock that was there before the event."""

    place: int
    change: ToClock
    arguments: tuple[Any, ...]


class Beginning(NamedTuple):
    """A clock that the event began, with a cycle of its own."""

    metric: str
    version: str
    terms: Terms
    hours: Hours
    stands_still: bool
