"""What the timer does in a turn: fold a batch of records, fire what is due, close the write set."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from functools import partial
from typing import Final, Protocol

import structlog

from services.timer import fold
from services.timer.arrivals import Arrival, grouped
from services.timer.draft import Draft
from services.timer.evidence import Evidence
from services.timer.folding import Folding
from services.timer.held import Held
from services.timer.histories import Items, held_of, known_events
from services.timer.holdings import Deadline, Holding, Holdings
from services.timer.ledger import Firing
from services.timer.refusals import Refusals
from services.timer.rulebook import Rulebook
from services.timer.telling import Teller
from services.timer.write_set import WriteSet
from shared.dlq_limit import USUAL, DlqLimit
from shared.events import SECOND, Instant, Topics
from shared.kafka.connection import Record
from shared.metrics import Metrics

log = structlog.get_logger(__name__)
TOGETHER: Final = 64
"""After so many items that fire, 5 ms, others have their turn; after each partition it took twice as long to fire."""
STAGES: Final = ("decode", "load", "fold", "fold_late", "freeze", "wait_for_lane")  # of a write set
AWAKE: Final = 4_096
"""Of so many items, those used last, the state is kept unpacked: 24 MiB, and most events are about one of them."""


class Lane(Protocol):
    """Where frozen write sets go."""

    async def put(self, write_set: WriteSet, held: list[Held]) -> None:
        """Queue a write set."""

    async def drained(self) -> None:
        """Wait until everything that was put in has an outcome."""


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
        awake: int = AWAKE,
        limit: DlqLimit = USUAL,
        begins: Callable[[], Instant] = lambda: 0,
    ) -> None:
        self._holdings = holdings
        self._items = items
        self._look = look  # learns of versions of the policies that were just registered
        self._lane = lane
        self._rulebook = rulebook
        self._topics = topics
        self._now = now
        # To look a series up takes longer than to fold a record, and every partition has a batch of its own.
        self._observe = {stage: metrics.batch_stage.labels(stage=stage).observe for stage in STAGES}
        self._count_folded = metrics.events_folded.labels(outcome="folded").inc
        self._keep_items = keep_items
        self._awake = awake
        self._teller = Teller(holdings, metrics, rulebook=rulebook, now=now)
        self._draft = Draft(topics.breaches)
        self.refusals = Refusals(topics.deadletters, limit, metrics, draft=lambda: self._draft)
        self._folding = Folding(
            draft=lambda: self._draft,
            refusals=self.refusals,
            rulebook=rulebook,
            items=items,
            metrics=metrics,
            begins=begins,
        )
        self._late: dict[Holding, list[Arrival]] = {}  # events of the open write set that came out of order, or again

    @property
    def drafted(self) -> int:
        """How many events, firings and items to be forgotten are in the open write set."""
        return self._draft.size

    def draft(self) -> Draft:
        """The open write set, for what is written with it."""
        return self._draft

    async def prepare(self, batches: Iterable[tuple[Holding, Sequence[Record]]]) -> None:
        """Bring the items of records into memory that will be folded next, whatever their partitions, in one question.

        Asked for by each partition they took longer than to fold: a question takes 4 ms, a record 50 µs.
        """
        begun = self._now()
        for holding in self._holdings.partitions.values():
            holding.absent.clear()  # what was prepared before is folded by now
        await self._load((holding, key) for holding, records in batches for key in _keys(records))
        self._took("load", begun)

    async def on_batch(self, holding: Holding, records: Sequence[Record]) -> None:
        """Fold records of one partition, in order, into the open write set.

        Raises:
            TooManyDeadLetters: the write set must not be closed any more.
        """
        begun = self._now()
        groups = grouped(records, partial(self.refusals.bury, holding))
        begun = self._took("decode", begun)
        await self._load((holding, key) for key in groups)
        begun = self._took("load", begun)
        late: list[Arrival] = []
        for key, arrivals in groups.items():
            late += self._folding.in_order(holding, key, arrivals)
        left_out = set(map(id, late))
        fresh = [arrival for arrivals in groups.values() for arrival in arrivals if id(arrival) not in left_out]
        self._draft.hear(holding, fresh, begun)
        self.refusals.weigh(records, but=[arrival.record for arrival in late])
        self._took("fold", begun)
        if late:
            self._late.setdefault(holding, []).extend(late)
            holding.late.update(arrival.event.item for arrival in late)
        self._count_folded(len(fresh))
        holding.next_offset = records[-1].offset + 1
        self._draft.advance(holding)
        self._draft.size += len(records)

    async def fire_due(self, entries: Sequence[Deadline], evidence: Evidence) -> None:
        """Publish the facts of these items up to the evidence, and close the write set."""
        due: dict[Holding, set[str]] = {}
        for _, partition, key in entries:
            holding = self._holdings.partitions.get(partition)
            if holding is not None:
                due.setdefault(holding, set()).add(key)
        await self._load((holding, key) for holding, keys in due.items() for key in keys)
        fired = 0
        for holding, keys in due.items():
            await self._folding.stale(holding, keys)
            if not holding.lost:
                firing = Firing(evidence.through, self._now(), evidence.late_possible, self._rulebook().calendar_data)
                for key in keys:
                    self._teller.fire(self._draft, holding, key, firing)
            fired += len(keys)
            if fired >= TOGETHER:
                fired = 0
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
        count = len(self._holdings.partitions)
        for holding in self._holdings.partitions.values():
            holding.rest(self._awake // count)
            holding.evict(self._keep_items // count)

    # --- folding ---

    async def _fold_late(self) -> None:
        """Fold items again whose events came out of order; leave repeats alone.

        Once a write set, because each asking of the database for histories costs as much as folding 50 events.
        """
        begun = self._now()
        late, self._late = self._late, {}
        for holding in late:
            holding.late.clear()
        late = {holding: arrivals for holding, arrivals in late.items() if not holding.lost}
        if not late:
            return
        wanted = [(holding, arrival.event.item) for holding, arrivals in late.items() for arrival in arrivals]
        known = await known_events(self._items, wanted)
        if any(not self._folding.knows(arrival.event) for arrivals in late.values() for arrival in arrivals):
            await self._look()
        now = self._now()
        for holding, arrivals in late.items():
            for arrival in arrivals:
                self._folding.again(holding, arrival, known[holding.partition, arrival.event.item], now)
        self.refusals.weigh([arrival.record for arrivals in late.values() for arrival in arrivals])
        self._took("fold_late", begun)

    async def _forget_deleted(self) -> None:
        """Keep of the events of the items that were just deleted only what tells repeats of them."""
        wanted = self._draft.deleted
        if wanted:
            known = await known_events(self._items, wanted)
            for holding, key in wanted:
                self._draft.forget(holding, key, fold.distinct(known[holding.partition, key]))

    def _took(self, stage: str, begun: Instant) -> Instant:
        """Note the time of a stage of a batch; the present instant, at which the next stage begins."""
        now = self._now()
        self._observe[stage]((now - begun) / SECOND)
        return now

    async def _load(self, wanted: Iterable[tuple[Holding, str]]) -> None:
        """Bring items into memory, all in one question; a key that the database does not have is a new item."""
        wanted = list(dict.fromkeys(wanted))  # an item that is read twice would be two items
        if any(key in holding.leaving and key not in holding.items for holding, key in wanted):
            await self.close()  # what comes back must not find what is being forgotten
            await self._lane.drained()
        missing = [
            (holding, key)
            for holding, key in wanted
            if key not in holding.items and not holding.complete and key not in holding.absent
        ]
        if not missing:
            return
        holdings = {holding.partition: holding for holding, _ in missing}
        for row in await self._items.items([(holding.partition, key) for holding, key in missing]):
            holdings[row.partition].use(held_of(row))
        for holding, key in missing:
            if key not in holding.items:
                holding.absent.add(key)


def _keys(records: Iterable[Record]) -> set[str]:
    # The keys of the items, as ingest writes them; those of other records are asked for when they are folded.
    return {record.key.decode(errors="replace") for record in records if record.key}
