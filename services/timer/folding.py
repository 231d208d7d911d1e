"""What events do to the items in memory: a step each where they come in order, else the whole fold again."""

from __future__ import annotations

from collections.abc import Callable, Collection

import structlog

from services.timer import fold, ledger
from services.timer.arrivals import Arrival
from services.timer.burial import bare_record
from services.timer.draft import Draft
from services.timer.heartbeat import rulebook_of
from services.timer.held import Held
from services.timer.histories import Items, known_events
from services.timer.holdings import Holding
from services.timer.refusals import Refusals
from services.timer.rulebook import Rulebook
from services.timer.scrubbing import bare, is_repeat, is_too_late, scrubbed
from shared.errors import BadRecord
from shared.events import DELETIONS, Event, Instant
from shared.metrics import Metrics

log = structlog.get_logger(__name__)


class Folding:
    """Applies events to items, in the write set that is open."""

    def __init__(  # noqa: PLR0913 # one argument for each thing that it connects
        self,
        *,
        draft: Callable[[], Draft],
        refusals: Refusals,
        rulebook: Callable[[], Rulebook],
        items: Items,
        metrics: Metrics,
        begins: Callable[[], Instant] = lambda: 0,
    ) -> None:
        self._begins = begins  # the instant from before which items may have been forgotten
        self._draft = draft
        self._refusals = refusals
        self._rulebook = rulebook
        self._items = items
        self._metrics = metrics
        self._releasing: set[Held] = set()  # quarantined, and told to be folded again before the write set closes

    def in_order(self, holding: Holding, key: str, arrivals: list[Arrival]) -> list[Arrival]:
        """Apply what arrived of one item, each event in a step; those that are not surely new and next are returned."""
        held = holding.items.get(key)
        if held is None:
            arrivals = self._bury_forgotten(holding, arrivals)
            self._bury_recounts(holding, key, arrivals)
            if not arrivals:
                return []
            held = Held(key)
            holding.item_count += 1
        holding.use(held)
        late, folded = [], []
        for new in arrivals:
            if held.quarantined and _releases(held, new):
                self._releasing.add(held)
            if new.mark in held.seen or not fold.follows(held.state, new.event) or self._must_be_refolded(held):
                late.append(new)
            elif self._step(holding, held, new):
                folded.append(new.event)
        if folded:
            self._draft().remember(holding, held, folded)
        return late

    def again(self, holding: Holding, arrival: Arrival, known: list[Event], now: Instant) -> None:
        """Fold an item with an event that came out of order, or again; *known*, the events that it has, gets it too."""
        event = arrival.event
        held = holding.items[event.item]
        if is_repeat(held.state, event, known):
            self._metrics.events_folded.labels(outcome="repeated").inc()
            return
        self._draft().hear(holding, [arrival], now)
        if is_too_late(held.state, event):
            error = BadRecord("too_late", "expected an event from after the deletion of its item", "time")
            self._refusals.bury(holding, bare_record(arrival.record, event), error)
            return
        if not self.knows(event):
            error = BadRecord("invalid", "expected a version that is registered", "data.policy_version")
            self._refusals.bury(holding, arrival.record, error)
            return
        known.append(event)
        # One that follows after all had another's fingerprint, or came behind a late one of the same batch. What comes
        # after a deletion changes nothing in any order, and what is kept of a deleted item cannot be folded.
        is_in_place = fold.follows(held.state, event) and not self._must_be_refolded(held)
        history = None if is_in_place or held.state.deleted is not None else known
        self._releasing.discard(held)
        if self._step(holding, held, arrival, history):
            self._draft().remember(holding, held, [event])
        self._metrics.events_folded.labels(outcome="late").inc()

    async def stale(self, holding: Holding, keys: Collection[str]) -> None:
        """Fold those of the items again that were folded under other exclusions: what is due may not be by these."""
        found = [held for key in keys if (held := holding.items.get(key)) is not None]
        stale = [held for held in found if self.is_stale(held) and not held.quarantined]
        if not stale:
            return
        known = await known_events(self._items, [(holding, held.key) for held in stale])
        for held in stale:
            self._draft().touch(holding, held)
            try:
                self._refold(held, known[holding.partition, held.key])
                if held.state.deleted is not None:
                    self._draft().delete(holding, held)
            except Exception:  # a bug of ours, in one item's history
                log.exception("folding failed, the item is quarantined", item=held.key)
                held.quarantined = True

    def is_stale(self, held: Held) -> bool:
        """Whether the item was folded under other exclusions than hold now; a deleted one cannot be folded again."""
        state = held.state
        if state.exclusions == self._rulebook_of(held).exclusions_revision:
            return False
        return state.order is not None and state.deleted is None

    def _must_be_refolded(self, held: Held) -> bool:
        # What comes behind a release waits for it, or it would be set aside once more.
        return held in self._releasing or self.is_stale(held)

    def knows(self, event: Event) -> bool:
        """Whether the version to which the event moves clocks, if it does, is known to this process."""
        version = None if event.recount is None else event.recount.policy_version
        return version is None or self._rulebook().knows(version)

    def _step(self, holding: Holding, held: Held, arrival: Arrival, history: list[Event] | None = None) -> bool:
        """One step, or with *history* the whole fold again; whether the event is to be remembered as it is.

        A failure sets the item aside; the others go on.
        """
        self._draft().touch(holding, held)
        was_deleted = held.state.deleted is not None
        if held.quarantined and not _releases(held, arrival):
            self._refusals.follows(arrival.record)
            self._set_aside(holding, held, arrival, "an earlier event of the item failed")
            return False
        try:
            if history is None:
                held.state = fold.apply(held.state, arrival.event, self._rulebook_of(held))
            else:
                self._refold(held, history)
        except Exception as exc:  # a bug of ours, in one item's history
            log.exception("folding failed, the item is quarantined", item=held.key, event_id=arrival.event.id)
            held.quarantined = True
            self._set_aside(holding, held, arrival, repr(exc))
            return False
        held.quarantined = False
        held.seen += arrival.mark
        if held.state.deleted is None:
            return True
        self._draft().remember(holding, held, [bare(arrival.event)])
        if not was_deleted:
            self._draft().delete(holding, held)
        return False

    def _set_aside(self, holding: Holding, held: Held, arrival: Arrival, why: str) -> None:
        """Bury an event that cannot be folded; a deletion takes the attributes away all the same."""
        event, record = arrival.event, arrival.record
        if event.type in DELETIONS and held.state.deleted is None:
            held.state = scrubbed(held.state, event)
            self._draft().delete(holding, held)
        if held.state.deleted is not None:
            record = bare_record(record, event)
        self._refusals.bury(holding, record, BadRecord("quarantined", why))

    def _bury_recounts(self, holding: Holding, key: str, arrivals: list[Arrival]) -> None:
        """Take out what comes before the first event of an item that does not exist yet, and can mean nothing."""
        while arrivals and arrivals[0].event.recount is not None:
            self._refusals.bury(
                holding, arrivals.pop(0).record, BadRecord("invalid", f"there is no item {key}", "subject")
            )

    def _bury_forgotten(self, holding: Holding, arrivals: list[Arrival]) -> list[Arrival]:
        """Refuse what happened so long ago that its item may have been forgotten since; what is left."""
        begins = self._begins()
        for old in [each for each in arrivals if each.event.time < begins]:
            error = BadRecord("too_late", "expected an event from within the retention: the item is not known", "time")
            self._refusals.bury(holding, bare_record(old.record, old.event), error)
        return [each for each in arrivals if each.event.time >= begins]

    def _rulebook_of(self, held: Held) -> Rulebook:
        return rulebook_of(held.key, self._rulebook())

    def _refold(self, held: Held, history: list[Event]) -> None:
        before, held.state = held.state, fold.refold(history, self._rulebook_of(held))
        held.retired = ledger.retired(held.key, before, held.state, held.retired)


def _releases(held: Held, arrival: Arrival) -> bool:
    # A recount of a quarantined item is a person's word that it can be folded now: all that was kept of it is folded
    # again, because its state may hold what the database refused. A deleted one has nothing left to fold.
    return arrival.event.recount is not None and held.state.deleted is None
