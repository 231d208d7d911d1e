"""Why an item's clocks are as they are: its events folded one by one, and what each of them did.

Every rule is the fold's own. This module only watches it: it compares the states before and after each event, and
keeps what the fold drops.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from operator import itemgetter
from typing import Any, Final

from services.timer import clock as clocks
from services.timer import fold
from services.timer.business_hours import BusinessHours
from services.timer.clock import STRETCHES_KEPT, Clock, Cycle, present
from services.timer.explaining.accounting import Account, Counted, Known, counted
from services.timer.explaining.derivation import Derivation, derive
from services.timer.explaining.milestones import Milestone, milestones, terms_differ
from services.timer.explaining.policy_choice import Question, Verdict, verdicts
from services.timer.item import ItemState
from services.timer.net_hours import Hours, NetHours
from services.timer.policy_set import PolicySet
from services.timer.recount import Past, replay
from services.timer.rulebook import Rulebook
from services.timer.rules import rules_of
from services.timer.stretches import Stretch, cut
from shared.events import Event, Instant, Span

# What the fold itself reads of an item, whatever the policies say.
_ALWAYS_READ: Final = frozenset({"assignee", "status"})


@dataclass(frozen=True, slots=True)
class Decision:
    """Which policy was to measure a cycle, decided anew at an event."""

    event: Event
    policies: PolicySet
    question: Question

    @property
    def at(self) -> Instant:
        """When it was decided."""
        return self.event.time

    @property
    def verdicts(self) -> list[Verdict]:
        """What became of every policy. Found when it is asked for: most decisions of a long life nobody reads."""
        return verdicts(self.policies, self.question)


@dataclass(frozen=True, slots=True)
class Happening:
    """An event of the item, and which of the attributes that decide anything it changed."""

    event: Event
    changes: tuple[tuple[str, Any, Any], ...]  # (attribute, before, after)
    stage: str  # of the item afterwards


@dataclass(frozen=True, slots=True)
class ClockStory:
    """One clock as of an instant, and how it came to be so."""

    clock: Clock
    elapsed: Span
    paused: Span
    spans: list[Counted]
    derivation: Derivation
    milestones: list[Milestone]
    decisions: list[Decision]  # the last one is that by which the clock counts


@dataclass(frozen=True, slots=True)
class Unmeasured:
    """An open cycle that no policy measures."""

    cycle: Cycle
    decision: Decision


@dataclass(frozen=True, slots=True)
class Explanation:
    """One item as of an instant, by the events with a time up to it."""

    item: str
    at: Instant
    state: ItemState
    happenings: list[Happening]
    clocks: list[ClockStory]
    unmeasured: list[Unmeasured]


def explain(item: str, events: Iterable[Event], rulebook: Rulebook, at: Instant) -> Explanation:
    """Why the clocks of an item are as they are at an instant, by those of its events with a time up to it.

    Events may come in any order and with repeats. A deadline at *at* itself has not passed.

    Raises:
        KeyError: as `fold.apply`.
    """
    watch = _Watch(rulebook)
    for event, after in fold.steps((event for event in events if event.time <= at), rulebook):
        watch.see(event, after)
    return watch.explanation(item, at)


@dataclass(slots=True)
class _Life:
    """What is noted of one clock while the item's events are folded."""

    stretches: list[Stretch]
    milestones: list[Milestone] = field(default_factory=list)
    decisions: list[Decision] = field(default_factory=list)
    dated: Mapping[str, Any] = field(default_factory=dict)  # the item's attributes under which it was last due


