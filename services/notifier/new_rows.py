"""Rows as they are first stored: of something received, of its deliveries, of alerts. PURE."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import msgspec

from services.notifier.alerts.deciding import Decide
from services.notifier.alerts.standing import StandingAlert, pack
from services.notifier.delivery import UNFINISHED, Notice, alert_id, bucket_in, bucket_of, delivery_id
from shared.breach_records import BreachRecord, PublishedRecord
from shared.events import Instant, moment

Row = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class NewDelivery:
    """A delivery that is about to be stored."""

    id: UUID
    alert: UUID | None
    record: PublishedRecord
    notice: Notice
    created_at: Instant


@dataclass(frozen=True, slots=True)
class ChangedAlert:
    """An alert that is about to be stored, new or changed."""

    id: UUID
    state: StandingAlert
    item: str
    clock_id: str
    next_step_at: Instant | None


class Decided:
    """What was decided of some records, one after the other, and is about to be stored."""

    def __init__(self, alerts: Mapping[UUID, StandingAlert], now: Instant) -> None:
        self.changed: dict[UUID, ChangedAlert] = {}
        self.deliveries: list[NewDelivery] = []
        self.told_before: dict[UUID, StandingAlert] = {}  # the alerts of which more than one thing is known
        self._alerts = dict(alerts)
        self._now = now

    def add(self, record: PublishedRecord, notices: Sequence[Notice], decide: Decide) -> None:
        """Decide what becomes of *record* and its *notices*, after those added before."""
        identity = alert_id(record)
        decision = decide(record, notices, None if identity is None else self._alerts.get(identity), self._now)
        self.deliveries += [new_delivery(record, each, self._now) for each in decision.notices]
        if isinstance(record, BreachRecord) and identity is not None and decision.alert is not None:
            self._alerts[identity] = alert = decision.alert
            self.changed[identity] = ChangedAlert(
                identity, alert, record.key, record.data.clock_id, decision.next_step_at
            )
            if len(alert.facts) > 1:
                self.told_before[identity] = alert


def columns(rows: Sequence[Row], *names: str) -> dict[str, list[Any]]:
    """*rows* as arrays, one a column, under the names by which the statements take them."""
    return {f"all_{name}": list(column) for name, column in zip(names, zip(*rows, strict=True), strict=True)}


def new_delivery(record: PublishedRecord, notice: Notice, now: Instant) -> NewDelivery:
    """The delivery of *record* that *notice* asks for."""
    return NewDelivery(delivery_id(record, notice), alert_id(record), record, notice, now)


def received_row(record: PublishedRecord, now: Instant) -> Row:
    """What is kept of *record*."""
    breach_id = record.data.breach_id if isinstance(record, BreachRecord) else None
    data = msgspec.json.encode(record.data).decode()
    return (bucket_of(record.key), record.id, record.type, record.time, record.key, breach_id, data, moment(now))


def delivery_row(new: NewDelivery, after: UUID | None, superseded: str | None) -> Row:
    """What is kept of a delivery that is not sent before *after* is over, or was *superseded* for that reason."""
    notice, made = new.notice, moment(new.created_at)
    state, why = (notice.state, notice.why) if superseded is None else ("superseded", superseded)
    unfinished = state in UNFINISHED
    due = moment(new.created_at if notice.due is None else notice.due) if unfinished else None
    key = (bucket_in(new.id), new.id, new.record.id, new.alert)
    told = (notice.route, notice.receiver, notice.channel, notice.reason, state, why, notice.group, notice.step)
    return (*key, *told, 0, 0, due, made, None if unfinished else made, after, notice.silence)


def alert_row(changed: ChangedAlert, now: Instant) -> Row:
    """What is kept of an alert."""
    state = changed.state
    key = (bucket_in(changed.id), changed.id, changed.item, changed.clock_id, state.newest.event_id)
    times = (_at(state.due_at), _at(state.snoozed_until), state.assignee, _at(changed.next_step_at))
    return (*key, state.standing, 1, pack(state), *times, moment(now), moment(now))


def _at(instant: Instant | None) -> Any:
    return None if instant is None else moment(instant)
