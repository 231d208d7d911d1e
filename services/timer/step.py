"""One event and one item: the working copy on which the event takes effect, and its cycles."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from msgspec.structs import replace

from services.timer.act import Act, Beginning, ToClock
from services.timer.clock import Clock, Cycle, begin, pause, run_out, stop
from services.timer.conditions import Conditions, matches
from services.timer.effects import Effects
from services.timer.item import Change, ItemState, changed_by
from services.timer.metric import Ending, Metric
from services.timer.net_hours import Hours
from services.timer.occurrences import patch_of
from services.timer.policy import Policy
from services.timer.policy_set import Terms
from services.timer.recount import Past, measure
from services.timer.rulebook import Rulebook
from services.timer.rules import Rules, cycle_of, offered, rules_of, winner
from shared.events import Event

_NOTHING: Final[frozenset[str]] = frozenset()


class Step:
    """An item while one event takes effect."""

    __slots__ = (
        "_asked", "_exclusions", "_known", "_matches", "_offered", "_offers", "_rulebook", "_season", "acts",
        "answered", "at", "attributes", "before", "beginnings", "begun", "changes", "clocks", "event", "forced",
        "has_versions", "is_singular", "older", "rules_now", "stage", "suspended", "touched", "unmeasured", "waiting",
    )  # fmt: skip

    def __init__(self, state: ItemState, event: Event, rulebook: Rulebook) -> None:
        self.event = event
        self.at = event.time
        self.attributes = self.before = state.attributes
        self.clocks = list(state.clocks)
        self.older = len(self.clocks)  # how many of them were there before the event
        self.stage = state.stage
        self.answered = state.answered
        self.waiting = state.waiting
        self.begun = state.begun
        self.unmeasured = state.unmeasured
        self.suspended = state.suspended
        self.changes = state.changes
        self.touched = _NOTHING  # the attributes that the event changed
        self.forced = False  # whether terms are asked for although no attribute changed
        # What was done to clocks, for whoever does the same again; singular is what depends on more than the situation.
        self.acts: list[Act] = []
        self.beginnings: list[Beginning] = []
        self.is_singular = False
        self._rulebook = rulebook
        self._exclusions = rulebook.exclusions if rulebook.exclusions_revision else None  # to ask none costs 0.1 µs
        # Whether clocks can be pinned to other rules than those for what the event starts. Most files never change, and
        # most events end nothing: to go through the clocks nevertheless costs 1 µs an event.
        self.has_versions = len(rulebook.versions) > 1
        self.rules_now = rules_of(rulebook.at(event.time))  # the rules for what the event starts
        # What was asked for last is nearly always what is asked for next, and asking anew costs 1 µs each time.
        self._known = self.rules_now
        self._offers: Mapping[str, tuple[Terms, ...]] = {}
        self._offered: Rules | None = None
        self._season = 0
        self._asked: Conditions | None = None
        self._matches = False

    def result(self) -> ItemState:
        """The item after the event."""
        return ItemState(
            self.attributes,
            tuple(self.clocks),
            self.event.order,
            self.stage,
            self.answered,
            None,
            self.unmeasured,
            self.suspended,
            self.changes,
            self._rulebook.exclusions_revision,
            waiting=self.waiting,
            begun=self.begun,
        )

    def run_out(self) -> None:
        """Let warn and breach what ran out strictly before the event's time."""
        at = self.at
        for place, clock in enumerate(self.clocks):
            if clock.stopped_at is None:
                self.clocks[place] = run_out(clock, at)

    def patch(self) -> None:
        """Patch the attributes, and record how to undo it."""
        self.attributes, undo = changed_by(self.attributes, self._patch())
        if not undo:
            return
        self.touched = frozenset(undo)
        if self.stage != "unknown":
            change: Change = (self.at, undo)
            self.changes = (*self.changes, change)

    def _patch(self) -> dict[str, Any]:
        event = self.event
        patch = event.attributes if event.kind != "call" else patch_of(event)
        return {**dict.fromkeys(self.attributes), **patch} if event.snapshot and event.snapshot.complete else patch

    @property
    def past(self) -> Past:
        """What is recorded of the item up to now."""
        return Past(self.event.kind, self.attributes, self.changes, self.at, self._rulebook.exclusions)

    # The rules that count

    def rules(self, version: str) -> Rules:
        """The rules that a clock of this version is pinned to."""
        known = self._known
        if known.version != version:
            known = self._known = rules_of(self._rulebook.version(version))
        return known

    def policy(self, clock: Clock) -> Policy:
        """The policy of a clock."""
        return self.rules(clock.version).named[clock.policy]

    def hours(self, clock: Clock) -> Hours:
        """The hours that count for a clock from now on: its calendar's, without what is excluded."""
        gross = self.rules(clock.version).policies.calendars[clock.calendar]
        return gross if self._exclusions is None else self._exclusions.net(gross, self.event.kind, self.attributes)

    def hours_before(self, clock: Clock) -> Hours:
        """The hours that counted for a clock up to now, when the event had not changed the item yet."""
        gross = self.rules(clock.version).policies.calendars[clock.calendar]
        return gross if self._exclusions is None else self._exclusions.net(gross, self.event.kind, self.before)

    @property
    def is_excluded_anew(self) -> bool:
        """Whether other exclusions cover the item than before the event."""
        exclusions = self._exclusions
        if exclusions is None or not exclusions.concern(self.touched):
            return False
        kind = self.event.kind
        return exclusions.closures(kind, self.before) != exclusions.closures(kind, self.attributes)

    def options(self, rules: Rules, cycle: Cycle | Clock) -> tuple[Terms, ...]:
        """The terms that hold for a cycle under the patched attributes: the winner's, then those beside it."""
        season = rules.policies.season(cycle.started_at) if rules.policies.turns else 0
        if self._offered is not rules or self._season != season:
            self._offers = rules.policies.terms(self.event.kind, self.attributes, cycle.started_at)
            self._offered, self._season = rules, season
        return self._offers.get(cycle.metric, ())

    def stands_still(self, conditions: Conditions) -> bool:
        """Whether a clock that pauses under *conditions* stands still under the patched attributes."""
        if conditions is not self._asked:
            self._asked, self._matches = conditions, bool(conditions) and matches(conditions, self.attributes)
        return self._matches

    # Cycles

    def start(self, metric: Metric, rules: Rules) -> None:
        """Begin a cycle by the event, unless one is open, or it may not start now; while the item is over it waits."""
        name = metric.name
        if (metric.after_answer and not self.answered) or (name in rules.once and name in self.begun):
            return
        if self.stage == "open":
            self.begin(name, rules)
        elif self.stage == "over" and metric.holds_start and all(each.metric != name for each in self.waiting):
            self.waiting = (*self.waiting, self.new_cycle(name, rules))

    def begin(self, metric: str, rules: Rules) -> None:
        """Begin a cycle by the event, for all who have none open and did not leave it as it was."""
        if not self.is_open(metric) and not self._is_left(metric):
            self.open(self.new_cycle(metric, rules), rules)
        if metric in rules.combined and not self.is_open_beside(metric):
            self.open_beside(self.new_cycle(metric, rules), rules)

    def renew(self, clock: Clock) -> None:
        """Begin a cycle by the event, for the one alone whose clock has ended."""
        rules = self.rules_now
        cycle = replace(cycle_of(clock), started_at=self.at, source=self.event.source, event_id=self.event.id)
        cycle = replace(cycle, version=rules.version, gaps=())
        terms = offered(cycle, self.options(rules, cycle))
        if terms is None:
            self.unmeasured = (*self.unmeasured, cycle)
        else:
            self.add_clock(cycle, terms)

    def new_cycle(self, metric: str, rules: Rules) -> Cycle:
        """A cycle that starts by the event."""
        return Cycle(metric, self.at, self.event.source, self.event.id, rules.version)

    def open(self, cycle: Cycle, rules: Rules) -> None:
        """Give a cycle the winner's clock, if there is a winner."""
        if cycle.metric in rules.once and cycle.metric not in self.begun:
            self.begun = (*self.begun, cycle.metric)
        terms = winner(self.options(rules, cycle))
        if terms is None:
            self.unmeasured = (*self.unmeasured, cycle)
        else:
            self.add_clock(cycle, terms)

    def open_beside(self, cycle: Cycle, rules: Rules) -> None:
        """Give a cycle to all policies that apply beside the winner and have none open."""
        cycle = replace(cycle, beside=True)
        self.unmeasured = (*self.unmeasured, cycle)
        self.measure_beside(cycle, rules)

    def measure_beside(self, cycle: Cycle, rules: Rules) -> None:
        """Give a cycle the clocks of the policies that match beside the winner, but for those with one of their own."""
        for terms in self.options(rules, cycle):
            if terms.policy.combine_all and self._is_free(cycle.metric, terms.policy.name):
                self.add_clock(cycle, terms)

    def add_clock(self, cycle: Cycle, terms: Terms) -> None:
        """One more clock, which counts from the start of its cycle."""
        number = 1 + sum([clock.metric == cycle.metric for clock in self.clocks])
        if cycle.started_at == self.at:
            hours: Hours = terms.hours
            if self._exclusions is not None:
                hours = self._exclusions.net(terms.hours, self.event.kind, self.attributes)
            clock, still = begin(cycle, terms, number, hours), self.stands_still(terms.pause_when)
            self.clocks.append(pause(clock, self.at, hours) if still else clock)
            self.beginnings.append(Beginning(cycle.metric, cycle.version, terms, hours, still))
            self.is_singular = self.is_singular or not self.is_own(cycle)
        else:
            self.clocks.append(measure(cycle, terms, number, self.past))
            self.is_singular = True

    def is_own(self, cycle: Cycle) -> bool:
        """Whether the event began the cycle."""
        event = self.event
        return (cycle.started_at, cycle.source, cycle.event_id, cycle.gaps) == (self.at, event.source, event.id, ())

    def change(self, place: int, change: ToClock, *arguments: Any) -> None:
        """Change the clock at *place* by one of the functions of `clock`, as of now."""
        self.acts.append(Act(place, change, arguments))
        self.clocks[place] = change(self.clocks[place], self.at, *arguments)

    def put(self, place: int, clock: Clock) -> None:
        """Put a clock at *place* that was counted anew."""
        self.clocks[place] = clock
        self.is_singular = True

    def is_open(self, metric: str) -> bool:
        """Whether a cycle of the metric is open, measured or not; not of one beside the winner's."""
        for clock in self.clocks:
            if clock.metric == metric and clock.stopped_at is None and not clock.beside:
                return True
        return bool(self.unmeasured) and any(cycle.metric == metric and not cycle.beside for cycle in self.unmeasured)

    def is_open_beside(self, metric: str) -> bool:
        """Whether a cycle of the metric is open for the policies that apply beside the winner."""
        return any(cycle.metric == metric and cycle.beside and not cycle.policy for cycle in self.unmeasured)

    def forget_left(self, metric: str) -> None:
        """Let a metric start also for those whose clock reopening has left as it was."""
        if self.suspended and self.stage == "open":
            self.suspended = tuple(place for place in self.suspended if self.clocks[place].metric != metric)

    def _is_left(self, metric: str, policy: str = "") -> bool:
        """Whether reopening has left the clock of the winner, or of a policy beside it, as it was."""
        left = [self.clocks[place] for place in self.suspended]
        return any(clock.metric == metric and (clock.policy if clock.beside else "") == policy for clock in left)

    def _is_free(self, metric: str, policy: str) -> bool:
        """Whether a policy beside the winner has no clock of the metric, no cycle of its own, and left none."""
        if any(cycle.metric == metric and cycle.policy == policy for cycle in self.unmeasured):
            return False
        running = [clock for clock in self.clocks if clock.stopped_at is None and clock.beside]
        taken = any(clock.metric == metric and clock.policy == policy for clock in running)
        return not taken and not self._is_left(metric, policy)

    def end(self, place: int, clock: Clock, ending: Ending) -> None:
        """End the clock at *place*."""
        self.change(place, stop, self.hours_before(clock), ending)

    def end_cycles(self, effects: Callable[[Rules], Effects]) -> None:
        """End the cycles that something ends, each by the metrics of the version that it is pinned to."""
        version, ends = self.rules_now.version, effects(self.rules_now).ends
        for place, clock in enumerate(self.clocks):
            if clock.stopped_at is None:
                if clock.version != version:
                    version, ends = clock.version, effects(self.rules(clock.version)).ends
                ending = ends.get(clock.metric)
                if ending is not None:
                    self.end(place, clock, ending)
        if self.unmeasured:
            self.unmeasured = self._not_ended(self.unmeasured, effects)
        if self.waiting:
            self.waiting = self._not_ended(self.waiting, effects)

    def _not_ended(self, cycles: tuple[Cycle, ...], effects: Callable[[Rules], Effects]) -> tuple[Cycle, ...]:
        return tuple(cycle for cycle in cycles if cycle.metric not in effects(self.rules(cycle.version)).ends)
