"""Writes what the made-up support desk does onto an upstream topic, as a ticketing system would."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Final, Protocol

import structlog

from deploy.local.help_desk import Desk
from shared.cloudevents import encode_record
from shared.errors import Unavailable
from shared.events import SECOND, Event, Instant
from shared.kafka.connection import Outgoing
from shared.lifecycle import pause

log = structlog.get_logger(__name__)
TOPIC: Final = "helpdesk.events"
PARTITIONS: Final = 4
_AGAIN_S: Final = 1.0


class Writer(Protocol):
    """Writes records to a topic."""

    async def send(self, topic: str, records: Iterable[Outgoing]) -> None:
        """Write *records*; Unavailable when some may be missing."""

    async def restart(self) -> None:
        """Open a new session after an error; Unavailable when no broker answers."""


async def play(desk: Desk, writer: Writer, *, now: Callable[[], Instant], stop: asyncio.Event) -> None:
    """Write each event of *desk* at the time at which it happens, until *stop*."""
    while not stop.is_set():
        events = desk.until(now())
        while events and not stop.is_set() and not await _written(writer, events):
            await pause(_AGAIN_S, stop)
        await pause(max(0, desk.next_at() - now()) / SECOND, stop)


async def _written(writer: Writer, events: list[Event]) -> bool:
    try:
        await writer.send(TOPIC, [Outgoing(*encode_record(event)) for event in events])
    except Unavailable as exc:
        log.warning("the desk's events wait", events=len(events), error=str(exc))
        return await _reopened(writer)
    return True


async def _reopened(writer: Writer) -> bool:
    try:
        await writer.restart()
    except Unavailable as exc:
        log.warning("no broker answers", error=str(exc))
    return False
