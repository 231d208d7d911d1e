"""What is delivered: a notice of something published, to one receiver, in one or more attempts. PURE."""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from dataclasses import KW_ONLY, dataclass
from functools import lru_cache
from typing import Final, Literal, Protocol
from uuid import UUID, uuid5

from shared.breach_records import BreachRecord, PublishedRecord
from shared.events import HEARTBEAT_TENANT, Instant, Span

ChannelName = Literal[
    "console", "webhook", "email", "slack", "teams", "mattermost", "telegram", "pagerduty", "opsgenie", "alertmanager",
    "kafka", "apprise",
]  # fmt: skip
# pending: due at its time; held: not to be sent before its time, `why` says for what. The others are final. silenced:
# by a silence; muted: inhibited or acknowledged; superseded: it is no longer so; digested: told within another.
State = Literal["pending", "held", "delivered", "failed", "silenced", "muted", "superseded", "digested"]
AlertStanding = Literal["warning", "open", "acknowledged", "ended", "retracted"]
Result = Literal["delivered", "retry", "refused"]

BUCKETS: Final = 64  # the first part of every key, so that the tables can be spread over servers
ANSWER_CHARACTERS: Final = 300  # of a receiver's answer are kept
MEMBERS_SHOWN: Final = 20  # of a digest are read with it
UNFINISHED: Final[tuple[State, ...]] = ("pending", "held")
_NAMESPACE: Final = UUID("5d0d7f0a-4c7e-5b63-9b0e-0f7c2d1f6a11")


@dataclass(frozen=True, slots=True)
class Notice:
    """What one receiver is to hear of something published, and why."""

    route: str
    receiver: str
    channel: ChannelName
    reason: str  # for people: which route took it, and what of the breach matched
    _: KW_ONLY
    state: State = "pending"
    due: Instant | None = None  # when it may be sent; None: at once
    why: str = ""  # for people: what holds it, or what made it final
    group: str | None = None  # those of one group may be told together
    step: str | None = None  # which step of an escalation it is
    silence: UUID | None = None  # which one hides it


@dataclass(frozen=True, slots=True)
class AlertView:
    """The alert that a delivery is about, as it stands when it is sent."""

    id: UUID
    standing: AlertStanding
    acknowledged_by: str | None = None
    url: str | None = None  # a signed link with which whoever reads the message acknowledges


@dataclass(frozen=True, slots=True)
class Delivery:
    """One notice on its way; repeats of it carry the same id."""

    id: UUID
    route: str
    receiver: str
    channel: ChannelName
    reason: str
    record: PublishedRecord  # what it tells of
    created_at: Instant
    attempts: int = 0  # made before this one
    spent: int = 0  # those of them that were made before somebody had it sent again
    claim: int = 0  # how often a process took it up; who holds an older claim may not write any more
    alert: AlertView | None = None  # of a breach; a silence has none
    handle: str | None = None  # what this receiver's channel gave back for an earlier message of the same alert
    members: tuple[PublishedRecord, ...] = ()  # of a digest: the worst first, at most MEMBERS_SHOWN
    count: int = 1  # of a digest: how many it tells of
    listed_at: str | None = None  # of a digest: the link to all that it tells of
    step: str | None = None  # which step of an escalation it is

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
    handle: str | None = None  # what the channel needs to change the message later: a Slack `ts`, a Telegram message id
    gone: bool = False  # it said of itself that it is no more: nothing else need be sent there


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


def delivery_id(record: PublishedRecord, notice: Notice) -> UUID:
    """The id of the delivery of *record* by *notice*: the same for every repeat; its first byte is the bucket."""
    step = () if notice.step is None else (notice.step,)
    return placed(record.key, "\n".join((record.id, notice.route, notice.receiver, *step)))


def alert_id(record: PublishedRecord) -> UUID | None:
    """The id of the alert that *record* is about: one for all that happens to a clock.

    None of a silence, and of the heartbeat, which asks nobody to do anything.
    """
    if not isinstance(record, BreachRecord) or record.data.tenant == HEARTBEAT_TENANT:
        return None
    return _of_clock(record.key, record.data.clock_id)


@lru_cache(maxsize=4_096)
def _of_clock(key: str, clock_id: str) -> UUID:
    # It is asked for several times while a record is remembered.
    return placed(key, f"alert\n{key}\n{clock_id}")


def placed(key: str, name: str) -> UUID:
    """An id made of *name*, the same at any time; its first byte is the bucket of *key*, an item or a source."""
    digest = uuid5(_NAMESPACE, name).bytes
    # Version 8 is the one whose bits are the application's own.
    return UUID(bytes=bytes((bucket_of(key), *digest[1:6], 0x80 | digest[6] & 0x0F, *digest[7:])))


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
