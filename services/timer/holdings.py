"""What a process holds in memory of the partitions that it owns: items, positions, deadlines.

All of it belongs to (partition, epoch) and dies with it. One lane alone changes it, so nothing here is locked.
"""

from __future__ import annotations

import asyncio
import heapq
from collections import Counter
from collections.abc import Iterable, Mapping
from itertools import islice
from sys import intern
from typing import Final
from zlib import crc32

from services.timer.item import ItemState
from services.timer.ledger import Ledger, told_clocks
from shared.events import Event, Instant

Deadline = tuple[Instant, int, str]  # when, partition, key of the item
SourceName = tuple[str, str]  # tenant, source
KINDS: Final = ("ticket", "chat", "call")
SOURCES_MOST: Final = 1_000  # sources of a partition that are remembered: of a flood of names the rest is passed over


class Held:
    """One item in memory."""

    __slots__ = (
        "key",
        "ledger",
        "next_due",
        "open_clocks",
        "quarantined",
        "recent",
        "retired",
        "seen",
        "state",
    )

    def __init__(self, key: str, state: ItemState, ledger: Ledger, *, next_due: Instant | None = None) -> None:
        self.key = key
        self.state = state
        self.ledger = ledger
        self.next_due = next_due
        self.open_clocks = open_clocks(state, ledger)  # as the partition counts them
        self.quarantined = False
        self.seen = b""  # a fingerprint of each event folded: one that is not in it is surely no repeat
        self.retired: tuple[str, ...] = ()  # ids of the clocks that late evidence removed
        # The events in each write set whose outcome is not known, the oldest first: the database may not show them yet.
        self.recent: list[list[Event]] = []

    def pin(self) -> None:
        """Note that one more write set holds it."""
        self.recent.append([])

    def unpin(self) -> None:
        """Note that the outcome of the oldest write set that holds it is known."""
        del self.recent[0]

    @property
    def pins(self) -> int:
        """How many write sets hold it whose outcome is not known: it must not be read back from the database."""
        return len(self.recent)


def open_clocks(state: ItemState, ledger: Ledger) -> tuple[str, ...]:
    """ "state/severity" of each clock that has not ended, as the world was told."""
    clocks = told_clocks(state, ledger)
    return tuple([intern(f"{clock.state}/{clock.severity}") for clock in clocks if clock.stopped_at is None])


def fingerprint(event: Event) -> bytes:
    """Four bytes of an event's identity; a repeat has the same, another event rarely."""
    return crc32(event.id.encode(), crc32(event.source.encode())).to_bytes(4, "big")


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
        self.items: dict[str, Held] = {}  # the least recently used first
        self.complete = False  # every item of the partition is in memory: an unknown key is a new item
        self.item_count = 0
        self.open_clocks: Counter[str] = Counter()  # "state/severity" -> count
        self.heard: dict[SourceName, Instant] = {}  # when each source was heard here, by what is in a write set
        self.lost = False  # set once another process may own the partition

    def use(self, held: Held) -> None:
        """Note that *held* was used last."""
        items = self.items
        items.pop(held.key, None)
        items[held.key] = held

    def recount(self, held: Held) -> None:
        """Let the count of open clocks follow what became of an item."""
        after = open_clocks(held.state, held.ledger)
        if after != held.open_clocks:
            self.open_clocks.subtract(held.open_clocks)
            self.open_clocks.update(after)
            held.open_clocks = after

    def evict(self, keep: int) -> None:
        """Let the least recently used items go until *keep* are left; those in uncommitted write sets stay."""
        surplus = len(self.items) - keep
        if surplus <= 0:
            return
        for key in list(islice((held.key for held in self.items.values() if not held.pins), surplus)):
            del self.items[key]
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

    def open_clocks(self) -> Mapping[str, int]:
        """ "state/severity" -> how many clocks of the owned partitions."""
        total: Counter[str] = Counter()
        for holding in self.partitions.values():
            total.update(holding.open_clocks)
        return total


def kind_of(key: str) -> str:
    """The kind in an item's key, `tenant/kind/id`."""
    return key.split("/", 2)[1]
