"""What a process holds in memory of the partitions that it owns: items, positions, deadlines.

All of it belongs to (partition, epoch) and dies with it. One lane alone changes it, so nothing here is locked.
"""

from __future__ import annotations

import asyncio
import heapq
from collections import Counter
from collections.abc import Iterable, Mapping
from itertools import chain, islice
from typing import Final

from services.timer.held import Held
from shared.events import Instant

Deadline = tuple[Instant, int, str]  # when, partition, key of the item
SourceName = tuple[str, str]  # tenant, source
KINDS: Final = ("ticket", "chat", "call")
SOURCES_MOST: Final = 1_000  # sources of a partition that are remembered: of a flood of names the rest is passed over


class Holding:
    """One owned partition."""

    def __init__(self, partition: int, epoch: int, *, revision: int, next_offset: int | None) -> None:
        self.partition = partition
        self.epoch = epoch
        self.revision = revision  # of the next write set
        self.next_offset = next_offset  # where the next record to be folded is at least
        self.folded_to = next_offset or 0  # everything below it has been folded, ends without a record included
        self.published_through = 0
        self.outbox_position = 0  # the last one given out
        self.items: dict[str, Held] = {}  # of those that rest the longest resting first
        self._awake: dict[str, Held] = {}  # those whose state may be unpacked, the least recently used first
        self.complete = False  # every item of the partition is in memory: an unknown key is a new item
        self.absent: set[str] = set()  # keys that the database was found not to have, and that no item got since
        self.leaving: set[str] = set()  # keys of items that are being forgotten: their rows may still be there
        self.late: set[str] = set()  # keys of items to be folded again before the open write set closes
        self.item_count = 0
        self.open_clocks: Counter[str] = Counter()  # "state/severity" -> count
        self.heard: dict[SourceName, Instant] = {}  # when each source was heard here, by what is in a write set
        self.loss_at: Instant | None = None  # what is open since before then may have ended in records that were lost
        self.lost = False  # set once another process may own the partition

    def use(self, held: Held) -> None:
        """Note that *held* was used last."""
        key, awake = held.key, self._awake
        if key in awake:
            del awake[key]
        else:
            self.items.pop(key, None)
            self.items[key] = held
            self.absent.discard(key)
        awake[key] = held

    def rest(self, most: int) -> None:
        """Pack all but the *most* items that were used last. Their write sets must be frozen."""
        awake = self._awake
        if len(awake) <= most:
            return
        for key in list(islice(awake, len(awake) - most)):
            held = awake.pop(key)
            held.rest()
            del self.items[key]
            self.items[key] = held

    def recount(self, held: Held) -> None:
        """Let the count of open clocks follow what became of an item."""
        after = held.count_clocks()
        if after != held.open_clocks:
            self.open_clocks.subtract(held.open_clocks or ())
            self.open_clocks.update(after)
            held.open_clocks = after

    def is_settled(self, key: str) -> bool:
        """Whether no write set is about the item whose outcome is not known: its row, if it has one, is what is so."""
        held = self.items.get(key)
        return key not in self.late and (held is None or not held.pins)

    def remove(self, key: str) -> None:
        """Let an item go that is being forgotten."""
        self.items.pop(key, None)
        self._awake.pop(key, None)
        self.leaving.add(key)
        self.item_count -= 1

    def evict(self, keep: int) -> None:
        """Let the least recently used items go until *keep* are left; those in uncommitted write sets stay."""
        surplus = len(self.items) - keep
        if surplus <= 0:
            return
        awake = self._awake
        in_order = chain((held for key, held in self.items.items() if key not in awake), awake.values())
        for key in list(islice((held.key for held in in_order if not held.pins), surplus)):
            del self.items[key]
            self._awake.pop(key, None)
            self.complete = False


class Deadlines:
    """The deadlines of one kind of item up to a horizon, the earliest first.

    An entry is checked against its item when it comes up: one that no longer holds is just dropped then.
    """

    def __init__(self) -> None:
        self._heap: list[Deadline] = []
        self.horizon: Instant = 0
        self.earlier = asyncio.Event()  # set when a new earliest deadline came

    def __len__(self) -> int:
        return len(self._heap)

    def add(self, due: Instant, partition: int, key: str) -> None:
        """Remember a deadline, unless it lies beyond the horizon."""
        if due > self.horizon:
            return
        heap = self._heap
        heapq.heappush(heap, (due, partition, key))
        if heap[0][0] == due:
            self.earlier.set()

    def earliest(self) -> Instant | None:
        """The earliest deadline."""
        return self._heap[0][0] if self._heap else None

    def take(self, before: Instant, most: int) -> list[Deadline]:
        """Remove and return up to *most* entries that are due before an instant."""
        heap = self._heap
        taken: list[Deadline] = []
        while heap and heap[0][0] < before and len(taken) < most:
            taken.append(heapq.heappop(heap))
        return taken

    def extend(self, entries: Iterable[Deadline]) -> None:
        """Add entries; of many only those that are not there yet.

        One that is there twice does no harm: the second time it is stale. So a few are just added, because looking
        for them among 100,000 others takes 10 ms.
        """
        found = list(entries)
        there = set(self._heap) if 10 * len(found) > len(self._heap) else set()
        for entry in found:
            if entry not in there:
                self.add(*entry)

    def drop(self, partition: int) -> None:
        """Forget a partition."""
        self._heap = [entry for entry in self._heap if entry[1] != partition]
        heapq.heapify(self._heap)


class Holdings:
    """All that the process owns."""

    def __init__(self) -> None:
        self.partitions: dict[int, Holding] = {}
        self.deadlines: Mapping[str, Deadlines] = {kind: Deadlines() for kind in KINDS}

    def add_deadline(self, due: Instant, partition: int, key: str) -> None:
        """Remember a deadline of an item."""
        self.deadlines[kind_of(key)].add(due, partition, key)

    def drop(self, partition: int) -> None:
        """Let a partition go: its items, deadlines and position are no longer ours."""
        holding = self.partitions.pop(partition, None)
        if holding is not None:
            holding.lost = True
            for deadlines in self.deadlines.values():
                deadlines.drop(partition)

    def gone(self, removed: Iterable[tuple[int, str]]) -> None:
        """Note that the database has these (partition, key) no more."""
        for partition, key in removed:
            holding = self.partitions.get(partition)
            if holding is not None:
                holding.leaving.discard(key)

    def open_clocks(self) -> Mapping[str, int]:
        """ "state/severity" -> how many clocks of the owned partitions."""
        total: Counter[str] = Counter()
        for holding in self.partitions.values():
            total.update(holding.open_clocks)
        return total


def kind_of(key: str) -> str:
    """The kind in an item's key, `tenant/kind/id`."""
    return key.split("/", 2)[1]
