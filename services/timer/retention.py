"""Forgetting items that were over long ago, so that the tables hold what is under way and not all that ever was.

What is forgotten leaves no trace: its row, its history, and its clocks on `sla.clocks.v1` go in one transaction, that
of the write set that is open: with one of its own, for which others waited, a busy timer forgot 40 items a second. So
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
from services.timer.holdings import Holding, Holdings
from services.timer.item import ItemState
from services.timer.write_set import ItemRow
from shared.errors import Unavailable
from shared.events import SECOND, Instant, Span

log = structlog.get_logger(__name__)
PAGE: Final = 500  # rows looked at in one round: 10 ms
REST_S: Final = 1.0  # after a page on which nothing was to be forgotten; the more there was, the shorter
WAIT_S: Final = 0.05  # between two looks whether what goes is gone: of what is forgotten one write set waits at most
SHARE: Final = 2  # and so many times as long as the round took, so that a busy timer has more urgent things done first
_STATE: Final = msgspec.msgpack.Decoder(ItemState)


class Rows(Protocol):
    """Where items are looked for."""

    async def at_rest(self, partition: int, after: str, most: int) -> list[ItemRow]:
        """The first rows behind a key in which nothing is due."""


class Items(Protocol):
    """Where items are."""

    async def items(self, keys: Sequence[tuple[int, str]]) -> list[ItemRow]:
        """The rows that exist."""


Amid = Callable[[Callable[[], Awaitable[None]]], Awaitable[None]]


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
        amid: Amid,
        draft: Callable[[], Draft],
        clocks_topic: str,
        now: Callable[[], Instant],
    ) -> None:
        self._keep = keep  # 0: for ever
        self._holdings = holdings
        self._rows = rows
        self._items = items
        self._amid = amid
        self._draft = draft
        self._clocks_topic = clocks_topic
        self._now = now
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
        if any(holding.leaving for holding in self._holdings.partitions.values()):
            return WAIT_S
        holding, begun = self._next(), self._now()
        if holding is None:
            return REST_S
        try:
            rows = await self._rows.at_rest(holding.partition, self._after, PAGE)
            found = [row for row in self._done_with(rows) if holding.is_settled(row.key)]
            self._after = rows[-1].key if len(rows) == PAGE else ""
            if found:
                await self._amid(partial(self._forget, holding, [(row.partition, row.key) for row in found]))
        except Unavailable as exc:
            log.warning("nothing is forgotten", error=str(exc))
            return REST_S
        kept = 1 - len(found) / len(rows) if rows else 1.0
        return REST_S * kept**2 + SHARE * (self._now() - begun) / SECOND

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
        # Nobody folds now, so what is settled stays so.
        rows = await self._items.items([name for name in names if holding.is_settled(name[1])])
        if holding.lost:
            return
        draft, done_with = self._draft(), self._done_with(rows)
        for row in done_with:
            draft.remove(holding, row.key)
            for name in clock_names(row):
                draft.send(holding, self._clocks_topic, name, [], None)
        draft.size += len(done_with)
