"""Forgetting items that were over long ago, so that the tables hold what is under way and not all that ever was.

What is forgotten leaves no trace: its row, its history, and its clocks on `sla.clocks.v1` go in one transaction. So
that no repeat of its events brings it back, events from before the retention are refused for items that do not exist.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Final, Protocol

import msgspec
import structlog

from services.timer.clock_record import clock_names
from services.timer.draft import Draft
from services.timer.held import Held
from services.timer.holdings import Holding, Holdings
from services.timer.item import ItemState
from services.timer.write_set import ItemRow, WriteSet
from shared.errors import Unavailable
from shared.events import Instant, Span
from shared.metrics import Metrics

log = structlog.get_logger(__name__)
PAGE: Final = 500  # rows looked at in one round: 10 ms, most of it in the database
MOST: Final = 200  # items forgotten in one write set, which keeps a deadline waiting for 10 ms
REST_S: Final = 1.0  # after a page on which nothing was to be forgotten
_STATE: Final = msgspec.msgpack.Decoder(ItemState)


class Rows(Protocol):
    """Where items are looked for."""

    async def at_rest(self, partition: int, after: str, most: int) -> list[ItemRow]:
        """The first rows behind a key in which nothing is due."""


class Items(Protocol):
    """Where items are."""

    async def items(self, keys: Sequence[tuple[int, str]]) -> list[ItemRow]:
        """The rows that exist."""


class Lane(Protocol):
    """Where frozen write sets go."""

    async def put(self, write_set: WriteSet, held: list[Held]) -> None:
        """Queue a write set."""

    async def drained(self) -> None:
        """Wait until everything that was put in has an outcome."""


Between = Callable[[Callable[[], Awaitable[None]]], Awaitable[None]]


def is_done_with(state: ItemState, before: Instant) -> bool:
    """Whether an item whose last event happened before an instant can be forgotten.

    That is one that is over or final, or was never created, and of which no clock runs.
    """
    if state.order is None or state.order[0] >= before or state.stage == "open":
        return False
    return all(clock.stopped_at is not None for clock in state.clocks)


class Retention:
    """Walks over the items of the owned partitions, a page at a time, for ever."""

    def __init__(  # noqa: PLR0913 # one argument for each thing that it connects
        self,
        keep: Span,
        *,
        holdings: Holdings,
        rows: Rows,
        items: Items,
        between: Between,
        lane: Lane,
        clocks_topic: str,
        now: Callable[[], Instant],
        metrics: Metrics,
    ) -> None:
        self._keep = keep  # 0: for ever
        self._holdings = holdings
        self._rows = rows
        self._items = items
        self._between = between
        self._lane = lane
        self._clocks_topic = clocks_topic
        self._now = now
        self._metrics = metrics
        self._partition = -1
        self._after = ""  # the last key of the partition that was looked at

    @property
    def begins(self) -> Instant:
        """The instant from before which nothing new is taken in of an item that does not exist."""
        return self._now() - self._keep if self._keep else 0

    async def round(self) -> float:
        """Look at one page; the seconds until the next."""
        if not self._keep:
            return 60.0
        holding = self._next()
        if holding is None:
            return REST_S
        try:
            rows = await self._rows.at_rest(holding.partition, self._after, PAGE)
            found = self._done_with(rows)[:MOST]
            # Behind a part of a page, the rest of it is next.
            self._after = found[-1].key if len(found) == MOST else rows[-1].key if len(rows) == PAGE else ""
            if found:
                await self._between(partial(self._forget, holding, [(row.partition, row.key) for row in found]))
        except Unavailable as exc:
            log.warning("nothing is forgotten", error=str(exc))
            return REST_S
        return 0.0 if found else REST_S

    def _next(self) -> Holding | None:
        # The same partition until its end, then the next one.
        owned = sorted(self._holdings.partitions)
        if self._after and self._partition in owned:
            return self._holdings.partitions[self._partition]
        later = [partition for partition in owned if partition > self._partition]
        self._after = ""
        self._partition = (later or owned or [-1])[0]
        return self._holdings.partitions.get(self._partition)

    def _done_with(self, rows: Sequence[ItemRow]) -> list[ItemRow]:
        before = self.begins
        return [row for row in rows if not row.quarantined and is_done_with(_STATE.decode(row.state), before)]

    async def _forget(self, holding: Holding, names: Sequence[tuple[int, str]]) -> None:
        # With every outcome known the database has the truth, and nobody folds until this is written too.
        await self._lane.drained()
        if holding.lost:
            return
        draft = Draft("")
        for row in self._done_with(await self._items.items(names)):
            draft.remove(holding, row.key)
            for name in clock_names(row):
                draft.send(holding, self._clocks_topic, name, [], None)
        write_set, held = draft.freeze()
        await self._lane.put(write_set, held)
        await self._lane.drained()
        self._metrics.items_forgotten.inc(len(write_set.removed))