class _Watch:
    """The fold, one event after another, with notes of what each of them did."""

    def __init__(self, rulebook: Rulebook) -> None:
        self._rulebook = rulebook
        self._reads = _read(rulebook)
        self._state = fold.EMPTY
        self._events: dict[tuple[str, str], Event] = {}
        self._known: list[Known] = []
        self._happenings: list[Happening] = []
        self._lives: list[_Life] = []

    def see(self, event: Event, after: ItemState) -> None:
        """Note what one more event made of the item."""
        before, self._state = self._state, after
        self._events[event.source, event.id] = event
        changes = tuple(_changes(before.attributes, after.attributes, self._reads))
        self._happenings.append(Happening(event, changes, after.stage))
        if before.stage == "unknown":
            self._known = [(event.time, after.attributes)]  # as if they had held ever since: so does the fold count
        elif changes:
            self._known.append((event.time, after.attributes))
        for place, clock in enumerate(after.clocks):
            old = before.clocks[place] if place < len(before.clocks) else None
            if clock is not old:
                self._note(place, old, clock, event)
                self._date(self._lives[place], old, clock, before)

    def explanation(self, item: str, at: Instant) -> Explanation:
        """What was seen, as of an instant after the last event."""
        stories = [self._story(place, clock, at) for place, clock in enumerate(self._state.clocks)]
        winners = [cycle for cycle in self._state.unmeasured if not cycle.beside]
        unmeasured = [Unmeasured(cycle, self._decision(cycle)) for cycle in winners]
        return Explanation(item, at, self._state, self._happenings, stories, unmeasured)

    def _note(self, place: int, old: Clock | None, clock: Clock, event: Event) -> None:
        if old is None:
            self._lives.append(_Life([]))
        life = self._lives[place]
        begun_by = self._events.get((clock.source, clock.event_id), event)
        life.milestones += milestones(old, clock, event, begun_by=begun_by)
        hours = self._hours(self._rulebook.hours(clock.version, clock.calendar), event.time)
        life.stretches = _continued(life.stretches, clock, hours) or self._counted_anew(clock, event)
        if old is None or terms_differ(old, clock):
            life.decisions.append(self._decision(clock))

    def _date(self, life: _Life, old: Clock | None, clock: Clock, before: ItemState) -> None:
        if old is None or (clock.breached_at is None and clock.stopped_at is None):
            life.dated = self._state.attributes
        elif old.breached_at is None:  # it breached, or ended, under those that held up to the event
            life.dated = before.attributes

    def _counted_anew(self, clock: Clock, event: Event) -> list[Stretch]:
        kept = [*clock.past, present(clock)]
        if len(clock.past) < STRETCHES_KEPT:
            return kept
        # The fold has dropped the first ones, and never told them: it counted from the start in one step.
        policies = self._rulebook.version(clock.version)
        offered = policies.terms(event.kind, self._state.attributes, clock.started_at)
        terms = next(each for each in offered[clock.metric] if each.policy.name == clock.policy)
        cycle = Cycle(clock.metric, clock.started_at, clock.source, clock.event_id, clock.version, clock.gaps)
        state = self._state
        past = Past(event.kind, state.attributes, state.changes, event.time, self._rulebook.exclusions)
        stretches: list[Stretch] = []
        for step, hours in replay(cycle, terms, clock.number, past):
            stretches = _continued(stretches, step, hours) or [*step.past, present(step)]
        return [*stretches[: stretches.index(kept[0])], *kept]

    def _decision(self, cycle: Cycle | Clock) -> Decision:
        event = self._happenings[-1].event
        question = Question(event.kind, self._state.attributes, cycle.metric, cycle.started_at)
        return Decision(event, self._rulebook.version(cycle.version), question)

    def _hours(self, gross: BusinessHours, at: Instant) -> Hours:
        # Those that counted just before an instant.
        place = bisect_left(self._known, at, key=itemgetter(0)) - 1
        kind = self._happenings[-1].event.kind
        return self._rulebook.exclusions.net(gross, kind, self._known[max(place, 0)][1])

    def _dating(self, life: _Life, clock: Clock, gross: BusinessHours) -> list[Hours]:
        # Those in which it was last due; or, of one that was counted anew and found to be late, those of that time.
        kind = self._happenings[-1].event.kind
        last = self._rulebook.exclusions.net(gross, kind, life.dated)
        return [last] if clock.due_at is None else [last, self._hours(gross, clock.due_at)]

    def _story(self, place: int, before: Clock, at: Instant) -> ClockStory:
        life = self._lives[place]
        clock = clocks.run_out(before, at)
        policies = self._rulebook.version(clock.version)
        gross = policies.calendars[clock.calendar]
        hours = self._hours(gross, at)
        elapsed, paused = clocks.counted(clock, at, hours)
        end = at if clock.stopped_at is None else clock.stopped_at
        stretches = [*life.stretches[:-1], *clocks.split(clock, end, hours)]
        account = Account(gross, rules_of(policies).pauses[clock.policy, clock.metric], clock.gaps, self._known)
        return ClockStory(
            clock,
            elapsed,
            paused,
            counted(stretches, end, account),
            derive(clock, stretches, self._dating(life, clock, gross)),
            [*life.milestones, *milestones(before, clock, None, begun_by=None)],
            life.decisions,
        )


def _read(rulebook: Rulebook) -> frozenset[str] | None:
    """The attributes that decide anything about an item's clocks; None: any can."""
    versions = [policies for _, policies in rulebook.versions]
    read = [rulebook.exclusions.reads, *(rules_of(policies).reads for policies in versions)]
    triggers = [metric.reads for policies in versions for metric in policies.metrics.values()]
    return None if None in read else _ALWAYS_READ.union(*(names for names in read if names is not None), *triggers)


def _changes(
    before: Mapping[str, Any], after: Mapping[str, Any], reads: frozenset[str] | None
) -> Iterable[tuple[str, Any, Any]]:
    if before is after:
        return
    named = before.keys() | after.keys()
    for name in sorted(named if reads is None else reads & named):
        old, new = before.get(name), after.get(name)
        if old != new or old.__class__ is not new.__class__:
            yield name, old, new


def _continued(noted: list[Stretch], clock: Clock, hours: Hours) -> list[Stretch] | None:
    """The stretches of a clock after an event; None where they do not continue those before, as it was counted anew.

    *hours* are those that counted before the event: by them what was the present stretch may have been several.
    """
    kept = [*clock.past, present(clock)]
    for known in (noted, _ended(noted, clock.since, hours)):
        for place in range(len(kept), 0, -1):
            if known[-1:] == kept[place - 1 : place] and known[-place:] == kept[:place]:
                return [*known, *kept[place:]]
    return None


def _ended(noted: list[Stretch], end: Instant, hours: Hours) -> list[Stretch]:
    last = noted[-1] if noted else None
    if last is None or not last.ran or not isinstance(hours, NetHours):
        return noted
    return [*noted[:-1], *cut(last, end, hours)]
