"""Who is on call: people who take turns, and exceptions by dates, by the clock on the wall of a zone. PURE."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from shared.events import Instant, moment


@dataclass(frozen=True, slots=True)
class Override:
    """Somebody else's turn: [start, end), in the zone of the rotation."""

    start: datetime
    end: datetime
    person: str


@dataclass(frozen=True, slots=True)
class Rotation:
    """People who take turns for ever, also before *start*: there is always somebody.

    A turn begins at the same time of day, however the clock on the wall is changed meanwhile.
    """

    people: tuple[str, ...]
    zone: str
    start: datetime  # of a turn of the first of them; in the zone, as the other times
    days: int
    overrides: tuple[Override, ...] = ()  # of several at once the last one counts

    def at(self, instant: Instant) -> str:
        """Who is on call at *instant*."""
        local = moment(instant).astimezone(ZoneInfo(self.zone)).replace(tzinfo=None)
        for override in reversed(self.overrides):
            if override.start <= local < override.end:
                return override.person
        return self.people[(local - self.start) // timedelta(days=self.days) % len(self.people)]
