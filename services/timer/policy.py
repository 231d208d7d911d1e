"""One policy: who is covered, by which targets, in which hours.

Everything here is immutable and already checked; `policy_file` turns a user's text into it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from services.timer.conditions import Conditions, matches, texts
from shared.events import Severity, Span

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
class Target:
    """The business time allowed for one metric under one policy."""

    within: Span | None  # None: only items that `by` names
    by: tuple[tuple[str, Mapping[str, Span]], ...] = ()  # in the order of the file
    warn_at: tuple[WarnAt, ...] = ()
    severity: Severity | None = None  # None: the policy's

    def span(self, attributes: Mapping[str, Any]) -> Span | None:
        """The time allowed an item: by the first attribute of `by` whose value has an entry, else `within`.

        Of a list attribute the entry that the file names first counts. None means no target for this item.
        """
        for name, spans in self.by:
            values = texts(attributes.get(name))
            for value, span in spans.items():
                if value in values:
                    return span
        return self.within

    @property
    def spans(self) -> tuple[Span, ...]:
        """Every time that it allows to some item."""
        own = () if self.within is None else (self.within,)
        return own + tuple(span for _, spans in self.by for span in spans.values())


@dataclass(frozen=True, slots=True)
class Policy:
    """Which items, in which hours, with which targets."""

    name: str
    applies_to: Conditions  # `kind` is the item's kind, every other key an attribute; empty covers all items
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
    grace: Span = 0  # real time to wait for slow sources after a due time

    @property
    def precedence(self) -> tuple[int, int, bool, int, int]:
        """A key by which the policy that wins sorts first: level, number of conditions, rank, place in the file."""
        named = [level for level, name in enumerate(LEVELS) if name in self.applies_to]
        others = self.applies_to.keys() - {"kind"}
        level = named[0] if named else len(LEVELS) if others else len(LEVELS) + 1
        return (level, -len(self.applies_to), self.rank is None, self.rank or 0, self.order)

    def covers(self, kind: str, attributes: Mapping[str, Any]) -> bool:
        """Whether an item of this kind with these attributes is covered."""
        return matches(self.applies_to, {**attributes, "kind": kind})
