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
_VALUES_KEPT: Final = 4_096  # of an attribute: to look a value up takes a fifth of what asking about it does
# What the program itself asks for, whatever the files say: whether an item is spam, and whether somebody has it.
_OWN: Final = (("status", frozenset({"spam"})), ("assignee", frozenset({""})))


class _Values(dict[Any, Hashable]):
    """A value of an attribute -> what there is to see of it. It fills itself, with texts only: 1 and True are equal."""

    def __init__(self, named: frozenset[str]) -> None:
        super().__init__({None: None})
        self._named = named

    def seen(self, value: Any) -> Hashable:
        """What there is to see of any value, be it a list."""
        if type(value) is str:
            return value if value in self._named else _OTHER
        return None if value is None else texts(value) & self._named

    def __missing__(self, value: Any) -> Hashable:
        seen = self.seen(value)
        if type(value) is str:
            if len(self) >= _VALUES_KEPT:
                self.clear()
                self[None] = None
            self[value] = seen
        return seen


class Sight:
    """What anything in a rulebook can tell apart."""

    def __init__(self, rulebook: Rulebook) -> None:
        sets = [policies for _, policies in rulebook.versions]
        read = [expression.reads for expression in _expressions(rulebook, sets)]
        self.is_whole = None not in read  # whether it is known which attributes decide anything
        values: dict[str, frozenset[str]] = {}
        for name, some in chain(_OWN, _covered(rulebook.exclusions.all), *map(_compared, sets)):
            values[name] = some.union(values.get(name) or ())
        self._named = {name: _Values(some) for name, some in values.items()}
        self._each = list(self._named.items())
        self._exact = tuple(sorted(frozenset().union(*(names for names in read if names))))  # all values are told apart
        self._rulebook = rulebook
        self._has_seasons = any(policies.turns for policies in sets)
        self.tells_times = len(sets) > 1 or self._has_seasons  # whether it matters when something happened

    def see(self, attributes: Mapping[str, Any]) -> list[Hashable]:
        """What there is to see of an item with these attributes."""
        get = attributes.get
        try:
            seen = [values[get(name)] for name, values in self._each]
        except TypeError:  # a list is no key
            seen = [values.seen(get(name)) for name, values in self._each]
        if self._exact:
            # As text, in which 1, 1.0, "1" and true differ, as they do in an expression.
            seen.append(_EXACT.encode([get(name) for name in self._exact]))
        return seen

    def changed(self, undo: Mapping[str, Any]) -> Seen:
        """What there was to see of the attributes that have changed; *undo* holds what they were."""
        seen: list[Hashable] = []
        for name, value in undo.items():
            if name in self._named:
                seen += (name, self._named[name].seen(value))
            if name in self._exact:
                seen += (name, _EXACT.encode(value))
        return tuple(seen)

    def times(self, state: ItemState, event: Event) -> Seen:
        """Which rules were in force when the event happened, and when the cycles of its item began."""
        rulebook = self._rulebook
        policies = rulebook.at(event.time)
        if not self._has_seasons:
            return (policies.version,)
        cycles = [*map(cycle_of, state.clocks), *state.unmeasured, *state.waiting]
        seasons = [rulebook.version(cycle.version).season(cycle.started_at) for cycle in cycles]
        return (policies.version, policies.season(event.time), *seasons)


def of_cycles(cycles: tuple[Cycle, ...]) -> Seen:
    """What there is to see of open cycles without a clock."""
    return tuple([(cycle.metric, cycle.version, cycle.beside, cycle.policy) for cycle in cycles])


def _covered(exclusions: Iterable[Exclusion]) -> Iterator[Compared]:
    return _items(each.applies_to for each in exclusions)


def _compared(policies: PolicySet) -> Iterator[Compared]:
    pauses = (policies.pauses(policy, metric) for policy in policies.policies for metric in policy.targets)
    asked = (conditions for metric in policies.metrics.values() for conditions in _asked(metric))
    return chain(_items(policies.compared()), _items(pauses), _items(asked))


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
