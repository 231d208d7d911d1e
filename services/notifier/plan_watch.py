"""Notices the plans that are recorded after a breach, where customers are told when there is one."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from typing import Any, Final, Protocol

import structlog

from services.notifier.alerts.deciding import Hold
from services.notifier.customers import Customers
from services.notifier.switchboard import Switchboard, Wakes
from shared.errors import BadRecord, Unavailable
from shared.events import Instant
from shared.kafka.connection import Record
from shared.lifecycle import pause, together
from shared.recounts import decode_event

log = structlog.get_logger(__name__)
AWAY_S: Final = 1.0  # between two tries to reach the database
ROUND_S: Final = 5.0  # between two looks at what is to be told, and at whether anything is

Handle = Callable[[Sequence[Record]], Awaitable[None]]
Read = Callable[[Handle, asyncio.Event], Coroutine[Any, Any, None]]  # reads canonical events until the event is set


class Store(Protocol):
    """Where plans are kept; every method may raise Unavailable."""

    async def keep(self, plans: Mapping[str, Mapping[str, Any]], now: Instant) -> None:
        """Remember plans, by item."""

    async def tell(self, customers: Customers, hold: Hold, now: Instant) -> int:
        """Make deliveries of what customers are still to hear of; how many."""


class PlanWatch:
    """Reads canonical events as long as `notify.yaml` asks for plans; *wake* is set when there is something to send."""

    def __init__(
        self, store: Store, board: Switchboard, read: Read, *, now: Callable[[], Instant], wake: Wakes
    ) -> None:
        self._store = store
        self._board = board
        self._read = read
        self._now = now
        self._wake = wake

    async def run(self, stop: asyncio.Event) -> None:
        """Watch until *stop*."""
        while not stop.is_set():
            if self._asking() is not None:
                ended = asyncio.Event()
                await together(ended, self._read(self.on_events, ended), self._tell(stop))
            await pause(ROUND_S, stop)

    async def on_events(self, records: Sequence[Record]) -> None:
        """Remember the plans in *records*.

        Raises:
            Unavailable: none was stored; the same records may be handled again.
        """
        customers = self._asking()
        plans: dict[str, dict[str, Any]] = {}
        for record in records if customers is not None else ():
            for item, plan in _plans(record, customers.plan if customers else ()):
                plans[item] = {**plans.get(item, {}), **plan}
        await self._store.keep(plans, self._now())

    async def _tell(self, stop: asyncio.Event) -> None:
        while not stop.is_set() and (customers := self._asking()) is not None:
            try:
                told = await self._store.tell(customers, self._board.decider.hold, self._now())
            except Unavailable as exc:
                log.warning("customers are not told of plans yet", error=str(exc))
                await pause(AWAY_S, stop)
                continue
            if told:
                log.info("customers are told of plans", breaches=told)
                self._wake.set()
            await pause(ROUND_S, stop)

    def _asking(self) -> Customers | None:
        customers = self._board.routes.customers
        return customers if customers is not None and customers.tell == "when_planned" else None


def _plans(record: Record, names: Sequence[str]) -> list[tuple[str, dict[str, Any]]]:
    # Most events have none of these names in them, and need not be decoded to see that.
    if record.value is None or not any(name.encode() in record.value for name in names):
        return []
    try:
        event = decode_event(record.headers, record.value)
    except BadRecord:
        return []  # the timer's business
    plan = {name: event.attributes[name] for name in names if event.attributes.get(name) is not None}
    return [(event.item, plan)] if plan else []
