"""One policy: who is covered, by which targets, in which hours.

Everything here is immutable and already checked; `policy_file` turns a user's text into it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from services.timer.conditions import By, Conditions, entry, matches
from services.timer.expression import Expression
from shared.events import Instant, Severity, Span, rfc3339

OnChange = Literal["recompute", "keep", "restart"]
OnReopen = Literal["resume", "restart", "ignore"]

# The most specific first; any other attribute comes after these, and no attribute at all last.
LEVELS: Final = ("contact", "customer", "service", "department", "group")


@dataclass(frozen=True, slots=True)
class WarnAt:
    """A point before the due time at which to warn: a share of the target used up, or a business time left."""

    label: str  # as written: `80%`, `15m_left`
    share: float | None = None  # 0 < share < 1
    left: Span | None = None

    def elapsed(self, target: Span) -> Span:
        """The business time used up at which to warn; below 0 when more is to be left than *target* has."""
        if self.left is not None:
            return target - self.left
        return round(target * (self.share or 0))


@dataclass(frozen=True, slots=True)
class CalendarChoice:
    """Which calendar an item's clocks run in."""

    default: str
    by: By[str] = ()

    def name(self, attributes: Mapping[str, Any]) -> str:
        """The calendar of an item: what `by` chooses, else the default."""
        return (entry(self.by, attributes) or self.default) if self.by else self.default

    @property
    def names(self) -> tuple[str, ...]:
        """Every calendar that some item can have, each once."""
        return tuple(dict.fromkeys((self.default, *(name for _, names in self.by for name in names.values()))))


@dataclass(frozen=True, slots=True)
class Target:
    """The business time allowed for one metric under one policy."""

    within: Span | None  # None: only items that `by` names
    by: By[Span] = ()
    warn_at: tuple[WarnAt, ...] = ()
    severity: Severity | None = None  # None: the policy's
    calendar: CalendarChoice | None = None  # None: the policy's
    pause_when: Conditions | None = None  # None: the policy's; without any condition it never pauses

    def span(self, attributes: Mapping[str, Any]) -> Span | None:
        """The time allowed an item: what `by` chooses, else `within`; None means no target for this item."""
        span = entry(self.by, attributes) if self.by else None
        return self.within if span is None else span

    @property
    def spans(self) -> tuple[Span, ...]:
        """Every time that it allows to some item."""
        own = () if self.within is None else (self.within,)
        return own + tuple(span for _, spans in self.by for span in spans.values())


@dataclass(frozen=True, slots=True)
class Validity:
    """When a policy can be taken: by cycles that start in `[since, until)`, however long they last."""

    since: Instant | None = None  # None: from the beginning of time
    until: Instant | None = None  # None: without an end

    def holds(self, at: Instant) -> bool:
        """Whether a cycle that starts at an instant can take the policy."""
        return (self.since is None or self.since <= at) and (self.until is None or at < self.until)

    def __str__(self) -> str:
        since = "" if self.since is None else f"from {rfc3339(self.since)}"
        until = "" if self.until is None else f"until {rfc3339(self.until)}"
        return f"valid {f'{since} {until}'.strip() or 'always'}"

    def covers(self, other: Validity) -> bool:
        """Whether it holds wherever *other* holds."""
        starts = self.since is None or (other.since is not None and self.since <= other.since)
        return starts and (self.until is None or (other.until is not None and other.until <= self.until))

    def meets(self, other: Validity) -> bool:
        """Whether both hold at some instant."""
        starts = [each.since for each in (self, other) if each.since is not None]
        ends = [each.until for each in (self, other) if each.until is not None]
        return not starts or not ends or max(starts) < min(ends)


ALWAYS: Final = Validity()


@dataclass(frozen=True, slots=True)
class Policy:
    """Which items, in which hours, with which targets."""

    name: str
    applies_to: Conditions  # `kind` is the item's kind, every other key an attribute; empty covers all items
    calendar: CalendarChoice
    targets: Mapping[str, Target]  # metric -> target
    pause_when: Conditions = field(default_factory=dict)
    severity: Severity = "medium"
    rank: int | None = None  # 1 before 2; unranked last
    order: int = 0  # the place in the file
    combine_all: bool = False  # applies beside the winner
    require_reply: bool = False  # reply clocks go on after the item is over
    on_change: OnChange = "recompute"
    on_reopen: OnReopen = "resume"
    grace: Span = 0  # real time to wait for slow sources after a due time
    valid: Validity = ALWAYS
    when: Expression | None = None  # must hold beside `applies_to`

    @property
    def precedence(self) -> tuple[int, int, bool, int, int]:
        """A key by which the policy that wins sorts first: level, number of conditions, rank, place in the file."""
        named = [level for level, name in enumerate(LEVELS) if name in self.applies_to]
        others = self.when is not None or self.applies_to.keys() - {"kind"}
        level = named[0] if named else len(LEVELS) if others else len(LEVELS) + 1
        return (level, -self.conditions, self.rank is None, self.rank or 0, self.order)

    @property
    def conditions(self) -> int:
        """How many conditions an item must meet; an expression is one, whatever is in it."""
        return len(self.applies_to) + (self.when is not None)

    def calendar_of(self, metric: str) -> CalendarChoice:
        """Which calendar the clocks of a metric run in; it must have a target here."""
        return self.targets[metric].calendar or self.calendar

    def pause_of(self, metric: str) -> Conditions:
        """While all of these match, clocks of a metric stand still; empty is never. It must have a target here."""
        own = self.targets[metric].pause_when
        return self.pause_when if own is None else own

    @property
    def calendars(self) -> tuple[str, ...]:
        """Every calendar that a clock under it can run in, each once."""
        choices = [self.calendar_of(metric) for metric in self.targets]
        return tuple(dict.fromkeys(name for choice in choices for name in choice.names))

    def covers(self, kind: str, attributes: Mapping[str, Any]) -> bool:
        """Whether an item of this kind with these attributes is covered."""
        if not matches(self.applies_to, {**attributes, "kind": kind}):
            return False
        return self.when is None or self.when.holds(kind, attributes)
