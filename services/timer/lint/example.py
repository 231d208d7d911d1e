"""Examples of items of which a finding is true: made up from conditions, or taken from recorded events."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from services.timer.conditions import LIST, Conditions
from services.timer.explaining.policy_choice import printable, shown
from services.timer.metric import KINDS
from services.timer.policy import Policy, Validity
from shared.events import SECOND, Instant, rfc3339

_SHOWN: Final = 8  # attributes that a line shows; a recorded item can have hundreds


@dataclass(frozen=True, slots=True)
class Example:
    """An item, as of some instant."""

    kind: str
    attributes: Mapping[str, Any]
    start: Instant  # of its cycles
    item: str | None = None  # which recorded one; None: it is made up
    is_dated: bool = False  # whether its start matters

    def __str__(self) -> str:
        named = [f"{printable(name)}={shown(value)}" for name, value in self.attributes.items()]
        more = f" and {len(named) - _SHOWN} more" if len(named) > _SHOWN else ""
        what = f"{self.kind} with {', '.join(named[:_SHOWN])}{more}" if named else f"{self.kind} without attributes"
        who = what if self.item is None else f"{printable(self.item)}, a {what}"
        return f"{who}, begun at {rfc3339(self.start)}" if self.is_dated else who


Truth = Callable[[Example], bool]


@dataclass(frozen=True, slots=True)
class Examples:
    """Where findings take their examples from."""

    now: Instant
    recorded: Sequence[Example] = ()

    def first(self, truth: Truth, *conditions: Conditions, valid: Sequence[Validity] = ()) -> Example | None:
        """An item of which something is true.

        The one that meets *conditions*, or else a recorded one: what depends on an expression cannot be made up. Each
        is put to the proof, so that no example is ever wrong.

        Args:
            truth: whether what is found is true of an item.
            conditions: what the item should meet, all of it.
            valid: when its cycles should start.
        """
        start = instant_in(valid, self.now)
        made = () if start is None else self._made(conditions, start)
        return next((each for each in (*made, *self.recorded) if truth(each)), None)

    def covered(self, truth: Truth, *policies: Policy, also: Conditions | None = None) -> Example | None:
        """An item that all these policies cover, and of which something is true."""

        def both(each: Example) -> bool:
            return all(policy.valid.holds(each.start) and covers(policy, each) for policy in policies) and truth(each)

        asked = [policy.applies_to for policy in policies]
        return self.first(both, *asked, also or {}, valid=[policy.valid for policy in policies])

    def _made(self, conditions: Iterable[Conditions], start: Instant) -> Iterator[Example]:
        met = _met(conditions)
        for kind in KINDS if met is not None else ():
            if met is not None and kind in met.get("kind", KINDS):
                attributes = {name: value for name, value in met.items() if name != "kind"}
                yield Example(kind, attributes, start, is_dated=start != self.now)


def covers(policy: Policy, example: Example) -> bool:
    """Whether a policy covers an item, whenever its cycles start."""
    return policy.covers(example.kind, example.attributes)


def instant_in(valid: Iterable[Validity], now: Instant) -> Instant | None:
    """An instant at which all of these hold, *now* if it can be; None where there is none."""
    each = tuple(valid)
    since = max((one.since for one in each if one.since is not None), default=None)
    until = min((one.until for one in each if one.until is not None), default=None)
    at = now if since is None else max(now, since)
    if until is not None and at >= until:
        at = until - SECOND if since is None else max(until - SECOND, since)
    return at if all(one.holds(at) for one in each) else None


def _met(conditions: Iterable[Conditions]) -> dict[str, Any] | None:
    # Attributes that meet all of the conditions, with every kind that does; None where nothing meets them.
    allowed: dict[str, frozenset[str]] = {}
    several: list[str] = []  # an item can have both of two tags
    for each in conditions:
        for name, values in each.items():
            if name == LIST:
                several += [] if not values.isdisjoint(several) else [min(values)]
            else:
                allowed[name] = allowed.get(name, values) & values
    if not all(allowed.values()):
        return None
    met: dict[str, Any] = {name: values if name == "kind" else min(values) for name, values in allowed.items()}
    return met | {LIST: several} if several else met
