"""What crosses a topic: canonical events in, breach events out, both as CloudEvents 1.0 on Kafka.

Instants are integers: microseconds since 1970-01-01T00:00:00Z. They are compared, added and stored far more often
than they are shown (comparing and adding integers costs a third of what aware datetimes cost), so a datetime is made
only where a person or another system reads it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Annotated, Any, Final, Literal

import msgspec

Instant = int  # microseconds since the Unix epoch, UTC
Span = int  # microseconds, of real or of business time
Headers = Sequence[tuple[str, bytes]]

SECOND: Final[Span] = 1_000_000
DAY: Final[Span] = 86_400 * SECOND  # of real time, as UTC counts it
EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)

Kind = Literal["ticket", "chat", "call"]
Author = Literal["agent", "customer", "bot", "system"]
Severity = Literal["low", "medium", "high", "critical"]
BreachType = Literal[
    "sla.clock.warning.v1",
    "sla.clock.breached.v1",
    "sla.breach.stopped.v1",
    "sla.breach.cancelled.v1",
    "sla.breach.retracted.v1",
]
SilenceType = Literal["sla.source.silent.v1"]

HEARTBEAT_TENANT: Final = "plazo-heartbeat"  # of the items that Plazo makes up to prove that alerts arrive

CREATIONS: Final = frozenset({"ticket.created", "chat.started", "call.queued"})
SNAPSHOTS: Final = frozenset({"ticket.snapshot", "chat.snapshot", "call.snapshot"})
DELETIONS: Final = frozenset({"ticket.deleted", "chat.deleted", "call.deleted"})
EVENT_TYPES: Final = frozenset(
    {
        *("ticket.created", "ticket.updated", "ticket.agent_replied", "ticket.customer_replied", "ticket.resolved"),
        *("ticket.reopened", "ticket.closed", "ticket.merged", "ticket.deleted", "ticket.snapshot"),
        *("chat.started", "chat.accepted", "chat.agent_replied", "chat.customer_replied", "chat.missed"),
        *("chat.ended", "chat.updated", "chat.snapshot", "chat.deleted"),
        *("call.queued", "call.answered", "call.held", "call.resumed", "call.abandoned", "call.ended"),
        *("call.updated", "call.snapshot", "call.deleted"),
    }
)
RECOUNTS: Final = frozenset({"ticket.recounted", "chat.recounted", "call.recounted"})  # written by Plazo alone
REASON_LENGTH: Final = 2_000  # characters of a recount's reason, which every item that it is about keeps


def instant(moment: datetime) -> Instant:
    """The instant of an aware datetime."""
    # The parts of the difference by themselves cost 0.3 µs; dividing it by a microsecond costs 0.5.
    since = moment - EPOCH
    return since.days * DAY + since.seconds * SECOND + since.microseconds


def moment(at: Instant) -> datetime:
    """The aware UTC datetime of an instant."""
    # To make a timedelta of days in microseconds alone takes half as long again.
    return EPOCH + timedelta(0, at // SECOND, at % SECOND)


@lru_cache(maxsize=8_192)  # a breach tells eight instants, of which two are new: 10 us of its 110
def rfc3339(at: Instant) -> str:
    """The instant as text in UTC, with as many digits of the second as it has: `2026-01-05T08:00:00Z`."""
    # msgspec writes a datetime in 0.3 µs, where isoformat() and replacing the offset take 1.5.
    return _ENCODER.encode(EPOCH + timedelta(0, at // SECOND, at % SECOND))[1:-1].decode()


def parse_instant(text: str) -> Instant:
    """The instant that an RFC 3339 text names.

    Raises:
        ValueError: *text* is not RFC 3339, has no offset from UTC, or is in no year that UTC counts from 1 to 9999.
    """
    try:
        at = instant(_AWARE.decode(b'"' + text.encode() + b'"'))
    except (msgspec.DecodeError, UnicodeEncodeError) as exc:
        raise ValueError(f"expected a time like 2026-01-05T08:00:00Z with an offset, got {text!r:.60}") from exc
    if not _EARLIEST <= at <= _LATEST:
        raise ValueError(f"expected a time in the years 1 to 9999 of UTC, got {text!r:.60}")
    return at


def rfc3339_or_none(at: Instant | None) -> str | None:
    """The instant in RFC 3339, and None where there is none."""
    return None if at is None else rfc3339(at)


def seconds(span: Span) -> int | float:
    """The span in seconds, a whole number where it is one."""
    return span // SECOND if span % SECOND == 0 else span / SECOND


_EARLIEST: Final = instant(datetime.min.replace(tzinfo=UTC))
_LATEST: Final = instant(datetime.max.replace(tzinfo=UTC))
_ENCODER: Final = msgspec.json.Encoder()
_AWARE: Final = msgspec.json.Decoder(Annotated[datetime, msgspec.Meta(tz=True)])


@dataclass(frozen=True, slots=True)
class Topics:
    """The names of Plazo's own topics; a prefix lets several installations share a cluster."""

    prefix: str = ""

    @property
    def intake(self) -> str:
        """Events taken over HTTP, before they are normalised like any other upstream topic's."""
        return f"{self.prefix}sla.intake.v1"

    @property
    def events(self) -> str:
        """Canonical events, keyed by item."""
        return f"{self.prefix}sla.events.v1"

    @property
    def breaches(self) -> str:
        """What happened to clocks: warnings, breaches, corrections; and sources that have gone quiet."""
        return f"{self.prefix}sla.breaches.v1"

    @property
    def clocks(self) -> str:
        """The present state of every clock, compacted."""
        return f"{self.prefix}sla.clocks.v1"

    @property
    def deadletters(self) -> str:
        """Records that could not be used, as they came, with the reason."""
        return f"{self.prefix}sla.deadletters.v1"


