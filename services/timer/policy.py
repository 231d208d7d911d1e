"""Policies as the fold needs them: who is covered, by which targets, in which hours, and which policy wins.

Everything here is immutable and already checked; `policy_file` turns a user's text into it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from services.timer.business_hours import BusinessHours
from shared.events import Instant, Severity, Span

OnChange = Literal["recompute", "keep", "restart"]
OnReopen = Literal["resume", "restart", "ignore"]
Conditions = Mapping[str, frozenset[Any]]  # attribute -> the values of which any one matches; all keys must match


@dataclass(frozen=True, slots=True)
class WarnAt:
    """A point before the due time at which to warn: a share of the target used up, or a business time left."""

    label: str  # as written: `80%`, `15m_left`
    share: float | None = None  # 0 < share < 1
    left: Span | None = None


@dataclass(frozen=True, slots=True)
class Target:
    """The business time allowed for one metric under one policy."""

    within: Span | None  # None: only items that `by` names
    by: tuple[tuple[str, Mapping[Any, Span]], ...] = ()  # in the order of the file
    warn_at: tuple[WarnAt, ...] = ()
    severity: Severity | None = None  # None: the policy's


@dataclass(frozen=True, slots=True)
class Policy:
    """Which items, in which hours, with which targets."""

    name: str
    applies_to: Conditions
    calendar: str
    targets: Mapping[str, Target]  # metric -> target
    pause_when: Conditions = field(default_factory=dict)
    severity: Severity = "medium"
    rank: int | None = None  # 1 before 2; unranked last
    order: int = 0  # the place in the file
    combine_all: bool = False  # applies beside the winner
    require_reply: bool = False  # reply clocks go on after the item is over
    on_change: OnChange = "recompute"
    on_reopen: OnReopen = "resume"


@dataclass(frozen=True, slots=True)
class Terms:
    """What one policy promises one item for one metric: the target chosen by its attributes."""

    policy: Policy
    metric: str
    target: Span
    warn_at: tuple[WarnAt, ...]
    severity: Severity
    hours: BusinessHours

    def __eq__(self, other: object) -> bool:  # set by the owner of this module: same promise, whatever the version
        raise NotImplementedError


class PolicySet:
    """One immutable version of the policies and their calendars."""

    version: str  # a hash of the content
    policies: tuple[Policy, ...]
    calendars: Mapping[str, BusinessHours]

    def terms(self, kind: str, attributes: Mapping[str, Any]) -> Mapping[str, tuple[Terms, ...]]:
        """metric -> the terms that hold for an item: the winner first, then every `combine: all` beside it.

        Memoised on the values of the attributes that any policy of the set reads, because the fold asks it for
        every event that could change the answer.
        """
        raise NotImplementedError


def matches(conditions: Conditions, attributes: Mapping[str, Any]) -> bool:
    """Whether every condition holds; a list attribute matches when any member does. Empty conditions match."""
    raise NotImplementedError


class Rulebook:
    """The versions of the policies over time: which one a clock that starts at an instant takes."""

    def at(self, instant: Instant) -> PolicySet:
        """The version in force at *instant*; before the first version, the first."""
        raise NotImplementedError

    def version(self, version: str) -> PolicySet:
        """The version with this hash.

        Raises:
            KeyError: it is not known to this process.
        """
        raise NotImplementedError
