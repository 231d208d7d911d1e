"""One item's events through the policies: which clocks there are, and when each breaches and stops."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from tests.oracle.clocks import Clock, Course, Meter, Reading, Timeline
from tests.oracle.cycles import METRICS, REPLIES, Happening, Life
from tests.oracle.events import Event, in_order, instant, kind_of
from tests.oracle.policies import Policies, Terms, used_up_by


@dataclass
class Slot:
    """A metric as one policy (the winner, or one of `combine: all`) measures it: its cycle and its clock, if open.

    `ended_over` is the clock that ended last because the item was over.
    """

    metric: str
    name: str
    course: Course | None = None
    clock: Clock | None = None
    ended_over: Clock | None = None


class Fold:
    """The clocks of one item."""

    def __init__(self, policies: Policies, kind: str) -> None:
        self._policies = policies
        self._life = Life(kind)
        self._timeline = Timeline()
        self._meter = Meter(policies, self._timeline)
        self._slots = [Slot(metric, name) for metric in METRICS for name in policies.slots()]
        self.clocks: list[Clock] = []

    def apply(self, event: Event) -> None:
        """In this order: what ran out strictly before; the patch; stops and starts; terms under the new attributes."""
        at = instant(event["time"])
        self.breach_before(at)
        happening = self._life.take(event)
        self._stop(happening, at)
        self._timeline.moments.append((at, dict(self._life.attributes)))
        for slot in self._slots:
            self._start_or_take_up(slot, happening, at)
        for slot in self._slots:
            if slot.course is not None:
                self._hold_to_terms(slot, slot.course, at)
            if slot.course is not None and slot.metric in happening.met_at_once:
                self._end(slot, at, "met")

    def breach_before(self, at: int) -> None:
        """A clock whose due time lies strictly before *at* breached at its due time; so with its warnings."""
        for clock in self._open_clocks():
            if clock.breached_at is None:
                self._warn_before(clock, at)
                clock.breached_at = self._meter.reaches(clock, clock.terms, clock.terms.target, at)
                clock.breach_due_at = clock.breached_at
                if clock.breached_at is not None:
                    clock.told.append(("breached", clock.breached_at, None))

    def _warn_before(self, clock: Clock, at: int) -> None:
        """Each warning of a clock is told once, when its share is used up."""
        for reached, warning in self._warnings(clock, at):
            if warning not in clock.course.warned:
                clock.told.append(("warning", reached, warning))
                clock.course.warned.add(warning)

    def _warnings(self, clock: Clock, at: int) -> list[tuple[int, str]]:
        """The warnings that are reached strictly before *at*, in order."""
        found = []
        for warning in clock.terms.warn_at:
            span = used_up_by(warning, clock.terms.target)
            reached = self._meter.reaches(clock, clock.terms, span, at)
            if reached is not None:
                found.append((reached, span, warning))
        return [(reached, warning) for reached, _, warning in sorted(found)]

    def _skip_warnings(self, clock: Clock, at: int) -> None:
        """Warnings that are already past when a clock starts or moves are skipped, except the latest."""
        past = [warning for _, warning in self._warnings(clock, at)]
        if past and past[-1] not in clock.course.warned:
            clock.told.append(("warning", at, past[-1]))
        clock.course.warned.update(past)

    def read(self, clock: Clock, until: int) -> Reading:
        """The clock as it was when it stopped, or as it is at *until*."""
        return clock.reading or self._meter.read(clock, clock.terms, until)

    def _open_clocks(self) -> Iterator[Clock]:
        return (slot.clock for slot in self._slots if slot.clock is not None)

    def _stop(self, happening: Happening, at: int) -> None:
        """End the cycles that the event stops; over ends no reply clock of a policy that requires the reply."""
        for slot in self._slots:
            if slot.course is None or slot.metric not in happening.stops:
                continue
            required = slot.clock is not None and slot.clock.terms.require_reply and slot.metric in REPLIES
            if happening.is_over and required:
                continue
            if happening.is_over:
                slot.ended_over = slot.clock
            self._end(slot, at, happening.stops[slot.metric])

    def _end(self, slot: Slot, at: int, ending: str) -> None:
        if slot.clock is not None:
            slot.clock.reading = self._meter.read(slot.clock, slot.clock.terms, at)
            slot.clock.stopped_at, slot.clock.ended = at, ending
            if slot.clock.breached_at is not None:
                slot.clock.told.append(("stopped" if ending == "met" else "cancelled", at, None))
        slot.course = slot.clock = None

    def _start_or_take_up(self, slot: Slot, happening: Happening, at: int) -> None:
        """A cycle that is open is not started again; one that ended because the item was over may be taken up."""
        if happening.is_reopened and slot.course is None and slot.metric in happening.takes_up:
            if slot.ended_over is not None:
                self._take_up(slot, slot.ended_over, at)
            else:
                slot.course = begun(happening.takes_up[slot.metric])
        if happening.is_reopened:
            slot.ended_over = None
        if slot.course is None:
            slot.course = begun(happening.starts.get(slot.metric))

    def _take_up(self, slot: Slot, clock: Clock, at: int) -> None:
        """`resume`: it goes on, and the time since it ended stood still; `restart`: a new one; `ignore`: nothing."""
        if clock.terms.on_reopen == "resume":
            assert clock.stopped_at is not None
            clock.course.stood_still.append((clock.stopped_at, at))
            clock.stopped_at = clock.ended = clock.reading = None
            slot.course, slot.clock = clock.course, clock
        if clock.terms.on_reopen == "restart":
            slot.course = Course(at)

    def _hold_to_terms(self, slot: Slot, course: Course, at: int) -> None:
        """Start, compute again, or cancel the clock of an open cycle, as the policies now say."""
        terms = self._policies.terms(slot.name, slot.metric, self._life.attributes, course.since)
        clock = slot.clock
        if clock is None:
            if terms is not None:
                self._start(slot, course, terms, at)
        elif clock.breached_at is not None:
            return
        elif terms is None:
            self._end(slot, at, "cancelled")
            slot.course = course
        elif terms.asked != clock.terms.asked:
            self._change(slot, clock, terms, at)

    def _start(self, slot: Slot, course: Course, terms: Terms, at: int) -> None:
        """A clock from the start of its cycle; what is used up by then breaches now."""
        number = 1 + sum(clock.metric == slot.metric for clock in self.clocks)
        slot.course, slot.clock = course, Clock(slot.metric, slot.name, number, course, terms)
        self.clocks.append(slot.clock)
        self._breach_by_change(slot.clock, at)

    def _change(self, slot: Slot, clock: Clock, terms: Terms, at: int) -> None:
        """Other terms: `recompute` as if they had held from the start, `keep` the old ones, `restart` a new clock.

        The policy that the clock had says which.
        """
        on_change = clock.terms.on_change
        if on_change == "recompute":
            clock.terms = terms
            self._breach_by_change(clock, at)
        if on_change == "restart":
            self._end(slot, at, "cancelled")
            self._start(slot, Course(at), terms, at)

    def _breach_by_change(self, clock: Clock, at: int) -> None:
        """Used up strictly before the change of terms: breached at the change, due when it was used up."""
        clock.breach_due_at = self._meter.reaches(clock, clock.terms, clock.terms.target, at)
        clock.breached_at = None if clock.breach_due_at is None else at
        if clock.breached_at is not None:
            clock.told.append(("breached", at, None))
        else:
            self._skip_warnings(clock, at)


def begun(since: int | None) -> Course | None:
    """A cycle that starts, if one does."""
    return None if since is None else Course(since)


def fold(policies: Policies, events: Iterable[Event], until: int) -> Fold:
    """The clocks of one item from all its events up to *until*, in whatever order they come."""
    ordered = [event for event in in_order(events) if instant(event["time"]) <= until]
    folded = Fold(policies, kind_of(ordered[0]))
    for event in ordered:
        folded.apply(event)
    folded.breach_before(until)
    return folded