class Recount(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """What a person decided about an item: to fold it again, and perhaps to move its open clocks to other terms."""

    policy_version: Annotated[str, msgspec.Meta(min_length=1, max_length=128)] | None = None  # None: each keeps its own
    reason: Annotated[str, msgspec.Meta(max_length=REASON_LENGTH)] = ""
    by: Annotated[str, msgspec.Meta(max_length=512)] = ""  # who decided it


class Snapshot(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What a snapshot says of its item beside the attributes."""

    created_at: Instant | None = None  # of the item; None where its source does not say
    complete: bool = False  # whether it names every attribute, so that those it does not name are gone


class Event(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A fact about one item, in canonical form. Its identity is (`source`, `id`)."""

    time: Instant  # when it happened; the only time that clocks are computed from
    id: str
    source: str
    type: str  # one of EVENT_TYPES, or of RECOUNTS
    tenant: str
    kind: Kind
    subject: str  # the item's id
    sequence: int = 0  # the source's own order of events of an item
    attributes: dict[str, Any] = {}  # a patch of the item's attributes; null removes one
    author: Author | None = None  # who spoke; None is the one that the type names
    public: bool = True  # whether the customer can see it
    recount: Recount | None = None  # of an event of RECOUNTS
    snapshot: Snapshot | None = None  # of an event of SNAPSHOTS

    @property
    def item(self) -> str:
        """The key of the item: `tenant/kind/id`."""
        return f"{self.tenant}/{self.kind}/{self.subject}"

    @property
    def order(self) -> tuple[Instant, bool, int, str, str]:
        """The place among the item's events: by time, creation before all else, then sequence, id, source."""
        return (self.time, self.type not in CREATIONS, self.sequence, self.id, self.source)


class CountedSpan(msgspec.Struct, frozen=True, omit_defaults=True):
    """One stretch of a clock's life in an explanation."""

    start: str  # RFC 3339, UTC
    end: str
    state: Literal["running", "paused", "excluded"]
    business_s: float  # business seconds in it; closed time counts nothing
    exclusion: str | None = None  # of an excluded one: the name of what excludes it
    reason: str | None = None  # and why


class BreachEvent(msgspec.Struct, frozen=True, omit_defaults=False, kw_only=True):
    """The `data` of an event on `sla.breaches.v1`. Instants are RFC 3339 in UTC."""

    breach_id: str | None  # None on a warning: nothing is broken yet
    clock_id: str
    item: str  # tenant/kind/id
    tenant: str
    kind: Kind
    id: str
    metric: str
    cycle: int
    policy: str
    policy_version: str
    calendar: str
    calendar_data: str = ""  # the packages that the calendar is computed with: `tzdata 2026f, holidays 0.109`
    severity: Severity
    target_s: float
    elapsed_s: float  # business seconds at the instant of this event
    started_at: str
    due_at: str | None
    breached_at: str | None
    stopped_at: str | None = None
    detected_at: str
    evidence_through: str
    late_evidence_possible: bool = False
    warning: str | None = None  # which warning: `80%`, `15m_left`
    replaced_by: str | None = None  # on a retraction: the breach_id that stands in its place
    sequence: int  # of the item's published events, from 1, without gaps
    attributes: dict[str, Any]
    explanation: list[CountedSpan] = []


class SourceSilence(msgspec.Struct, frozen=True, kw_only=True):
    """The `data` of a `sla.source.silent.v1` on `sla.breaches.v1`. Instants are RFC 3339 in UTC."""

    tenant: str
    source: str  # the CloudEvents `source` that has gone quiet
    severity: Severity
    last_event_at: str  # when the last new event of it arrived, to the second
    quiet_s: float  # since then, in seconds that count: Plazo could hear, and its calendar was open
    allowed_s: float  # how long it may be quiet, in such seconds
    usual_gap_s: float | None  # between two events, where that is learned; None where the silence is configured
    detected_at: str
    evidence_through: str

    @property
    def key(self) -> str:
        """The record's key and subject: `tenant/source/name`."""
        return f"{self.tenant}/source/{self.source}"


class ClockState(msgspec.Struct, frozen=True, kw_only=True):
    """The present state of a clock, as `sla.clocks.v1` holds it under the clock's id. Instants are RFC 3339 in UTC."""

    clock_id: str
    item: str  # tenant/kind/id
    tenant: str
    kind: Kind
    id: str
    metric: str
    cycle: int
    policy: str
    policy_version: str
    calendar: str
    severity: Severity
    state: Literal["running", "paused", "met", "breached", "abandoned", "cancelled"]
    target_s: float
    started_at: str
    due_at: str | None
    breached_at: str | None
    stopped_at: str | None
    since: str  # the beginning of the present stretch, in which the clock runs or stands still without a change
    elapsed_s: float  # business seconds as of `since`
    paused_s: float
    sequence: int  # of the item's events on the breach topic, the last one that this state includes
    revision: int  # grows with every change of the partition; of two states of one clock the higher one holds
