"""What something that happens to an item does to the cycles of its metrics."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Generic, NamedTuple, TypeVar

from services.timer.metric import Change, Ending, Metric, Trigger, is_assigned
from shared.events import Event

_Kind = TypeVar("_Kind", Trigger, Change)
_STRENGTH: Final[Mapping[Ending, int]] = {"met": 2, "abandoned": 1, "cancelled": 0}


class Bound(NamedTuple, Generic[_Kind]):
    """A trigger, the metric whose it is, and how it ends a cycle; None: it starts one."""

    trigger: _Kind
    metric: Metric
    ending: Ending | None


@dataclass(frozen=True, slots=True)
class Effects:
    """Which cycles end, and how, and which metrics start; of several endings at once met counts, then abandoned."""

    ends: Mapping[str, Ending]
    starts: tuple[Metric, ...]
    uncertain: tuple[Bound[Trigger], ...] = ()  # all of the triggers, where some count under conditions only

    def counted(self, event: Event, attributes: Mapping[str, Any]) -> Effects:
        """Those that count at this event, after which the item has these attributes."""
        return effects_of([bound for bound in self.uncertain if bound.trigger.counts(event, attributes)])


NO_EFFECTS: Final = Effects({}, ())


def effects_of(bounds: Iterable[Bound[Trigger] | Bound[Change]]) -> Effects:
    """What happens when all of these triggers count at once."""
    ends: dict[str, Ending] = {}
    starts: dict[str, Metric] = {}
    for _, metric, ending in bounds:
        if ending is None:
            starts[metric.name] = metric
        else:
            ends[metric.name] = max(ending, ends.get(metric.name, ending), key=_STRENGTH.__getitem__)
    return Effects(ends, tuple(starts.values())) if ends or starts else NO_EFFECTS


class Happenings(dict[tuple[str, str], Effects]):
    """What happens to the metrics of one kind of items: (occurrence, type of the event) -> what the two do at once.

    An empty text stands for no occurrence, or for an occurrence that is not all that the event means. A mapping that
    fills itself, because every event asks it.
    """

    def __init__(self, metrics: Iterable[Metric]) -> None:
        super().__init__()
        self._said: list[Bound[Trigger]] = []
        self._changes: list[Bound[Change]] = []
        metrics = tuple(metrics)
        for metric in metrics:
            for trigger in metric.starts:
                self._bind(trigger, metric, None)
            for trigger, ending in metric.ends:
                self._bind(trigger, metric, ending)
        self.metrics = frozenset(metric.name for metric in metrics)
        self.heard = frozenset(bound.trigger.on for bound in self._said)  # the occurrences and types of events named
        self.watched = frozenset(name for bound in self._changes for name in bound.trigger.reads)
        self._assignment = _by_assignment(self._changes)

    def changed(self, touched: frozenset[str], before: Mapping[str, Any], after: Mapping[str, Any]) -> Effects:
        """What a change of these attributes does."""
        if self.watched.isdisjoint(touched):
            return NO_EFFECTS
        if self._assignment is not None:
            return self._assignment[is_assigned(after)]
        return effects_of(
            [
                bound
                for bound in self._changes
                if not touched.isdisjoint(bound.trigger.reads)
                and bound.trigger.happens(before, after)
                and bound.trigger.counts(after)
            ]
        )

    def begun(self, touched: frozenset[str], before: Mapping[str, Any], after: Mapping[str, Any]) -> Effects:
        """What the states do in which an item is when it is created or reopened, but for what `changed` tells of.

        *touched* is empty for a creation: of a new item everything counts that it is.
        """
        if self._assignment is not None:
            return NO_EFFECTS if "assignee" in touched else self._assignment[is_assigned(after)]
        return effects_of(
            [
                bound
                for bound in self._changes
                if bound.trigger.what != "leaves"
                and (touched.isdisjoint(bound.trigger.reads) or not bound.trigger.happens(before, after))
                and bound.trigger.holds(after)
                and bound.trigger.counts(after)
            ]
        )

    def __missing__(self, key: tuple[str, str]) -> Effects:
        bounds = [bound for bound in self._said if bound.trigger.on in key]
        effects = effects_of(bounds)
        if any(bound.trigger.is_narrowed for bound in bounds):
            effects = Effects(effects.ends, effects.starts, tuple(bounds))
        self[key] = effects
        return effects

    def _bind(self, trigger: Trigger | Change, metric: Metric, ending: Ending | None) -> None:
        if isinstance(trigger, Change):
            self._changes.append(Bound(trigger, metric, ending))
        else:
            self._said.append(Bound(trigger, metric, ending))


def _by_assignment(changes: list[Bound[Change]]) -> Mapping[bool, Effects] | None:
    # Of all changes the assignee's is the usual one, so that to work it out each time would cost 3 % of the fold.
    if any(bound.trigger.what not in ("assigned", "unassigned") or bound.trigger.counts_when for bound in changes):
        return None
    return {
        assigned: effects_of([bound for bound in changes if (bound.trigger.what == "assigned") == assigned])
        for assigned in (True, False)
    }
