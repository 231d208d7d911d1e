"""Makes up the events of the heartbeat, where `notify.yaml` asks for one."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Final, Protocol

import structlog

from services.notifier.heartbeat import LATE, Heartbeat
from shared.cloudevents import encode_record
from shared.errors import Unavailable
from shared.events import SECOND, Event, Instant
from shared.kafka.connection import Outgoing

log = structlog.get_logger(__name__)
LOOK_S: Final = 1.0  # between two looks at whether a heartbeat is wanted now
Send = Callable[[Sequence[Outgoing]], Awaitable[None]]  # to the topic of what comes over HTTP; may raise Unavailable


class Wanted(Protocol):
    """Says whether a heartbeat is wanted."""

    @property
    def heartbeat(self) -> Heartbeat | None:
        """As `notify.yaml` says it now."""


class Heart:
    """One notifier's share of the heartbeat."""

    def __init__(self, wanted: Callable[[], Wanted], send: Send, now: Callable[[], Instant]) -> None:
        self._wanted = wanted
        self._send = send
        self._now = now
        self._last: Instant | None = None  # the beat that was made up last

    async def round(self) -> float:
        """Make up a beat if it is time; the seconds until the next look."""
        heartbeat, now = self._wanted().heartbeat, self._now()
        if heartbeat is None:
            return LOOK_S
        beat = heartbeat.beat(now)
        if beat != self._last and now - beat < LATE:
            self._last = beat
            await self._make_up(heartbeat.events(beat))
        # Not beyond LOOK_S, because the file may name another interval meanwhile.
        return min((beat + heartbeat.every - self._now()) / SECOND, LOOK_S)

    async def _make_up(self, events: Iterable[Event]) -> None:
        try:
            await self._send([Outgoing(*encode_record(event)) for event in events])
        except Unavailable as exc:
            log.warning("a heartbeat was not sent", error=str(exc))
