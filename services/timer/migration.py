"""A migration: one decision about many items, as an event of each, and what that event would change of its clocks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Literal
from uuid import UUID, uuid5

from services.timer import fold
from services.timer.announcement import identity
from services.timer.clock import Clock, run_out
from services.timer.item import ItemState
from services.timer.rulebook import Rulebook
from services.timer.rules import measured
from shared.events import Event, Instant, Kind, Recount

SOURCE: Final = "/plazo/migrate-policies"
Effect = Literal[
    "breaches",  # at the instant of the migration, because its due time is past by the new terms
    "breaches_otherwise",  # a breach is taken back, and another one stands in its place
    "taken_back",  # a breach does not stand any more
    "moves",  # what it promises, or when it is due
    "cancelled",  # no policy measures it any more
    "begins",  # a policy measures it now
    "goes",  # there is no such clock any more
    "same_terms",  # nothing but the version that it is pinned to
]


@dataclass(frozen=True, slots=True)
class Migration:
    """What a person decided about many items at once."""

    id: UUID
    at: Instant  # of all its events
    version: str | None  # to which open clocks move; None: every clock keeps its own, and is only counted again
    reason: str
    by: str


@dataclass(frozen=True, slots=True)
class Selection:
    """Which items a migration is about: those to which everything that is given applies."""

    tenant: str | None = None
    kind: Kind | None = None
    policy: str | None = None  # some open clock of the item is under it

    def takes(self, state: ItemState) -> bool:
        """Whether it is about an item with this state, whose tenant and kind are right."""
        return self.policy is None or any(
            clock.stopped_at is None and clock.policy == self.policy for clock in state.clocks
        )


@dataclass(frozen=True, slots=True)
class Change:
    """What becomes of one clock. Both are as of the migration's instant; None where there is no such clock."""

    effect: Effect
    before: Clock | None
    after: Clock | None


@dataclass(frozen=True, slots=True)
class Foreseen:
    """What a migration would do to one item."""

    item: str  # tenant/kind/id
    changes: tuple[Change, ...]
    follows: bool  # whether cycles that no policy measures would be under another version from then on

    @property
    def is_needed(self) -> bool:
        """Whether the item gets an event at all."""
        return bool(self.changes) or self.follows


def recounted(migration: Migration, item: str) -> Event:
    """The migration as an event of an item; the same one whenever it is asked for."""
    tenant, kind, name = item.split("/", 2)
    return Event(
        time=migration.at,
        id=str(uuid5(migration.id, item)),
        source=SOURCE,
        type=f"{kind}.recounted",
        tenant=tenant,
        kind=kind,  # type: ignore[arg-type]  # the key of an item was made of one
        subject=name,
        recount=Recount(migration.version, migration.reason, migration.by),
    )


def may_change(migration: Migration, item: str, state: ItemState, rulebook: Rulebook) -> bool:
    """Whether the item has to be folded again to know what would change; where not, nothing would."""
    if state.exclusions != rulebook.exclusions_revision:
        return True
    version = migration.version
    if version is None:
        return False
    if any(cycle.version != version for cycle in state.unmeasured):
        return True
    open_ones = [clock for clock in state.clocks if clock.stopped_at is None]
    if any(clock.breached_at is None and clock.version != version for clock in open_ones):
        return True
    if state.stage != "open":
        return False
    # A metric that was not always measured may have an open cycle of which the state does not know, and a policy that
    # combines may be new.
    kind = item.split("/", 2)[1]
    wanted = measured(rulebook.version(version), kind)
    return any(clock.version != version for clock in open_ones) or any(
        not wanted <= measured(policies, kind) for _, policies in rulebook.versions
    )


def foreseen(
    migration: Migration, item: str, state: ItemState, events: Iterable[Event], rulebook: Rulebook
) -> Foreseen:
    """What the migration would do to an item, of which *events* are all and *state* is what was made of them.

    Raises:
        KeyError: *rulebook* does not have a version that is needed.
    """
    after = fold.refold([*events, recounted(migration, item)], rulebook)
    changes = [
        Change(effect, old, new)
        for old, new in _pairs(state, after, migration.at)
        if (effect := _effect(old, new)) is not None
    ]
    return Foreseen(item, tuple(changes), state.unmeasured != after.unmeasured)


def _pairs(before: ItemState, after: ItemState, at: Instant) -> list[tuple[Clock | None, Clock | None]]:
    # Clocks that measured one cycle one after another share an identity, and are told apart by their order.
    old, new = _named(before, at), _named(after, at)
    return [(old.get(name), new.get(name)) for name in dict.fromkeys([*new, *old])]


def _named(state: ItemState, at: Instant) -> dict[tuple[str, int], Clock]:
    found: dict[tuple[str, int], Clock] = {}
    seen: Counter[str] = Counter()
    for clock in state.clocks:
        name = identity(clock)
        found[name, seen[name]] = run_out(clock, at)
        seen[name] += 1
    return found


def _effect(old: Clock | None, new: Clock | None) -> Effect | None:
    broke = old is not None and old.breached_at is not None
    breaks = new is not None and new.breached_at is not None
    if broke != breaks:
        return "breaches" if breaks else "taken_back"
    if old is None or new is None:
        return "goes" if new is None else "begins"
    if _shown(old) != _shown(new):
        if broke:
            return "breaches_otherwise"
        return "cancelled" if new.phase == "cancelled" != old.phase else "moves"
    return None if old.version == new.version else "same_terms"


def _shown(clock: Clock) -> tuple[object, ...]:
    """What a reader can see of the clock, and what is to come; of one that runs, its due time says how much is used."""
    if clock.breached_at is not None:
        return (clock.due_at, clock.breached_at, clock.target, clock.policy)
    passed = None if clock.phase == "running" else (clock.elapsed, clock.stopped_at)
    return (clock.phase, clock.due_at, clock.target, clock.policy, clock.severity, clock.pending, passed)
