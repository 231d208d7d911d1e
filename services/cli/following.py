"""Reading the breach topic along as it grows, beside all its subscribers and without being one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final, Literal

import structlog

from shared.breach_records import PublishedRecord, decode_published
from shared.errors import BadRecord, Refused, Unavailable
from shared.kafka.connection import Connection, Place
from shared.kafka.offsets import Offsets
from shared.kafka.reader import Reader
from shared.lifecycle import pause

log = structlog.get_logger(__name__)
POLL_MS: Final = 200
_MOST: Final = 1_000
_AGAIN_S: Final = 1.0

Start = Literal["beginning", "end"]


async def open_breaches(connection: Connection, topic: str, start: Start) -> Reader:
    """A connected reader of every partition of *topic*, from what it holds first or from what comes next.

    Raises:
        Refused: there is no such topic.
        Unavailable: no broker answers.
    """
    offsets = Offsets(connection, "follow")
    try:
        places = [Place(topic, partition) for partition in range(await offsets.partitions(topic))]
        if not places:
            raise Refused(f"there is no topic {topic}: `./plazo migrate` creates it")
        begins = await (offsets.beginnings(places) if start == "beginning" else offsets.ends(places))
    finally:
        await offsets.stop()
    reader = Reader(connection, topic, "follow")
    await reader.start()
    for place, offset in begins.items():
        reader.add(place.partition, offset)
    return reader


async def follow(reader: Reader, show: Callable[[PublishedRecord], None], stop: asyncio.Event) -> None:
    """Show everything that is published until *stop*; what cannot be read is logged and passed over."""
    while not stop.is_set():
        try:
            polled = await reader.poll(POLL_MS, _MOST)
        except Unavailable as exc:
            log.warning("breaches wait", error=str(exc))
            await pause(_AGAIN_S, stop)
            continue
        for records in polled.values():
            for record in records:
                try:
                    show(decode_published(record.headers, record.value))
                except BadRecord as exc:
                    log.warning("a record cannot be read", offset=record.offset, error=str(exc))
