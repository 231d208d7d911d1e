"""What the timer does in a turn: fold a batch of records, fire what is due, close the write set."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Sequence
from typing import NamedTuple, Protocol

import structlog

from services.timer import fold, ledger
from services.timer.burial import bare_record
from services.timer.draft import Draft
from services.timer.evidence import Evidence
from services.timer.histories import Items, held_of, known_events
from services.timer.holdings import Deadline, Held, Holding, Holdings, fingerprint
from services.timer.ledger import Firing
from services.timer.refusals import Refusals
from services.timer.rulebook import Rulebook
from services.timer.scrubbing import bare, is_repeat, is_too_late, scrubbed
from services.timer.telling import Teller
from services.timer.write_set import WriteSet
from shared.dlq_limit import USUAL, DlqLimit
from shared.errors import BadRecord
from shared.events import DELETIONS, SECOND, Event, Instant, Topics
from shared.kafka.connection import Record
from shared.metrics import Metrics
from shared.recounts import decode_event

log = structlog.get_logger(__name__)


class Arrival(NamedTuple):
    """An event, and the record that brought it."""

    event: Event
    record: Record


class Lane(Protocol):
    """Where frozen write sets go."""

    async def put(self, write_set: WriteSet, held: list[Held]) -> None:
        """Queue a write set."""


class Timer:
    """Applies events to clocks, notices deadlines, and drafts what is written and published."""

    def __init__(  # noqa: PLR0913 # one argument for each thing that it connects
        self,
        *,
        holdings: Holdings,
        items: Items,
        look: Callable[[], Awaitable[None]],
        lane: Lane,
        rulebook: Callable[[], Rulebook],
        topics: Topics,
        now: Callable[[], Instant],
        metrics: Metrics,
        keep_items: int,
        limit: DlqLimit = USUAL,
    ) -> None:
        self._holdings = holdings
        self._items = items
        self._look = look  # learns of versions of the policies that were just registered
        self._lane = lane
        self._rulebook = rulebook
        self._topics = topics
        self._now = now
        self._metrics = metrics
        self._keep_items = keep_items
        self._teller = Teller(holdings, metrics, rulebook=rulebook, now=now)
        self._draft = Draft(topics.breaches)
        self.refusals = Refusals(topics.deadletters, limit, metrics, draft=lambda: self._draft)
        self._bury = self.refusals.bury
        self._late: dict[Holding, list[Arrival]] = {}  # events of the open write set that came out of order, or again

    @property
    def drafted(self) -> int:
        """How many events and firings are in the open write set."""
        return self._draft.size

    async def on_batch(self, holding: Holding, records: Sequence[Record]) -> None:
        """Fold records of one partition, in order, into the open write set.

        Raises:
            TooManyDeadLetters: the write set must not be closed any more.
        """
        begun = self._now()
        arrivals = [arrival for record in records if (arrival := self._decoded(holding, record)) is not None]
        begun = self._took("decode", begun)
        await self._load(holding, {arrival.event.item for arrival in arrivals})
        begun = self._took("load", begun)
        fresh: list[Arrival] = []
        late: list[Arrival] = []
        for arrival in arrivals:
            (fresh if self._fold(holding, arrival) else late).append(arrival)
        self._draft.hear(holding, fresh, begun)
        self.refusals.weigh(records, but=[arrival.record for arrival in late])
        self._took("fold", begun)
        if late:
            self._late.setdefault(holding, []).extend(late)
        self._metrics.events_folded.labels(outcome="folded").inc(len(fresh))
        holding.next_offset = records[-1].offset + 1
        self._draft.advance(holding)
        self._draft.size += len(records)

    async def fire_due(self, entries: Sequence[Deadline], evidence: Evidence) -> None:
        """Publish the facts of these items up to the evidence, and close the write set."""
        by_partition: dict[int, set[str]] = {}
        for _, partition, key in entries:
            by_partition.setdefault(partition, set()).add(key)
        for partition, keys in by_partition.items():
            holding = self._holdings.partitions.get(partition)
            if holding is None:
                continue
            await self._load(holding, keys)
            await self._fold_stale(holding, keys)
            if not holding.lost:
                firing = Firing(evidence.through, self._now(), evidence.late_possible, self._rulebook().calendar_data)
                for key in keys:
                    self._teller.fire(self._draft, holding, key, firing)
            await asyncio.sleep(0)  # let leases be renewed, however much is due
        await self.close()

    async def close(self) -> None:
        """Correct what late evidence contradicts, freeze the write set and hand it to the lane."""
        await self._fold_late()
        await self._forget_deleted()
        begun = self._now()
        draft, self._draft = self._draft, Draft(self._topics.breaches)
        for holding, held in draft.touched:
            self._teller.settle(draft, holding, held)
        write_set, pinned = draft.freeze()
        if write_set.moves:
            begun = self._took("freeze", begun)
            await self._lane.put(write_set, pinned)
            self._took("wait_for_lane", begun)
        for holding in self._holdings.partitions.values():
            holding.evict(self._keep_items // len(self._holdings.partitions))

    # --- folding ---

    def _decoded(self, holding: Holding, record: Record) -> Arrival | None:
        try:
            return Arrival(decode_event(record.headers, record.value), record)
        except BadRecord as exc:
            self._bury(holding, record, exc)
            return None

    def _fold(self, holding: Holding, arrival: Arrival) -> bool:
        """Apply an event in one step; False when it is not surely a new one that follows the last."""
        event = arrival.event
        held = holding.items.get(event.item)
        if held is None:
            if event.recount is not None:
                self._bury(holding, arrival.record, BadRecord("invalid", f"there is no item {event.item}", "subject"))
                return True
            held = Held(event.item, fold.EMPTY, ledger.EMPTY)
            holding.item_count += 1
        elif fingerprint(event) in held.seen or not fold.follows(held.state, event) or self._is_stale(held):
            return False
        holding.use(held)
        self._apply(holding, held, arrival)
        return True

    async def _fold_late(self) -> None:
        """Fold items again whose events came out of order; leave repeats alone.

        Once a write set, because each asking of the database for histories costs as much as folding 50 events.
        """
        begun = self._now()
        late, self._late = self._late, {}
        late = {holding: arrivals for holding, arrivals in late.items() if not holding.lost}
        if not late:
            return
        wanted = [(holding, event.item) for holding, arrivals in late.items() for event, _ in arrivals]
        known = await known_events(self._items, wanted)
        if any(not self._knows(event) for arrivals in late.values() for event, _ in arrivals):
            await self._look()
        for holding, arrivals in late.items():
            for arrival in arrivals:
                self._fold_again(holding, arrival, known[holding.partition, arrival.event.item])
        self.refusals.weigh([arrival.record for arrivals in late.values() for arrival in arrivals])
        self._took("fold_late", begun)

    def _fold_again(self, holding: Holding, arrival: Arrival, known: list[Event]) -> None:
        event = arrival.event
        held = holding.items[event.item]
        if is_repeat(held.state, event, known):
            self._metrics.events_folded.labels(outcome="repeated").inc()
            return
        self._draft.hear(holding, [arrival], self._now())
        if is_too_late(held.state, event):
            error = BadRecord("too_late", "expected an event from after the deletion of its item", "time")
            self._bury(holding, bare_record(arrival.record, event), error)
            return
        if not self._knows(event):
            error = BadRecord("invalid", "expected a version that is registered", "data.policy_version")
            self._bury(holding, arrival.record, error)
            return
        known.append(event)
        # One that follows after all had another's fingerprint, or came behind a late one of the same batch. What comes
        # after a deletion changes nothing in any order, and what is kept of a deleted item cannot be folded.
        is_in_place = fold.follows(held.state, event) and not self._is_stale(held)
        history = None if is_in_place or held.state.deleted is not None else known
        self._apply(holding, held, arrival, history)
        self._metrics.events_folded.labels(outcome="late").inc()

    def _apply(self, holding: Holding, held: Held, arrival: Arrival, history: list[Event] | None = None) -> None:
        """One step, or with *history* the whole fold again. A failure sets the item aside; the others go on."""
        self._draft.touch(holding, held)
        was_deleted = held.state.deleted is not None
        if held.quarantined:
            self.refusals.follows(arrival.record)
            self._set_aside(holding, held, arrival, "an earlier event of the item failed")
            return
        try:
            if history is None:
                held.state = fold.apply(held.state, arrival.event, self._rulebook())
            else:
                self._refold(held, history)
        except Exception as exc:  # a bug of ours, in one item's history
            log.exception("folding failed, the item is quarantined", item=held.key, event_id=arrival.event.id)
            held.quarantined = True
            self._set_aside(holding, held, arrival, repr(exc))
            return
        if held.state.deleted is None:
            self._draft.remember(holding, held, arrival.event)
            return
        self._draft.remember(holding, held, bare(arrival.event))
        if not was_deleted:
            self._draft.delete(holding, held)

    def _set_aside(self, holding: Holding, held: Held, arrival: Arrival, why: str) -> None:
        """Bury an event that cannot be folded; a deletion takes the attributes away all the same."""
        event, record = arrival
        if event.type in DELETIONS and held.state.deleted is None:
            held.state = scrubbed(held.state, event)
            self._draft.delete(holding, held)
        if held.state.deleted is not None:
            record = bare_record(record, event)
        self._bury(holding, record, BadRecord("quarantined", why))

    async def _forget_deleted(self) -> None:
        """Keep of the events of the items that were just deleted only what tells repeats of them."""
        wanted = self._draft.deleted
        if wanted:
            known = await known_events(self._items, wanted)
            for holding, key in wanted:
                self._draft.forget(holding, key, fold.distinct(known[holding.partition, key]))

    def _refold(self, held: Held, history: list[Event]) -> None:
        before, held.state = held.state, fold.refold(history, self._rulebook())
        held.retired = ledger.retired(held.key, before, held.state, held.retired)

    def _is_stale(self, held: Held) -> bool:
        """Whether the item was folded under other exclusions than hold now; a deleted one cannot be folded again."""
        return held.state.exclusions != self._rulebook().exclusions_revision and held.state.deleted is None

    def _knows(self, event: Event) -> bool:
        """Whether the version to which the event moves clocks, if it does, is known to this process."""
        version = None if event.recount is None else event.recount.policy_version
        return version is None or self._rulebook().knows(version)

    # --- firing ---

    async def _fold_stale(self, holding: Holding, keys: Collection[str]) -> None:
        """Fold those of the items again that were folded under other exclusions: what is due may not be by these."""
        found = [held for key in keys if (held := holding.items.get(key)) is not None]
        stale = [held for held in found if self._is_stale(held) and not held.quarantined]
        if not stale:
            return
        known = await known_events(self._items, [(holding, held.key) for held in stale])
        for held in stale:
            self._draft.touch(holding, held)
            try:
                self._refold(held, known[holding.partition, held.key])
                if held.state.deleted is not None:
                    self._draft.delete(holding, held)
            except Exception:  # a bug of ours, in one item's history
                log.exception("folding failed, the item is quarantined", item=held.key)
                held.quarantined = True

    def _took(self, stage: str, begun: Instant) -> Instant:
        """Note the time of a stage of a batch; the present instant, at which the next stage begins."""
        now = self._now()
        self._metrics.batch_stage.labels(stage=stage).observe((now - begun) / SECOND)
        return now

    async def _load(self, holding: Holding, keys: Collection[str]) -> None:
        """Bring items into memory; a key that the database does not have is a new item."""
        if holding.complete:
            return
        missing = [(holding.partition, key) for key in keys if key not in holding.items]
        if missing:
            for row in await self._items.items(missing):
                holding.use(held_of(row))
