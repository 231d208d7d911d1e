"""The fold and the ledger under a virtual clock: what would have happened, and what would have been published."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from heapq import heappop, heappush
from itertools import groupby
from typing import NamedTuple

from services.timer import fold, ledger
from services.timer.clock import Clock, State, counted, run_out
from services.timer.item import ItemState
from services.timer.ledger import Firing, Ledger, Output
from services.timer.rulebook import Rulebook
from shared.events import Event, Instant, Span


class Row(NamedTuple):
    """One clock as of the end of a backtest."""

    item: str
    metric: str
    cycle: int
    policy: str
    state: State
    started_at: Instant
    due_at: Instant | None
    stopped_at: Instant | None
    breached_at: Instant | None
    target: Span
    elapsed: Span  # of an open clock as of the end
    paused: Span


class Arrival(NamedTuple):
    """An event, and when it became known."""

    at: Instant
    event: Event


def run(events: Iterable[Event], rulebook: Rulebook, until: Instant) -> list[Row]:
    """One row per clock, sorted by item, metric and cycle.

    Events may come in any order and with repeats. What happened after *until* does not count; a deadline at *until*
    itself has not passed.
    """
    items: dict[str, list[Event]] = defaultdict(list)
    for event in events:
        if event.time <= until:
            items[event.item].append(event)
    rows = []
    for item in sorted(items):
        state = fold.refold(items[item], rulebook)
        rows += sorted(rows_of(item, state, rulebook, until), key=lambda row: (row.metric, row.cycle))
    return rows


def rows_of(item: str, state: ItemState, rulebook: Rulebook, until: Instant) -> Iterator[Row]:
    """The item's clocks as of *until*, which is not before its last event."""
    exclusions, kind = rulebook.exclusions, item.split("/")[1]
    for each in state.clocks:
        clock = run_out(each, until)
        gross = rulebook.hours(clock.version, clock.calendar)
        hours = exclusions.net(gross, kind, state.attributes) if exclusions else gross
        elapsed, paused = counted(clock, until, hours)
        yield _row(item, clock, elapsed, paused)


def published(events: Iterable[Event], rulebook: Rulebook, until: Instant) -> list[Output]:
    """What the timer would have published by *until*, in order, if each event of the list became known in turn.

    Each event arrives at its own time, or together with the one before it if that is later.
    """
    return published_of(_in_turn(events), rulebook, until)


def published_of(arrivals: Iterable[Arrival], rulebook: Rulebook, until: Instant) -> list[Output]:
    """As `published`, of events that became known at given instants, the earliest first.

    What arrived in the same instant is one batch; deadlines fire in between, as soon as they have passed.
    """
    timer = _VirtualTimer(rulebook)
    for at, batch in groupby(arrivals, key=lambda arrival: arrival.at):
        if at > until:
            break
        timer.fire_before(at)
        timer.take(at, [arrival.event for arrival in batch])
    timer.fire_before(until)
    return timer.outputs


class _VirtualTimer:
    """The timer's round of batches and firings, in memory, at the instants that it is told."""

    def __init__(self, rulebook: Rulebook) -> None:
        self.outputs: list[Output] = []
        self._rulebook = rulebook
        self._events: dict[str, dict[tuple[str, str], Event]] = {}
        self._states: dict[str, ItemState] = {}
        self._ledgers: dict[str, Ledger] = {}
        self._deadlines: list[tuple[Instant, str]] = []
        self._known_at: Instant | None = None  # when the last batch arrived

    def take(self, at: Instant, events: list[Event]) -> None:
        """Fold a batch that arrives at *at*, and correct what it contradicts."""
        self._known_at = at
        touched = dict.fromkeys(event.item for event in events)
        for event in events:
            self._fold(event)
        for item in touched:
            told = self._ledgers.get(item, ledger.EMPTY)
            if ledger.contradicted(self._states[item], told):
                self._publish(item, told.evidence_through, at)
            self._plan(item)

    def fire_before(self, now: Instant) -> None:
        """Publish what is due strictly before *now*, each thing as soon as it is certain.

        What was past already when its event arrived is certain by then.
        """
        while self._deadlines and self._deadlines[0][0] < now:
            due, item = heappop(self._deadlines)
            if ledger.next_due(self._states[item], self._ledgers.get(item, ledger.EMPTY)) == due:
                certain = due + 1 if self._known_at is None else max(due + 1, self._known_at)
                self._publish(item, certain, certain)
                self._plan(item)

    def _fold(self, event: Event) -> None:
        item = event.item
        state = self._states.get(item, fold.EMPTY)
        known = self._events.setdefault(item, {})
        same = known.get((event.source, event.id))
        if same is not None and same.order <= event.order:
            return
        if state.deleted is not None:  # what belongs before the deletion comes too late, the rest changes nothing
            return
        known[event.source, event.id] = event
        if same is None and fold.follows(state, event):
            self._states[item] = fold.apply(state, event, self._rulebook)
        else:
            self._states[item] = fold.refold(known.values(), self._rulebook)

    def _publish(self, item: str, evidence: Instant, detected_at: Instant) -> None:
        told = self._ledgers.get(item, ledger.EMPTY)
        firing = Firing(evidence, detected_at, calendar_data=self._rulebook.calendar_data)
        self._ledgers[item], found = ledger.outputs(item, self._states[item], told, firing)
        self.outputs += found

    def _plan(self, item: str) -> None:
        due = ledger.next_due(self._states[item], self._ledgers.get(item, ledger.EMPTY))
        if due is not None:
            heappush(self._deadlines, (due, item))


def _in_turn(events: Iterable[Event]) -> Iterator[Arrival]:
    now: Instant | None = None
    for event in events:
        now = event.time if now is None else max(now, event.time)
        yield Arrival(now, event)


def _row(item: str, clock: Clock, elapsed: Span, paused: Span) -> Row:
    return Row(
        item,
        clock.metric,
        clock.cycle,
        clock.policy,
        clock.state,
        clock.started_at,
        clock.due_at,
        clock.stopped_at,
        clock.breached_at,
        clock.target,
        elapsed,
        paused,
    )
