"""The feed of `sla.clocks.v1`: the present state of every clock, derived from committed rows, latest state only.

It may lag, and it coalesces: an item that changes a hundred times meanwhile is told once. What it had told when its
process died is stored now and then; a new owner looks for the rows that changed since, and tells them again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import islice
from typing import Final, Protocol

import structlog

from services.timer.clock_record import clock_names, clock_records
from services.timer.write_set import ItemRow, WriteSet
from shared.errors import Refused, Unavailable
from shared.kafka.connection import Outgoing

log = structlog.get_logger(__name__)
AT_ONCE: Final = 500  # items read together, which holds deadlines up for 10 ms; told in a round while the lane is idle
UNDER_LOAD: Final = 200  # told in a round while it is not: the feed must not take the time of what is urgent
SHARE: Final = 10  # a round tells one in so many of those that wait, if that is more: so what waits stays bounded
SENT: Final = (
    200  # items sent at once: each request costs timer and broker some 0.3 ms a partition, however small it is
)
SLICE: Final = 10  # items whose records are made without a pause, 0.6 ms at 60 µs each: a deadline waits no longer
REST_S: Final = 0.2


class Rows(Protocol):
    """What the feed reads and stores."""

    async def items(self, keys: Sequence[tuple[int, str]]) -> list[ItemRow]:
        """The rows that exist."""

    async def changed(self, partition: int, revision: int) -> list[str]:
        """The keys of the items that were written by a revision or later."""

    async def standing(self, partitions: Iterable[int]) -> Mapping[int, tuple[int, int]]:
        """partition -> (epoch, revision)."""

    async def fed(self, revisions: Mapping[int, tuple[int, int]]) -> None:
        """Store how far the feed has come: partition -> (epoch, revision)."""


class Sender(Protocol):
    """What the feed needs of a producer."""

    async def send(self, topic: str, records: Iterable[Outgoing]) -> None:
        """Write records."""


class _Partition:
    """The feed of one partition under one epoch."""

    def __init__(self, epoch: int, told_below: int) -> None:
        self.epoch = epoch
        self.told_below = told_below  # every row of a lower revision was told
        self.committed = told_below  # the next revision to be committed
        self.changed: dict[str, None] = {}  # keys to be told, the longest waiting first
        self.looked = False  # whether the rows that changed before this epoch were looked for


class Feed:
    """Tells the states of clocks."""

    def __init__(self, rows: Rows, sender: Sender, topic: str, *, idle: Callable[[], bool]) -> None:
        self._rows = rows
        self._sender = sender
        self._topic = topic
        self._idle = idle
        self._partitions: dict[int, _Partition] = {}
        # (partition, key) -> (epoch, revision) of what was sent and may have arrived after what another owner sent.
        self._unsure: dict[tuple[int, str], tuple[int, int]] = {}
        self._telling: set[tuple[int, str]] = set()  # what is being told
        self._gone: set[tuple[int, str]] = set()  # of that, what was forgotten meanwhile

    def begin(self, partition: int, *, epoch: int, told_below: int, revision: int) -> None:
        """Begin with a partition whose rows below *told_below* were told, and whose next write set is *revision*."""
        fed = self._partitions[partition] = _Partition(epoch, told_below)
        fed.committed = revision
        fed.looked = told_below == revision

    def drop(self, partition: int) -> None:
        """Forget a partition; its next owner goes on."""
        self._partitions.pop(partition, None)

    def committed(self, write_set: WriteSet) -> None:
        """Note what a write set changed."""
        for row in write_set.items:
            if (fed := self._partitions.get(row.partition)) is not None:
                fed.changed[row.key] = None
        for partition, key in write_set.removed:
            if (fed := self._partitions.get(partition)) is not None:
                fed.changed.pop(key, None)
        self._gone.update(self._telling.intersection(write_set.removed))
        for move in write_set.moves:
            if (fed := self._partitions.get(move.partition)) is not None:
                fed.committed = move.revision + 1

    async def round(self) -> float:
        """Tell some of what changed; the seconds until the next round."""
        try:
            await self._make_sure()
            await self._look()
            told = await self._tell_some()
            await self._store()
        except (Unavailable, Refused) as exc:
            log.warning("the feed of clocks waits", error=str(exc))
            return 1.0
        return 0.0 if told and self._idle() else REST_S

    async def _look(self) -> None:
        for partition, fed in list(self._partitions.items()):
            if not fed.looked:
                keys = await self._rows.changed(partition, fed.told_below)
                fed.changed = {**dict.fromkeys(keys), **fed.changed}
                fed.looked = True
                return  # one a round: a new owner has more urgent things to read

    async def _tell_some(self) -> int:
        waiting = sum(len(fed.changed) for fed in self._partitions.values())
        wanted, told = AT_ONCE if self._idle() else max(UNDER_LOAD, waiting // SHARE), 0
        while told < wanted and (some := await self._tell(min(wanted - told, AT_ONCE))):
            told += some
        return told

    async def _tell(self, most: int) -> int:
        chosen = self._chosen(most)
        if not chosen:
            return 0
        epochs = {partition: self._partitions[partition].epoch for partition, _ in chosen}
        for partition, key in chosen:  # what changes again from now on is told again
            del self._partitions[partition].changed[key]
        self._telling, self._gone = set(chosen), set()
        try:
            rows = await self._rows.items(chosen)
            self._unsure = {(row.partition, row.key): (epochs[row.partition], row.revision) for row in rows}
            await self._send(rows)
            await self._bury([row for row in rows if (row.partition, row.key) in self._gone])
            await self._make_sure()
        except BaseException:
            for partition, key in chosen:
                if partition in self._partitions:
                    self._partitions[partition].changed[key] = None
            raise
        finally:
            self._telling = set()
        return len(chosen)

    def _chosen(self, most: int) -> list[tuple[int, str]]:
        chosen: list[tuple[int, str]] = []
        for partition, fed in list(self._partitions.items()):
            if fed.changed and len(chosen) < most:
                chosen += [(partition, key) for key in islice(fed.changed, most - len(chosen))]
                self._partitions[partition] = self._partitions.pop(partition)  # next time the others come first
        return chosen

    async def _make_sure(self) -> None:
        """Tell again what another owner changed while it was being told here.

        A process can stand still for minutes between reading a row and sending it. What it sends then is late, and
        compaction keeps the last record of a clock, whatever its revision. Whoever sends last looks again, so that the
        last record is the latest state.
        """
        while self._unsure:
            standing = await self._rows.standing({partition for partition, _ in self._unsure})
            epochs = {partition: epoch for partition, (epoch, _) in standing.items()}
            foreign = {place: sent for place, sent in self._unsure.items() if epochs.get(place[0]) != sent[0]}
            rows = await self._rows.items(list(foreign)) if foreign else []
            changed = [row for row in rows if row.revision != foreign[row.partition, row.key][1]]
            if changed:
                log.warning("states of clocks were told late, and are told again", items=len(changed))
                await self._send(changed)
            self._unsure = {(row.partition, row.key): (epochs[row.partition], row.revision) for row in changed}

    async def _send(self, rows: Sequence[ItemRow]) -> None:
        for first in range(0, len(rows), SENT):
            records: list[Outgoing] = []
            for at in range(first, min(first + SENT, len(rows)), SLICE):
                records += [record for row in rows[at : at + SLICE] for record in clock_records(row)]
                await asyncio.sleep(0)  # what is urgent goes first
            await self._sender.send(self._topic, records)

    async def _bury(self, rows: Sequence[ItemRow]) -> None:
        # The tombstones of what was forgotten may have come before what was just told of it.
        tombstones = [Outgoing(name, None, []) for row in rows for name in clock_names(row)]
        if tombstones:
            await self._sender.send(self._topic, tombstones)

    async def _store(self) -> None:
        done = {
            partition: fed for partition, fed in self._partitions.items()
            if fed.looked and not fed.changed and fed.told_below < fed.committed
        }  # fmt: skip
        if done:
            reached = {partition: fed.committed for partition, fed in done.items()}
            await self._rows.fed({partition: (fed.epoch, fed.committed) for partition, fed in done.items()})
            for partition, fed in done.items():
                fed.told_below = reached[partition]
