"""Alerts as the API shows them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import BaseModel

from services.notifier.alerts.standing import Act, Deed, Fact, Happening, StandingAlert, unpack
from services.notifier.delivery import AlertStanding
from services.notifier.delivery_view import DeliveryView
from shared.breach_records import PublishedType
from shared.events import Instant, Severity, moment


class AlertSummary(BaseModel):
    """One alert: what stands for a promise that is broken, or about to be."""

    id: UUID
    standing: AlertStanding
    item: str  # tenant/kind/id
    clock_id: str
    type: PublishedType | None  # of the newest event; null, like what it tells, once that is forgotten
    metric: str | None
    policy: str | None
    severity: Severity | None
    breach_id: str | None  # null of a warning
    due_at: datetime | None
    breached_at: datetime | None
    acknowledged_by: str | None
    snoozed_until: datetime | None
    assignee: str | None
    escalation: str | None  # the name of its escalation
    next_step_at: datetime | None
    version: int  # one more at every change; its ETag
    created_at: datetime
    changed_at: datetime


class Happened(BaseModel):
    """Something that was published of the alert, or that was done about it."""

    at: datetime
    what: Happening | Deed
    by: str | None = None  # who did it, or which step
    comment: str = ""
    until: datetime | None = None  # of a snooze
    assignee: str | None = None  # of an assignment
    event_id: str | None = None  # of what was published


class AlertDetails(AlertSummary):
    """An alert with its history, and with all deliveries about it, the newest first."""

    history: list[Happened]
    deliveries: list[DeliveryView]


class AlertPage(BaseModel):
    """Alerts, the newest first, and the cursor of the next page (null on the last)."""

    alerts: list[AlertSummary]
    next_cursor: str | None


def summary(row: Mapping[str, Any]) -> AlertSummary:
    """The alert of a row of the log."""
    return AlertSummary(**_fields(row, unpack(row["state"])))


def details(row: Mapping[str, Any], deliveries: list[dict[str, Any]]) -> AlertDetails:
    """The alert of a row of the log, with what happened to it."""
    alert = unpack(row["state"])
    happened = [*map(_published, alert.facts), *map(_done, alert.acts)]
    history = sorted(happened, key=lambda each: each.at)
    shown = [DeliveryView(**each) for each in deliveries]
    return AlertDetails(**_fields(row, alert), history=history, deliveries=shown)


def _fields(row: Mapping[str, Any], alert: StandingAlert) -> dict[str, Any]:
    known = {name: row[name] for name in AlertSummary.model_fields if name in row}
    return {**known, "acknowledged_by": alert.acknowledged_by, "escalation": alert.escalation}


def _published(fact: Fact) -> Happened:
    return Happened(at=moment(fact.at), what=fact.happening, event_id=fact.event_id)


def _done(act: Act) -> Happened:
    until, assignee = _moment(act.until), act.assignee
    return Happened(at=moment(act.at), what=act.deed, by=act.by, comment=act.comment, until=until, assignee=assignee)


def _moment(at: Instant | None) -> datetime | None:
    return None if at is None else moment(at)
