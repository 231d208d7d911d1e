"""What the timer does in a turn: fold a batch of records, fire what is due, close the write set."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import replace
from typing import NamedTuple, Protocol

import structlog

from services.timer import fold, ledger
from services.timer.draft import Draft
from services.timer.evidence import Evidence
from services.timer.histories import Items, held_of, known_events
from services.timer.holdings import Deadline, Held, Holding, Holdings, fingerprint
from services.timer.ledger import Firing, Output
from services.timer.rulebook import Rulebook
from services.timer.tally import count
from services.timer.write_set import WriteSet
from shared.deadletters import dead_letter
from shared.errors import BadRecord
from shared.events import SECOND, Event, Instant, Topics
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
        self._draft = Draft(topics.breaches)
        self._late: dict[Holding, list[Arrival]] = {}  # events of the open write set that came out of order, or again

    @property
    def drafted(self) -> int:
        """How many events and firings are in the open write set."""
        return self._draft.size

    async def on_batch(self, holding: Holding, records: Sequence[Record]) -> None:
        """Fold records of one partition, in order, into the open write set."""
        begun = self._now()
        arrivals = [arrival for record in records if (arrival := self._decoded(holding, record)) is not None]
        begun = self._took("decode", begun)
        await self._load(holding, {arrival.event.item for arrival in arrivals})
        begun = self._took("load", begun)
        late = [arrival for arrival in arrivals if not self._fold(holding, arrival)]
        self._took("fold", begun)
        if late:
            self._late.setdefault(holding, []).extend(late)
        self._metrics.events_folded.labels(outcome="folded").inc(len(arrivals) - len(late))
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
                    self._fire(holding, key, firing)
            await asyncio.sleep(0)  # let leases be renewed, however much is due
        await self.close()

    async def close(self) -> None:
        """Correct what late evidence contradicts, freeze the write set and hand it to the lane."""
        await self._fold_late()
        begun = self._now()
        draft, self._draft = self._draft, Draft(self._topics.breaches)
        for holding, held in draft.touched:
            self._settle(draft, holding, held)
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
        self._took("fold_late", begun)

    def _fold_again(self, holding: Holding, arrival: Arrival, known: list[Event]) -> None:
        event = arrival.event
        identity = (event.source, event.id)
        if any((other.source, other.id) == identity and other.order <= event.order for other in known):
            self._metrics.events_folded.labels(outcome="repeated").inc()
            return
        if not self._knows(event):
            error = BadRecord("invalid", "expected a version that is registered", "data.policy_version")
            self._bury(holding, arrival.record, error)
            return
        known.append(event)
        held = holding.items[event.item]
        # One that follows after all had another's fingerprint, or came behind a late one of the same batch.
        history = known if self._is_stale(held) or not fold.follows(held.state, event) else None
        self._apply(holding, held, arrival, history)
        self._metrics.events_folded.labels(outcome="late").inc()

    def _apply(self, holding: Holding, held: Held, arrival: Arrival, history: list[Event] | None = None) -> None:
        """One step, or with *history* the whole fold again. A failure sets the item aside; the others go on."""
        self._draft.touch(holding, held)
        if held.quarantined:
            self._bury(holding, arrival.record, BadRecord("quarantined", "an earlier event of the item failed"))
            return
        try:
            if history is None:
                held.state = fold.apply(held.state, arrival.event, self._rulebook())
            else:
                self._refold(held, history)
        except Exception as exc:  # a bug of ours, in one item's history
            log.exception("folding failed, the item is quarantined", item=held.key, event_id=arrival.event.id)
            held.quarantined = True
            self._bury(holding, arrival.record, BadRecord("quarantined", repr(exc)))
            return
        self._draft.remember(holding, held, arrival.event)

    def _refold(self, held: Held, history: list[Event]) -> None:
        before, held.state = held.state, fold.refold(history, self._rulebook())
        held.retired = ledger.retired(held.key, before, held.state, held.retired)

    def _is_stale(self, held: Held) -> bool:
        """Whether the item was folded under other exclusions than hold now."""
        return held.state.exclusions != self._rulebook().exclusions_revision

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
            except Exception:  # a bug of ours, in one item's history
                log.exception("folding failed, the item is quarantined", item=held.key)
                held.quarantined = True

    def _fire(self, holding: Holding, key: str, firing: Firing) -> None:
        held = holding.items.get(key)
        if held is None or held.next_due is None or held.next_due >= firing.evidence_through:
            self._metrics.fired.labels(outcome="stale").inc()
            return
        if held.quarantined:  # an event of it could not be folded, and may be what the deadline waited for
            firing = replace(firing, late_evidence_possible=True)
        held.next_due = None  # its entry is used up; what is due next gets one when the write set closes
        held.ledger, outputs = ledger.outputs(key, held.state, held.ledger, firing)
        self._draft.touch(holding, held)
        self._draft.size += 1
        for output in outputs:
            self._publish(self._draft, holding, held, output, detected_at=firing.detected_at)
        self._metrics.fired.labels(outcome="fired").inc()

    def _settle(self, draft: Draft, holding: Holding, held: Held) -> None:
        """Publish the corrections that are owed at once, and note when the item is due next."""
        if ledger.contradicted(held.state, held.ledger):
            through, data = held.ledger.evidence_through, self._rulebook().calendar_data
            firing = Firing(through, self._now(), late_evidence_possible=False, calendar_data=data)
            held.ledger, outputs = ledger.outputs(held.key, held.state, held.ledger, firing)
            for output in outputs:
                self._publish(draft, holding, held, output, detected_at=firing.detected_at)
        holding.recount(held)
        due = ledger.next_due(held.state, held.ledger)
        if due != held.next_due:
            held.next_due = due
            if due is not None:
                self._holdings.add_deadline(due, holding.partition, held.key)

    def _publish(self, draft: Draft, holding: Holding, held: Held, output: Output, *, detected_at: Instant) -> None:
        draft.publish(holding, held, output)
        count(self._metrics, output, detected_at)

    # --- what both need ---

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

    def _bury(self, holding: Holding, record: Record, error: BadRecord) -> None:
        letter = dead_letter(record, error, stage="timer")
        key = letter.key or f"{record.topic}/{record.partition}".encode()
        self._draft.send(holding, self._topics.deadletters, key, letter.headers, letter.value)
        self._metrics.dead_letters.labels(stage="timer", reason=error.reason).inc()
