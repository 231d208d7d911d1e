"""A delivery as the API shows it."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from pydantic import BaseModel

from services.notifier.delivery import ChannelName, State
from shared.breach_records import PublishedType


class DeliveryView(BaseModel):
    """One notice on its way to one receiver."""

    id: UUID
    event_id: str  # the CloudEvent's
    type: PublishedType
    item: str  # tenant/kind/id; of a silent source tenant/source/name
    metric: str | None  # null of a silent source
    breach_id: str | None
    alert_id: UUID | None  # null of a silent source
    route: str
    receiver: str
    channel: ChannelName
    reason: str  # why this receiver hears of it
    state: State
    why: str  # what holds it, or what became of it without an attempt; empty of most
    step: str | None  # which step of an escalation it is
    digest_id: UUID | None  # the delivery that tells of it among others
    count: int  # of a digest: how many it tells of
    attempts: int
    created_at: datetime
    next_attempt_at: datetime | None
    finished_at: datetime | None
    last_answer: str | None
