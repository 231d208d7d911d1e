"""What is delivered: an alert about a breach or a silence, to one receiver, in one or more attempts. PURE."""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Literal, Protocol
from uuid import UUID, uuid5

from shared.breach_records import PublishedRecord
from shared.events import Instant, Span

ChannelName = Literal["console", "webhook", "email"]
State = Literal["pending", "delivered", "failed"]
Result = Literal["delivered", "retry", "refused"]

BUCKETS: Final = 64  # the first part of every key, so that the tables can be spread over servers
ANSWER_CHARACTERS: Final = 300  # of a receiver's answer are kept
_NAMESPACE: Final = UUID("5d0d7f0a-4c7e-5b63-9b0e-0f7c2d1f6a11")


@dataclass(frozen=True, slots=True)
class Alert:
    """What one receiver is to hear of something published, and why."""

    route: str
    receiver: str
    channel: ChannelName
    reason: str  # for people: which route took it, and what of the breach matched


@dataclass(frozen=True, slots=True)
class Delivery:
    """One alert on its way; repeats of it carry the same id."""

    id: UUID
    route: str
    receiver: str
    channel: ChannelName
    reason: str
    record: PublishedRecord  # what it tells of
    created_at: Instant
    attempts: int = 0  # made before this one
    claim: int = 0  # how often a process took it up; who holds an older claim may not write any more

    @property
    def message_id(self) -> str:
        """The id that receivers know repeats by."""
        return f"msg_{self.id.hex}"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one attempt."""

    result: Result
    answer: str  # what the receiver said, or what went wrong; without secrets, short
    status: int | None = None  # of HTTP or SMTP
    after: Span | None = None  # the wait that the receiver asked for


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt as it is remembered."""

    number: int  # from 1
    started_at: Instant
    duration: Span
    outcome: Outcome


class Channel(Protocol):
    """A way to reach a receiver; `send` never raises for what the receiver or the network does."""

    @property
    def name(self) -> ChannelName:
        """What kind of channel it is."""

    @property
    def concurrency(self) -> int:
        """How many attempts may be under way at once."""

    async def send(self, delivery: Delivery, now: Instant) -> Outcome:
        """Attempt *delivery* once, in bounded time."""


def bucket_of(key: str) -> int:
    """The part of the tables that holds what belongs to an item or a source."""
    return zlib.crc32(key.encode()) % BUCKETS


def delivery_id(record: PublishedRecord, alert: Alert) -> UUID:
    """The id of the delivery of *record* by *alert*: the same for every repeat; its first byte is the bucket."""
    name = "\n".join((record.id, alert.route, alert.receiver))
    digest = uuid5(_NAMESPACE, name).bytes
    bucket = bucket_of(record.key)
    # Version 8 is the one whose bits are the application's own.
    return UUID(bytes=bytes((bucket, *digest[1:6], 0x80 | digest[6] & 0x0F, *digest[7:])))


def bucket_in(identity: UUID) -> int:
    """The bucket that a delivery's id names."""
    return identity.bytes[0]


def kept_answer(text: str, secrets: Iterable[str] = ()) -> str:
    """*text* as it may be kept and shown: without *secrets* and control characters, in one short line."""
    for secret in secrets:
        if secret:
            text = text.replace(secret, "***")
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return line if len(line) <= ANSWER_CHARACTERS else line[: ANSWER_CHARACTERS - 1] + "…"
