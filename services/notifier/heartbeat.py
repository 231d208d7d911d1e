"""The heartbeat: an alert of Plazo's own that goes all the way, so that its absence tells of what cannot tell. PURE.

Every so often a chat is made up that nobody picks up. Its event, its clock, its breach and its delivery take the path
that all others take. All notifiers make up the same one, by the time alone, so that it does not matter which of them
lives: what is sent twice is known by its ids.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Final

from pydantic import Field

from services.notifier.delivery import ChannelName, Notice
from services.notifier.endpoints.values import Strict
from services.notifier.lengths import Length
from shared.breach_records import BreachRecord, PublishedRecord
from shared.events import HEARTBEAT_TENANT, SECOND, Event, Instant, Span, parse_instant

SOURCE: Final = "/plazo/heartbeat"
ROUTE: Final = "heartbeat"
TARGET: Final[Span] = SECOND  # after which nobody has picked it up: as the timer's policy of it says
LATE: Final[Span] = 2 * SECOND  # a beat that is sent later than this would look as if the timer had been late
_SHORTEST: Final[Span] = 2 * TARGET  # so that a beat has broken its promise before the next one ends it
_LONGEST: Final[Span] = 3_600 * SECOND


class HeartbeatModel(Strict):
    """Who hears of the heartbeat, and how often."""

    receiver: str
    every: Annotated[Length, Field(ge=_SHORTEST, le=_LONGEST)] = 60 * SECOND

    @property
    def plain(self) -> Heartbeat:
        """What it says."""
        return Heartbeat(self.receiver, self.every)


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """Who hears of the heartbeat, and how often."""

    receiver: str
    every: Span

    def beat(self, now: Instant) -> Instant:
        """The instant of the last beat by *now*: the same for all notifiers."""
        return now // self.every * self.every

    def events(self, beat: Instant) -> tuple[Event, Event]:
        """What is made up at *beat*: a chat starts, and the one of the beat before is over."""
        before = beat - self.every
        return _event(before, "chat.ended", at=beat), _event(beat, "chat.started", at=beat)

    def notices(self, record: PublishedRecord, channel: ChannelName) -> list[Notice]:
        """Whom a heartbeat's *record* is for: a breach for the receiver alone, all else for nobody."""
        if record.type != "sla.clock.breached.v1":
            return []
        reason = "the heartbeat: this message came all the way from an event to you"
        return [Notice(ROUTE, self.receiver, channel, reason)]


def is_heartbeat(record: PublishedRecord) -> bool:
    """Whether it is about an item that was made up."""
    return record.data.tenant == HEARTBEAT_TENANT


def due(record: PublishedRecord) -> Instant | None:
    """When the beat that *record* tells of was due to be told; None of what is no beat."""
    if not isinstance(record, BreachRecord) or not is_heartbeat(record) or record.data.due_at is None:
        return None
    return parse_instant(record.data.due_at)


def _event(beat: Instant, what: str, *, at: Instant) -> Event:
    name = str(beat // SECOND)
    return Event(at, f"{name}-{what}", SOURCE, what, HEARTBEAT_TENANT, "chat", name)
