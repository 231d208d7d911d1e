"""One event and one item: the working copy on which the event takes effect, and its cycles."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from services.timer.business_hours import BusinessHours
from services.timer.clock import Clock, Cycle, begin, pause, run_out, stop
from services.timer.conditions import Conditions, matches
from services.timer.cycles import ABANDONED_BY, BY_NAME, STOPPED_BY, Ending, Occurrence
from services.timer.item import Change, ItemState
from services.timer.policy import Policy
from services.timer.policy_set import Terms
from services.timer.recount import Past, measure
from services.timer.rulebook import Rulebook
from services.timer.rules import Rules, rules_of, winner
from shared.events import Event, Instant

_NOTHING: Final[frozenset[str]] = frozenset()


class Step:
    """An item while one event takes effect."""

    __slots__ = (
        "_asked", "_known", "_matches", "_offered", "_offers", "_rulebook", "_season", "_started", "answered", "at",
        "attributes", "changes", "clocks", "event", "forced", "held", "older", "stage", "suspended", "touched",
        "unmeasured",
    )  # fmt: skip

    def __init__(self, state: ItemState, event: Event, rulebook: Rulebook) -> None:
        self.event = event
        self.at = event.time
        self.attributes = state.attributes
        self.clocks = list(state.clocks)
        self.older = len(self.clocks)  # how many of them were there before the event
        self.stage = state.stage
        self.answered = state.answered
        self.held = state.held
        self.unmeasured = state.unmeasured
        self.suspended = state.suspended
        self.changes = state.changes
        self.touched = _NOTHING  # the attributes that the event changed
        self.forced = False  # whether terms are asked for although no attribute changed
        self._rulebook = rulebook
        # What was asked for last is nearly always what is asked for next, and asking anew costs 1 µs each time.
        self._known: Rules | None = None
        self._started: Rules | None = None
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
            self.held,
            self.unmeasured,
            self.suspended,
            self.changes,
            self._rulebook.exclusions_revision,
        )

    def run_out(self) -> None:
        """Let warn and breach what ran out strictly before the event's time."""
        at = self.at
        for place, clock in enumerate(self.clocks):
            if clock.stopped_at is None and clock.breached_at is None:
                due = clock.due_at
                if (due is not None and due < at) or clock.pending:
                    self.clocks[place] = run_out(clock, at)

    def patch(self) -> None:
        """Patch the attributes, and record how to undo it."""
        old, patch = self.attributes, self._patch()
        undo: dict[str, Any] = {}
        for name, value in patch.items():
            before = old.get(name)
            # 1 and True are equal, and are not the same attribute.
            if before != value or before.__class__ is not value.__class__:
                undo[name] = before
        if not undo:
            return
        self.touched = frozenset(undo)
        new = {**old, **patch}
        if None in patch.values():
            new = {name: value for name, value in new.items() if value is not None}
        self.attributes = new
        if self.stage != "unknown":
            change: Change = (self.at, undo)
            self.changes = (*self.changes, change)

    def _patch(self) -> dict[str, Any]:
        told = self.event.snapshot
        if told is None or not told.complete:
            return self.event.attributes
        return {**dict.fromkeys(self.attributes), **self.event.attributes}

    @property
    def is_assigned(self) -> bool:
        """Whether somebody has the item."""
        return self.attributes.get("assignee") not in (None, "")

    @property
    def past(self) -> Past:
        """What is recorded of the item up to now."""
        return Past(self.attributes, self.changes, self.at)

    # The rules that count

    def rules(self, version: str) -> Rules:
        """The rules that a clock of this version is pinned to."""
        known = self._known
        if known is None or known.version != version:
            known = self._known = rules_of(self._rulebook.version(version))
        return known

    @property
    def rules_now(self) -> Rules:
        """The rules for what the event starts."""
        if self._started is None:
            self._started = self.rules_at(self.at)
        return self._started

    def rules_at(self, at: Instant) -> Rules:
        """The rules for what started at an instant."""
        policies = self._rulebook.at(at)
        known = self._known
        if known is None or known.policies is not policies:
            known = self._known = rules_of(policies)
        return known

    def policy(self, clock: Clock) -> Policy:
        """The policy of a clock."""
        return self.rules(clock.version).named[clock.policy]

    def hours(self, clock: Clock) -> BusinessHours:
        """The calendar of a clock."""
        return self.rules(clock.version).policies.calendars[clock.calendar]

    def options(self, rules: Rules, cycle: Cycle | Clock) -> tuple[Terms, ...]:
        """The terms that hold for a cycle under the patched attributes: the winner's, then those beside it."""
        season = rules.policies.season(cycle.started_at)
        if self._offered is not rules or self._season != season:
            self._offers = rules.policies.terms(self.event.kind, self.attributes, cycle.started_at)
            self._offered, self._season = rules, season
        return self._offers.get(cycle.metric, ())

    def stands_still(self, metric: str, policy: Policy) -> bool:
        """Whether a clock of this metric stands still under this policy and the patched attributes."""
        conditions = policy.pause_of(metric)
        if conditions is not self._asked:
            self._asked, self._matches = conditions, bool(conditions) and matches(conditions, self.attributes)
        return self._matches and BY_NAME[metric].pauses

    # Cycles

    def start(self, occurrence: Occurrence) -> None:
        """Begin the cycles that an occurrence starts, of those that any policy measures and that are not open."""
        if self.stage == "open":
            rules = self.rules_now
            for metric in rules.starting.get((self.event.kind, occurrence), ()):
                self.begin(metric.name, rules)

    def begin(self, metric: str, rules: Rules) -> None:
        """Begin a cycle by the event, unless one is open."""
        if not self.is_open(metric):
            self.open(self.new_cycle(metric, rules), rules)

    def new_cycle(self, metric: str, rules: Rules) -> Cycle:
        """A cycle that starts by the event."""
        return Cycle(metric, self.at, self.event.source, self.event.id, rules.version)

    def open(self, cycle: Cycle, rules: Rules) -> None:
        """Give a cycle its clocks: the winner's, if there is one, and those beside it."""
        options = self.options(rules, cycle)
        if winner(options) is None:
            self.unmeasured = (*self.unmeasured, cycle)
        for terms in options:
            self.add_clock(cycle, terms)

    def add_clock(self, cycle: Cycle, terms: Terms) -> None:
        """One more clock, which counts from the start of its cycle."""
        number = 1 + sum([clock.metric == cycle.metric for clock in self.clocks])
        if cycle.started_at == self.at:
            clock = begin(cycle, terms, number)
            if self.stands_still(cycle.metric, terms.policy):
                clock = pause(clock, self.at, terms.hours)
        else:
            clock = measure(cycle, terms, number, self.past)
        self.clocks.append(clock)

    def is_open(self, metric: str) -> bool:
        """Whether a cycle of the metric is open, measured or not."""
        for clock in self.clocks:
            if clock.metric == metric and clock.stopped_at is None:
                return True
        return bool(self.unmeasured) and any(cycle.metric == metric for cycle in self.unmeasured)

    def stop(self, occurrence: Occurrence) -> None:
        """End the cycles that an occurrence stops."""
        stopped = STOPPED_BY.get(occurrence, _NOTHING)
        abandoned = ABANDONED_BY.get(occurrence, _NOTHING)
        for place, clock in enumerate(self.clocks):
            if clock.stopped_at is None:
                if clock.metric in stopped:
                    self.end(place, clock, "met")
                elif clock.metric in abandoned:
                    self.end(place, clock, "abandoned")
        if self.unmeasured:
            ended = stopped | abandoned
            self.unmeasured = tuple(cycle for cycle in self.unmeasured if cycle.metric not in ended)

    def end(self, place: int, clock: Clock, ending: Ending) -> None:
        """End the clock at *place*."""
        self.clocks[place] = stop(clock, self.at, self.hours(clock), ending)
