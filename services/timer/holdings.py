"""What a process holds in memory of the partitions that it owns: items, positions, deadlines.

All of it belongs to (partition, epoch) and dies with it. One lane alone changes it, so nothing here is locked.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterator, Mapping

from services.timer.clock import ItemState
from services.timer.ledger import Ledger
from shared.events import Instant


class Held:
    """One item in memory."""

    __slots__ = ("key", "ledger", "next_due", "pins", "quarantined", "state")

    def __init__(self, key: str, state: ItemState, ledger: Ledger, *, next_due: Instant | None = None) -> None:
        self.key = key
        self.state = state
        self.ledger = ledger
        self.next_due = next_due
        self.quarantined = False
        self.pins = 0  # write sets that hold it and are not committed: it must not be read back from the database


class Holding:
    """One owned partition."""

    def __init__(self, partition: int, epoch: int, *, revision: int, next_offset: int | None) -> None:
        self.partition = partition
        self.epoch = epoch
        self.revision = revision  # of the next write set
        self.next_offset = next_offset  # everything below it has been folded
        self.published_through = 0
        self.outbox_position = 0  # the last one given out
        self.items: dict[str, Held] = {}  # the least recently used first
        self.complete = False  # every item of the partition is in memory: an unknown key is a new item
        self.item_count = 0
        self.open_clocks: Counter[str] = Counter()  # "state/severity" -> count
        self.lost = False  # set once another process may own the partition

    def use(self, held: Held) -> None:
        """Note that *held* was used last."""
        items = self.items
        items.pop(held.key, None)
        items[held.key] = held

    def evict(self, keep: int) -> None:
        """Let the least recently used items go until *keep* are left; those in uncommitted write sets stay."""
        surplus = len(self.items) - keep
        if surplus <= 0:
            return
        for key in [held.key for held in self.items.values() if not held.pins][:surplus]:
            del self.items[key]
        self.complete = False


class Deadlines:
    """The deadlines up to a horizon, the earliest first. An entry is checked against its item when it comes up."""

    def __init__(self) -> None:
        self._heap: list[tuple[Instant, int, str]] = []
        self.horizon: Instant = 0

    def __len__(self) -> int:
        return len(self._heap)

    def add(self, due: Instant, partition: int, key: str) -> bool:
        """Remember a deadline, unless it lies beyond the horizon; whether it is the earliest now."""
        if due > self.horizon:
            return False
        heapq.heappush(self._heap, (due, partition, key))
        return self._heap[0][0] == due

    def earliest(self) -> Instant | None:
        """The earliest deadline."""
        return self._heap[0][0] if self._heap else None

    def take(self, before: Instant, most: int) -> list[tuple[Instant, int, str]]:
        """Remove and return up to *most* entries that are due before an instant."""
        heap = self._heap
        taken = []
        while heap and heap[0][0] < before and len(taken) < most:
            taken.append(heapq.heappop(heap))
        return taken

    def due(self, before: Instant) -> Iterator[tuple[Instant, int, str]]:
        """The entries that are due before an instant, in no order, left where they are."""
        return (entry for entry in self._heap if entry[0] < before)

    def drop(self, partition: int) -> None:
        """Forget a partition."""
        self._heap = [entry for entry in self._heap if entry[1] != partition]
        heapq.heapify(self._heap)


class Holdings:
    """All that the process owns."""

    def __init__(self) -> None:
        self.partitions: dict[int, Holding] = {}
        self.deadlines = Deadlines()

    def drop(self, partition: int) -> None:
        """Let a partition go: its items, deadlines and position are no longer ours."""
        holding = self.partitions.pop(partition, None)
        if holding is not None:
            holding.lost = True
            self.deadlines.drop(partition)

    def find(self, partition: int, key: str) -> Held | None:
        """The item, when it is in memory."""
        holding = self.partitions.get(partition)
        return holding.items.get(key) if holding else None

    def open_clocks(self) -> Mapping[str, int]:
        """"state/severity" -> how many clocks of the owned partitions."""
        total: Counter[str] = Counter()
        for holding in self.partitions.values():
            total.update(holding.open_clocks)
        return total
