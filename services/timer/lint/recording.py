"""Recorded events as items: what each of them was like after each of its events, and what became of its clocks."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

from services.timer import fold
from services.timer.clock import Clock
from services.timer.conditions import texts
from services.timer.item import Stage
from services.timer.lint.example import Example
from services.timer.policy import Validity
from services.timer.policy_set import PolicySet
from services.timer.rulebook import Rulebook
from shared.events import Event, Instant


class Moment(NamedTuple):
    """An item after one of its events."""

    at: Instant
    attributes: Mapping[str, Any]
    stage: Stage


class Item(NamedTuple):
    """One recorded item; a deletion, which takes its attributes away, is no moment."""

    name: str
    kind: str
    moments: tuple[Moment, ...]  # one for each event, at least one
    clocks: tuple[Clock, ...]

    @property
    def time(self) -> Validity:
        """The time from its first event to its last one."""
        return Validity(self.moments[0].at, self.moments[-1].at + 1)

    def example(self, moment: Moment) -> Example:
        """The item as it was at a moment."""
        return Example(self.kind, moment.attributes, self.moments[0].at, self.name)

    def last(self) -> Example:
        """The item as it was in the end."""
        return self.example(self.moments[-1])

    def until(self, instant: Instant) -> Moment:
        """The item as it was at an instant, after all that happened then."""
        return next((each for each in reversed(self.moments) if each.at <= instant), self.moments[0])


@dataclass(frozen=True)
class Recording:
    """All recorded items, in the order of their first events."""

    items: tuple[Item, ...]

    @cached_property
    def values(self) -> Mapping[str, frozenset[str]]:
        """Attribute -> every value that some item ever had, as the texts that conditions compare."""
        found: dict[str, set[str]] = defaultdict(set)
        for item in self.items:
            for moment in item.moments:
                for name, value in moment.attributes.items():
                    found[name] |= texts(value)
        return {name: frozenset(values) for name, values in found.items()}

    @cached_property
    def examples(self) -> tuple[Example, ...]:
        """Each item as it was in the end."""
        return tuple(item.last() for item in self.items)


def recording(policies: PolicySet, events: Iterable[Event]) -> Recording:
    """What events, given in any order and with any repeats, show under *policies*."""
    rulebook = Rulebook(((0, policies),))
    by_item: dict[str, list[Event]] = defaultdict(list)
    for event in sorted(events, key=lambda event: event.order):
        by_item[event.item].append(event)
    items = (_item(name, known, rulebook) for name, known in by_item.items())
    return Recording(tuple(item for item in items if item.moments))


def _item(name: str, events: list[Event], rulebook: Rulebook) -> Item:
    moments: list[Moment] = []
    clocks: tuple[Clock, ...] = ()
    for event, state in fold.steps(events, rulebook):
        clocks = state.clocks
        if state.deleted is None:
            moments.append(Moment(event.time, state.attributes, state.stage))
    return Item(name, events[0].kind, tuple(moments), clocks)
