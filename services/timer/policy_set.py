"""One version of the policies: which policy wins for an item, and what it then promises."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping
from copy import copy
from dataclasses import dataclass, field
from typing import Any, Final

from services.timer.business_hours import BusinessHours
from services.timer.calendar_data import NO_DATA, CalendarData
from services.timer.conditions import Conditions, texts
from services.timer.exclusion import NO_EXCLUSIONS, Exclusion, Exclusions
from services.timer.metric import Metric
from services.timer.policy import LEVELS, Policy, WarnAt
from services.timer.reading import Reading
from services.timer.silence import SourceRule
from shared.events import Instant, Severity, Span

# Enough for every combination of values that real policies name; a flood of others only empties the memo.
_MEMO_SIZE: Final = 32_768


@dataclass(frozen=True, slots=True)
class Terms:
    """What one policy promises one item for one metric: the target and the calendar chosen by its attributes.

    Equal when it is the same promise, whatever version of the policies it comes from: the same policy by name, target,
    warnings, severity, pauses, and hours by content.
    """

    policy: Policy
    metric: str
    target: Span
    warn_at: tuple[WarnAt, ...]
    severity: Severity
    pause_when: Conditions  # while all of them match, the clock stands still; empty is never
    calendar: str
    hours: BusinessHours
    points: tuple[tuple[Span, str], ...] = field(init=False)  # (elapsed, label) at which to warn, in order
    spans: tuple[Span, ...] = field(init=False)  # the target, then the elapsed times of the points

    def __post_init__(self) -> None:
        # Of the points that lie before the start only the latest counts, at the start itself.
        points = sorted((warning.elapsed(self.target), warning.label) for warning in self.warn_at)
        skipped = max(sum(elapsed < 0 for elapsed, _ in points) - 1, 0)
        object.__setattr__(self, "points", tuple((max(elapsed, 0), label) for elapsed, label in points[skipped:]))
        object.__setattr__(self, "spans", (self.target, *(elapsed for elapsed, _ in self.points)))

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        return isinstance(other, Terms) and self._promise() == other._promise()

    def __hash__(self) -> int:
        return hash((self.policy.name, self.metric, self.target))

    def _promise(self) -> tuple[Any, ...]:
        name, pauses = self.policy.name, self.pause_when
        return (name, self.metric, self.target, self.warn_at, self.severity, pauses, self.hours)


class PolicySet:
    """One immutable version of the policies, their calendars and their metrics."""

    def __init__(  # noqa: PLR0913 # one argument for each section of the files
        self,
        version: str,
        policies: Iterable[Policy],
        calendars: Mapping[str, BusinessHours],
        *,
        metrics: Mapping[str, Metric],
        calendar_data: CalendarData = NO_DATA,
        sources: Iterable[SourceRule] = (),
    ) -> None:
        """A set whose policies name only calendars in *calendars* and metrics in *metrics*.

        Raises:
            KeyError: a policy's calendar or metric is not among them.
        """
        self.version = version  # a hash of the content
        self.policies = tuple(policies)  # in the order of the file
        self.calendars = dict(calendars)
        self.calendar_data = calendar_data  # what the calendars are computed with
        self.sources = tuple(sources)  # how long sources may be quiet, in the order of the file
        self.metrics = dict(metrics)  # name -> metric, the built-in ones first
        self.exclusions = NO_EXCLUSIONS  # what the same files exclude; no part of what they promise
        named = {name for policy in self.policies for name in policy.calendars} - self.calendars.keys()
        measured = {metric for policy in self.policies for metric in policy.targets} - self.metrics.keys()
        if unknown := named | measured:
            raise KeyError(", ".join(sorted(unknown)))
        self._ranked = sorted(self.policies, key=lambda policy: policy.precedence)
        self._index = _index(self._ranked)
        self._reading = Reading(self.compared(), (policy.when for policy in self.policies))
        self.turns = _turns(self.policies)  # the instants at which another season begins
        self._made: dict[tuple[str, str, Span, str], Terms] = {}
        self._memo: dict[tuple[Any, ...], Mapping[str, tuple[Terms, ...]]] = {}

    def named(self, version: str) -> PolicySet:
        """The same set under another name."""
        same = copy(self)
        same.version = version
        return same

    def excluding(self, exclusions: Iterable[Exclusion]) -> PolicySet:
        """The same policies with these exclusions beside them."""
        same = copy(self)
        same.exclusions = Exclusions(exclusions)
        return same

    @property
    def reads(self) -> frozenset[str] | None:
        """The attributes on which `terms` depends; a change of any other cannot change the answer. None: on any."""
        return self._reading.names

    def compared(self) -> Iterator[Conditions]:
        """Every attribute on which `terms` depends by its value, with the values."""
        return (conditions for policy in self.policies for conditions in _compared(policy))

    def season(self, start: Instant) -> int:
        """The number of the season in which a cycle starts: in one season the same policies are valid."""
        return bisect_right(self.turns, start)

    def terms(self, kind: str, attributes: Mapping[str, Any], start: Instant) -> Mapping[str, tuple[Terms, ...]]:
        """metric -> the terms that hold for an item: the winner first, then every `combine: all` beside it.

        Where no ordinary policy has a target, the first already is a `combine: all` one. Equal terms of one set are
        one object. Memoised on the season and on the values that any policy of the set names, because the fold asks it
        for every event that could change the answer; what no policy names (another customer's name) is all one. Of what
        an expression reads every value is another one.

        Args:
            kind: of the item.
            attributes: of the item, as of now.
            start: of the cycle; what is not valid then does not hold for it, now or later.
        """
        key = self._reading.key(attributes, kind, self.season(start) if self.turns else 0)
        found = self._memo.get(key)
        if found is None:
            if len(self._memo) >= _MEMO_SIZE:
                self._memo.clear()
            found = self._memo[key] = self._decide(kind, attributes, start)
        return found

    def covering(self, kind: str, attributes: Mapping[str, Any]) -> Iterator[Policy]:
        """The policies that cover an item, those that go first first, whenever its cycles start."""
        return (policy for policy in self._candidates(attributes) if policy.covers(kind, attributes))

    def pauses(self, policy: Policy, metric: str) -> Conditions:
        """While which conditions clocks of a metric stand still under a policy of the set; none: never."""
        return self.metrics[metric].pauses_under(policy.pause_of(metric))

    def _decide(self, kind: str, attributes: Mapping[str, Any], start: Instant) -> Mapping[str, tuple[Terms, ...]]:
        winners: dict[str, tuple[Terms, ...]] = {}
        beside: dict[str, tuple[Terms, ...]] = {}
        for policy in self._candidates(attributes):
            chosen = beside if policy.combine_all else winners
            if not (policy.valid.holds(start) and policy.covers(kind, attributes)):
                continue
            for metric, target in policy.targets.items():
                span = target.span(attributes)
                if span is not None and (policy.combine_all or metric not in winners):
                    terms = self._terms(policy, metric, span, policy.calendar_of(metric).name(attributes))
                    chosen[metric] = (*chosen.get(metric, ()), terms)
        return {metric: winners.get(metric, ()) + beside.get(metric, ()) for metric in (winners | beside)}

    def _candidates(self, attributes: Mapping[str, Any]) -> list[Policy]:
        places = set(self._index.get(("", ""), ()))
        for name in self._reading.values:
            for text in texts(attributes.get(name)):
                places.update(self._index.get((name, text), ()))
        return [self._ranked[place] for place in sorted(places)]

    def _terms(self, policy: Policy, metric: str, span: Span, calendar: str) -> Terms:
        key = (policy.name, metric, span, calendar)
        made = self._made.get(key)
        if made is None:
            target = policy.targets[metric]
            severity, pauses = target.severity or policy.severity, self.pauses(policy, metric)
            hours = self.calendars[calendar]
            made = self._made[key] = Terms(policy, metric, span, target.warn_at, severity, pauses, calendar, hours)
        return made


def _index(ranked: list[Policy]) -> dict[tuple[str, str], list[int]]:
    # Each policy stands under the values of one condition only, its most telling one; ("", "") holds the rest.
    index: dict[tuple[str, str], list[int]] = {}
    for place, policy in enumerate(ranked):
        names = [name for name in (*LEVELS, *policy.applies_to) if name in policy.applies_to and name != "kind"]
        keys = [(names[0], text) for text in policy.applies_to[names[0]]] if names else [("", "")]
        for key in keys:
            index.setdefault(key, []).append(place)
    return index


def _turns(policies: Iterable[Policy]) -> list[Instant]:
    ends = {end for policy in policies for end in (policy.valid.since, policy.valid.until)}
    return sorted(end for end in ends if end is not None)


def _compared(policy: Policy) -> Iterator[Conditions]:
    # Every attribute that its terms depend on by value, with the values.
    yield policy.applies_to
    for metric, target in policy.targets.items():
        for name, entries in (*target.by, *policy.calendar_of(metric).by):
            yield {name: frozenset(entries)}
