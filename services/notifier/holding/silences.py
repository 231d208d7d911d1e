"""A silence: for a while, what its matchers match is told to nobody. PURE.

A silence hides what begins while it lasts. The end of what was told before it is told, so that nobody waits for that in
vain; and what it hid and is still open when it ends is told then.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal
from uuid import UUID

from services.notifier.inhibition import ENDS
from services.notifier.matching import Conditions
from shared.breach_records import BreachRecord, PublishedRecord
from shared.events import Instant

SilenceState = Literal["pending", "active", "expired"]


@dataclass(frozen=True, slots=True)
class Silence:
    """Who wants what silenced, from when, until when, and why."""

    id: UUID
    tenant: str | None  # None: of every tenant
    asked: Conditions
    starts_at: Instant
    ends_at: Instant
    author: str
    reason: str

    def state(self, now: Instant) -> SilenceState:
        """Whether it is still to come, in force, or over."""
        if now < self.starts_at:
            return "pending"
        return "active" if now < self.ends_at else "expired"

    def matches(self, record: PublishedRecord) -> bool:
        """Whether *record* is of its tenant and of what it matches, whenever that was."""
        return self.tenant in (None, record.data.tenant) and self.asked.hold(record)

    @property
    def why(self) -> str:
        """It, as the reason of a delivery that is not sent."""
        return f"silence {self.id} of {self.author}: {self.reason}"


def hiding(
    silences: tuple[Silence, ...], record: PublishedRecord, heard_at: Instant | None, now: Instant
) -> Silence | None:
    """The silence in force at *now* that hides *record*; of several the one that lasts longest.

    Args:
        silences: in force or to come.
        record: what was published.
        heard_at: when its alert was first heard of; None where there is none.
        now: when it would be told.
    """
    found = [each for each in silences if _hides(each, record, heard_at, now)]
    return max(found, key=lambda each: (each.ends_at, each.id), default=None)


def _hides(silence: Silence, record: PublishedRecord, heard_at: Instant | None, now: Instant) -> bool:
    if silence.state(now) != "active" or not silence.matches(record):
        return False
    ends = isinstance(record, BreachRecord) and record.type in ENDS
    return not (ends and heard_at is not None and heard_at < silence.starts_at)
