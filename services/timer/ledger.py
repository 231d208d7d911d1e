"""What has been published about an item, and what is owed: the difference between the ledger and the facts.

The fold says what happened; this module decides what is told. A repeat or another order of events changes no fact, so
it publishes nothing; late evidence that changes one publishes exactly one correction.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Final

import msgspec

from services.timer.announcement import (
    Broken,
    Firing,
    Numbers,
    Occasion,
    Output,
    announce,
    breach_id,
    broken,
    clock_id,
    identity,
    retract,
)
from services.timer.clock import Clock, run_out
from services.timer.facts import Fact, breach_of, facts
from services.timer.item import ItemState
from shared.events import Instant

__all__ = [
    "EMPTY", "Broken", "Firing", "Ledger", "Output", "Published", "breach_id", "clock_id", "contradicted", "next_due",
    "outputs", "retired", "told_clocks",
]  # fmt: skip


class Published(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What has been published about one clock."""

    retractions: int = 0
    breach: Broken | None = None
    warned: tuple[str, ...] = ()
    ends: tuple[Instant, ...] = ()  # of the present breach
    last: str = ""  # the last of them: `s` is stopped late, `c` cancelled; empty in what was stored before it was kept


class Ledger(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What has been published about one item."""

    sequence: int = 0  # of the last output; they are numbered from 1 without gaps
    evidence_through: Instant = 0  # the highest that was used: what it showed is not taken back for less
    clocks: dict[str, Published] = {}  # by the clock's identity


EMPTY: Final = Ledger()
_NOTHING: Final = Published()
_HOW: Final = {"sla.breach.stopped.v1": "s", "sla.breach.cancelled.v1": "c"}


def next_due(state: ItemState, ledger: Ledger) -> Instant | None:
    """The earliest instant of a fact, recorded or to come, that is not yet published; None if there is none.

    A breach or a warning can be published once the evidence reaches beyond its instant. Where the policy grants slow
    sources a grace, that much is added to the instant.
    """
    earliest: Instant | None = None
    untold = not ledger.clocks
    for clock in state.clocks:
        if untold and clock.breached_at is None and not clock.warned:
            # Nothing recorded and nothing told: the common case, which must cost next to nothing.
            if clock.phase != "running":
                continue
            at = clock.pending[0][0] if clock.pending else clock.due_at
            if at is not None:
                at += clock.grace
        else:
            at = _next_untold(clock, ledger)
        if at is not None and (earliest is None or at < earliest):
            earliest = at
    return earliest


def told_clocks(state: ItemState, ledger: Ledger) -> tuple[Clock, ...]:
    """The clocks as the world was told: with what has run out by the evidence that was published.

    The state alone is as of the item's last event.
    """
    if not ledger.clocks:
        return state.clocks
    return tuple([run_out(clock, ledger.evidence_through - clock.grace) for clock in state.clocks])


def retired(item_key: str, before: ItemState, after: ItemState, known: tuple[str, ...]) -> tuple[str, ...]:
    """The ids of the clocks that folding an item again has removed, now or earlier, and that are not there again."""
    there = {clock_id(item_key, clock) for clock in after.clocks}
    names = dict.fromkeys([*known, *(clock_id(item_key, clock) for clock in before.clocks)])
    return tuple(name for name in names if name not in there)


def contradicted(state: ItemState, ledger: Ledger) -> bool:
    """Whether a published breach does not hold by the evidence that published it, so that a correction is owed now."""
    return bool(ledger.clocks) and bool(_fallen(state, ledger, ledger.evidence_through))


def outputs(item_key: str, state: ItemState, ledger: Ledger, firing: Firing) -> tuple[Ledger, list[Output]]:
    """(the ledger afterwards, what to publish now): corrections first, then the facts in the order of their instants.

    The evidence that counts is the higher of the firing's and the ledger's. The ledger is the same object when there
    is nothing to publish.
    """
    evidence = max(firing.evidence_through, ledger.evidence_through)
    if evidence != firing.evidence_through:
        firing = replace(firing, evidence_through=evidence)
    occasion = Occasion(item_key, state, firing)
    told = dict(ledger.clocks)
    found: list[Output] = []
    for name, breach in _fallen(state, ledger, evidence).items():
        entry = told[name]
        numbers = Numbers(ledger.sequence + len(found) + 1, entry.retractions)
        found.append(retract(occasion, name, breach, numbers, replaced=_breaks_again(state, name, evidence)))
        told[name] = Published(entry.retractions + 1, None, entry.warned)
    for clock, fact in _owed(state, told, evidence):
        entry = told.get(name := identity(clock), _NOTHING)
        numbers = Numbers(ledger.sequence + len(found) + 1, entry.retractions)
        found.append(announce(occasion, clock, fact, numbers))
        told[name] = _entered(entry, clock, fact)
    if not found:
        return ledger, []
    return Ledger(ledger.sequence + len(found), evidence, told), found


def _fallen(state: ItemState, ledger: Ledger, evidence: Instant) -> dict[str, Broken]:
    # The published breaches that no clock of their identity has any more.
    fallen = {name: entry.breach for name, entry in ledger.clocks.items() if entry.breach is not None}
    if fallen:
        for clock in state.clocks:
            name = identity(clock)
            if name in fallen and _breaks(clock, evidence) and _is_same(breach_of(clock), fallen[name]):
                del fallen[name]
    return fallen


def _owed(state: ItemState, told: dict[str, Published], evidence: Instant) -> list[tuple[Clock, Fact]]:
    owed = []
    for clock in state.clocks:
        certain = [fact for fact in facts(clock) if fact.is_certain(evidence - clock.grace)]
        owed += [(clock, fact) for fact in _untold(certain, told.get(identity(clock), _NOTHING))]
    return sorted(owed, key=lambda each: each[1].at)


def _next_untold(clock: Clock, ledger: Ledger) -> Instant | None:
    untold = [fact.at for fact in _untold(facts(clock), ledger.clocks.get(identity(clock), _NOTHING))]
    return min(untold) + clock.grace if untold else None


def _untold(all_facts: Iterable[Fact], entry: Published) -> list[Fact]:
    untold, ends = [], []
    for fact in all_facts:
        if fact.type in _HOW:
            ends.append(fact)
        elif not _is_told(fact, entry):
            untold.append(fact)
    return [*untold, *_untold_ends(ends, entry)]


def _is_told(fact: Fact, entry: Published) -> bool:
    if fact.warning is not None:
        return fact.warning in entry.warned
    return _is_same(fact, entry.breach)


def _untold_ends(ends: list[Fact], entry: Published) -> list[Fact]:
    # A breach ends again when its item was reopened, and readers take the end that was told last for the end. So what
    # is told last must be the last that happened: an earlier one that is known late is not told after it.
    if not entry.ends:
        return ends
    for place, end in enumerate(ends, start=1):
        if end.at == entry.ends[-1] and entry.last in (_HOW[end.type], ""):
            return ends[place:]
    return ends


def _is_same(breach: Fact | None, told: Broken | None) -> bool:
    if breach is None or told is None or breach.at != told.breached_at:
        return False
    terms = breach.terms
    return (terms.due_at, terms.target, terms.policy) == (told.due_at, told.target, told.policy)


def _breaks(clock: Clock, evidence: Instant) -> bool:
    breach = breach_of(clock)
    return breach is not None and breach.is_certain(evidence - clock.grace)


def _breaks_again(state: ItemState, name: str, evidence: Instant) -> bool:
    return any(_breaks(clock, evidence) for clock in state.clocks if identity(clock) == name)


def _entered(entry: Published, clock: Clock, fact: Fact) -> Published:
    if fact.warning is not None:
        return Published(entry.retractions, entry.breach, (*entry.warned, fact.warning), entry.ends, entry.last)
    if fact.type == "sla.clock.breached.v1":
        return Published(entry.retractions, broken(clock, fact), entry.warned, entry.ends, entry.last)
    return Published(entry.retractions, entry.breach, entry.warned, (*entry.ends, fact.at), _HOW[fact.type])
