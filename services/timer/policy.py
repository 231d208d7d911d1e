"""Policies as the fold needs them: who is covered, by which targets, in which hours, and which policy wins.

Everything here is immutable and already checked; `policy_file` turns a user's text into it.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from services.timer.business_hours import BusinessHours
from shared.events import Instant, Severity, Span

OnChange = Literal["recompute", "keep", "restart"]
OnReopen = Literal["resume", "restart", "ignore"]
Conditions = Mapping[str, frozenset[str]]  # attribute -> the texts of which any one matches; all keys must match

# The most specific first; any other attribute comes after these, and no attribute at all last.
LEVELS: Final = ("contact", "customer", "service", "department", "group")
# Enough for every combination of values that real policies name; a flood of others only empties the memo.
_MEMO_SIZE: Final = 32_768


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


@dataclass(frozen=True, slots=True)
class Terms:
    """What one policy promises one item for one metric: the target chosen by its attributes.

    Equal when it is the same promise, whatever version of the policies it comes from: the same policy by name, target,
    warnings, severity, pauses, and hours by content.
    """

    policy: Policy
    metric: str
    target: Span
    warn_at: tuple[WarnAt, ...]
    severity: Severity
    hours: BusinessHours

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        return isinstance(other, Terms) and self._promise() == other._promise()

    def __hash__(self) -> int:
        return hash((self.policy.name, self.metric, self.target))

    def _promise(self) -> tuple[Any, ...]:
        policy = self.policy
        return (policy.name, self.metric, self.target, self.warn_at, self.severity, policy.pause_when, self.hours)


class PolicySet:
    """One immutable version of the policies and their calendars."""

    def __init__(self, version: str, policies: Iterable[Policy], calendars: Mapping[str, BusinessHours]) -> None:
        """A set whose policies name only calendars in *calendars*.

        Raises:
            KeyError: a policy's calendar is not among them.
        """
        self.version = version  # a hash of the content
        self.policies = tuple(policies)  # in the order of the file
        self.calendars = dict(calendars)
        if unknown := {policy.calendar for policy in self.policies} - self.calendars.keys():
            raise KeyError(", ".join(sorted(unknown)))
        self._ranked = sorted(self.policies, key=lambda policy: policy.precedence)
        self._index = _index(self._ranked)
        self._values = _values_read(self.policies)
        self._made: dict[tuple[str, str, Span], Terms] = {}
        self._memo: dict[tuple[Any, ...], Mapping[str, tuple[Terms, ...]]] = {}

    @property
    def reads(self) -> frozenset[str]:
        """The attributes on which `terms` depends; a change of any other cannot change the answer."""
        return frozenset(self._values)

    def terms(self, kind: str, attributes: Mapping[str, Any]) -> Mapping[str, tuple[Terms, ...]]:
        """metric -> the terms that hold for an item: the winner first, then every `combine: all` beside it.

        Where no ordinary policy has a target, the first already is a `combine: all` one. Equal terms of one set are
        one object. Memoised on the values that any policy of the set names, because the fold asks it for every event
        that could change the answer; what no policy names (another customer's name) is all one.
        """
        key: list[Any] = [kind]
        for name, known in self._values.items():
            value = attributes.get(name)
            if value.__class__ is str:
                key.append(value if value in known else None)
            else:
                key.append(None if value is None else texts(value) & known)
        found = self._memo.get(remembered := tuple(key))
        if found is None:
            if len(self._memo) >= _MEMO_SIZE:
                self._memo.clear()
            found = self._memo[remembered] = self._decide(kind, attributes)
        return found

    def _decide(self, kind: str, attributes: Mapping[str, Any]) -> Mapping[str, tuple[Terms, ...]]:
        winners: dict[str, tuple[Terms, ...]] = {}
        beside: dict[str, tuple[Terms, ...]] = {}
        for policy in self._candidates(attributes):
            chosen = beside if policy.combine_all else winners
            if not policy.covers(kind, attributes):
                continue
            for metric, target in policy.targets.items():
                span = target.span(attributes)
                if span is not None and (policy.combine_all or metric not in winners):
                    chosen[metric] = (*chosen.get(metric, ()), self._terms(policy, metric, span))
        return {metric: winners.get(metric, ()) + beside.get(metric, ()) for metric in (winners | beside)}

    def _candidates(self, attributes: Mapping[str, Any]) -> list[Policy]:
        places = set(self._index.get(("", ""), ()))
        for name in self._values:
            for text in texts(attributes.get(name)):
                places.update(self._index.get((name, text), ()))
        return [self._ranked[place] for place in sorted(places)]

    def _terms(self, policy: Policy, metric: str, span: Span) -> Terms:
        key = (policy.name, metric, span)
        made = self._made.get(key)
        if made is None:
            target = policy.targets[metric]
            severity = target.severity or policy.severity
            hours = self.calendars[policy.calendar]
            made = self._made[key] = Terms(policy, metric, span, target.warn_at, severity, hours)
        return made


def texts(value: Any) -> frozenset[str]:
    """An attribute's value as the texts that it is compared by: one for a plain value, one a member for a list.

    Numbers and truth values are compared as they are written (`1`, `2.5`, `true`), because the keys of a YAML mapping
    are texts. Null and nested values are nothing, so they match nothing.
    """
    if isinstance(value, str):
        return frozenset((value,))
    if isinstance(value, bool):
        return frozenset(("true" if value else "false",))
    if isinstance(value, int | float):
        whole = isinstance(value, float) and value.is_integer()
        return frozenset((str(int(value) if whole else value),))
    if isinstance(value, list | tuple):
        return frozenset().union(*(texts(member) for member in value if not isinstance(member, list | tuple)))
    return frozenset()


def matches(conditions: Conditions, attributes: Mapping[str, Any]) -> bool:
    """Whether every condition holds; a list attribute matches when any member does. Empty conditions match."""
    for name, allowed in conditions.items():
        value = attributes.get(name)
        if value.__class__ is str:
            if value not in allowed:
                return False
        elif value is None or allowed.isdisjoint(texts(value)):
            return False
    return True


@dataclass(frozen=True, slots=True)
class Rulebook:
    """The versions of the policies over time: which one a clock that starts at an instant takes."""

    versions: tuple[tuple[Instant, PolicySet], ...]  # (effective from, policies), the earliest first; at least one

    def at(self, instant: Instant) -> PolicySet:
        """The version in force at *instant*; before the first version, the first."""
        if len(self.versions) == 1:  # the fold asks for every cycle that starts, and most files never change
            return self.versions[0][1]
        place = bisect_right(self.versions, instant, key=lambda version: version[0])
        return self.versions[max(place - 1, 0)][1]

    def version(self, version: str) -> PolicySet:
        """The version with this hash.

        Raises:
            KeyError: it is not known to this process.
        """
        for _, policies in self.versions:
            if policies.version == version:
                return policies
        raise KeyError(version)

    def adding(self, effective_from: Instant, policies: PolicySet) -> Rulebook:
        """This rulebook with one more version; of two from the same instant the one added last is in force."""
        versions = sorted((*self.versions, (effective_from, policies)), key=lambda version: version[0])
        return Rulebook(tuple(versions))


def _index(ranked: list[Policy]) -> dict[tuple[str, str], list[int]]:
    # Each policy stands under the values of one condition only, its most telling one; ("", "") holds the rest.
    index: dict[tuple[str, str], list[int]] = {}
    for place, policy in enumerate(ranked):
        names = [name for name in (*LEVELS, *policy.applies_to) if name in policy.applies_to and name != "kind"]
        keys = [(names[0], text) for text in policy.applies_to[names[0]]] if names else [("", "")]
        for key in keys:
            index.setdefault(key, []).append(place)
    return index


def _values_read(policies: Iterable[Policy]) -> dict[str, frozenset[str]]:
    values: dict[str, set[str]] = {}
    for policy in policies:
        for name, allowed in policy.applies_to.items():
            values.setdefault(name, set()).update(allowed)
        for target in policy.targets.values():
            for name, spans in target.by:
                values.setdefault(name, set()).update(spans)
    values.pop("kind", None)
    return {name: frozenset(known) for name, known in values.items()}
