"""What a rulebook can tell apart: of items' attributes, of clocks, of cycles. What is alike is treated alike."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Mapping
from itertools import chain
from typing import Any, Final

import msgspec

from services.timer.clock import Cycle
from services.timer.conditions import Conditions, texts
from services.timer.exclusion import Exclusion
from services.timer.expression import Expression
from services.timer.item import ItemState
from services.timer.metric import Change, Metric
from services.timer.policy_set import PolicySet
from services.timer.rulebook import Rulebook
from services.timer.rules import cycle_of
from shared.events import Event

Seen = tuple[Hashable, ...]
Compared = tuple[str, frozenset[str]]  # an attribute, and values with which it is compared

_EXACT: Final = msgspec.json.Encoder()
_OTHER: Final = object()  # stands for every text that nothing names
# What the program itself asks for, whatever the files say: whether an item is spam, and whether somebody has it.
_OWN: Final = (("status", frozenset({"spam"})), ("assignee", frozenset({""})))


class Sight:
    """What anything in a rulebook can tell apart."""

    def __init__(self, rulebook: Rulebook) -> None:
        sets = [policies for _, policies in rulebook.versions]
        read = [expression.reads for expression in _expressions(rulebook, sets)]
        self.is_whole = None not in read  # whether it is known which attributes decide anything
        self._named: dict[str, frozenset[str]] = {}  # an attribute that conditions name -> the values that they name
        for name, values in chain(_OWN, _covered(rulebook.exclusions.all), *map(_compared, sets)):
            self._named[name] = values.union(self._named.get(name) or ())
        self._each = list(self._named.items())
        self._exact = tuple(sorted(frozenset().union(*(names for names in read if names))))  # all values are told apart
        self._rulebook = rulebook
        self._has_seasons = any(policies.turns for policies in sets)
        self.tells_times = len(sets) > 1 or self._has_seasons  # whether it matters when something happened

    def see(self, attributes: Mapping[str, Any], seen: list[Hashable]) -> None:
        """Add what there is to see of an item with these attributes."""
        get = attributes.get
        for name, values in self._each:  # a plain loop: a comprehension over mappings takes twice the time
            value = get(name)
            if value.__class__ is str:
                seen.append(value if value in values else _OTHER)
            else:
                seen.append(None if value is None else texts(value) & values)
        if self._exact:
            # As text, in which 1, 1.0, "1" and true differ, as they do in an expression.
            seen.append(_EXACT.encode([get(name) for name in self._exact]))

    def changed(self, undo: Mapping[str, Any]) -> Seen:
        """What there was to see of the attributes that have changed; *undo* holds what they were."""
        seen: list[Hashable] = []
        for name, value in undo.items():
            values = self._named.get(name)
            if values is not None:
                seen += (name, _seen(value, values))
            if name in self._exact:
                seen += (name, _EXACT.encode(value))
        return tuple(seen)

    def times(self, state: ItemState, event: Event) -> Seen:
        """Which rules were in force when the event happened, and when the cycles of its item began."""
        rulebook = self._rulebook
        if not self.tells_times:
            return ()
        policies = rulebook.at(event.time)
        if not self._has_seasons:
            return (policies.version,)
        cycles = [*map(cycle_of, state.clocks), *state.unmeasured, *state.waiting]
        seasons = [rulebook.version(cycle.version).season(cycle.started_at) for cycle in cycles]
        return (policies.version, policies.season(event.time), *seasons)


def of_cycles(cycles: tuple[Cycle, ...]) -> Seen:
    """What there is to see of open cycles without a clock."""
    return tuple([(cycle.metric, cycle.version, cycle.beside, cycle.policy) for cycle in cycles])


def _seen(value: Any, values: frozenset[str]) -> Hashable:
    if value.__class__ is str:
        return value if value in values else _OTHER
    return None if value is None else texts(value) & values


def _covered(exclusions: Iterable[Exclusion]) -> Iterator[Compared]:
    return _of_items(each.applies_to for each in exclusions)


def _compared(policies: PolicySet) -> Iterator[Compared]:
    pauses = (policies.pauses(policy, metric) for policy in policies.policies for metric in policy.targets)
    asked = (conditions for metric in policies.metrics.values() for conditions in _asked(metric))
    return chain(_of_items(policies.compared()), _items(pauses), _items(asked))


def _of_items(many: Iterable[Conditions]) -> Iterator[Compared]:
    return (pair for pair in _items(many) if pair[0] != "kind")  # it is the item's, and no attribute


def _items(many: Iterable[Conditions]) -> Iterator[Compared]:
    return (pair for conditions in many for pair in conditions.items())


def _asked(metric: Metric) -> Iterator[Conditions]:
    for trigger in (*metric.starts, *(trigger for trigger, _ in metric.ends)):
        yield trigger.counts_when
        if isinstance(trigger, Change):
            yield trigger.conditions


def _expressions(rulebook: Rulebook, sets: Iterable[PolicySet]) -> Iterator[Expression]:
    yield from (each.when for each in rulebook.exclusions.all if each.when is not None)
    yield from (each.when for policies in sets for each in policies.policies if each.when is not None)
