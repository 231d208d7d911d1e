"""The SQL of escalations: alerts of which a step is due."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Row, and_, bindparam, func, select

from services.notifier import alert_rows
from services.notifier.alerts.deciding import DecideStep, Decision
from services.notifier.alerts.standing import unpack
from services.notifier.new_rows import ChangedAlert, new_delivery
from services.notifier.tables import alert, received
from shared.breach_records import BreachRecord, published_record
from shared.db import Database
from shared.events import Instant, instant, moment
from shared.failpoints import failpoint

TAKEN_AT_ONCE: Final = 100
_ITS_EVENT: Final = and_(received.c.bucket == alert.c.bucket, received.c.event_id == alert.c.event_id)
_DUE: Final = (
    select(alert, received.c.type, received.c.time, received.c.data)
    .join_from(alert, received, _ITS_EVENT, isouter=True)  # it may have been forgotten, as old as it is
    .where(alert.c.next_step_at <= bindparam("now"))
    .order_by(alert.c.next_step_at)
    .limit(TAKEN_AT_ONCE)
    .with_for_update(of=alert, skip_locked=True)
)
_EARLIEST: Final = select(func.min(alert.c.next_step_at))


@dataclass(frozen=True, slots=True)
class Taken:
    """Steps of one alert that were taken."""

    alert: UUID
    item: str
    steps: tuple[str, ...]
    receivers: tuple[str, ...]


class EscalationStore:
    """Alerts and the steps of their escalations, in PostgreSQL."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def take(self, decide: DecideStep, now: Instant) -> Sequence[Taken]:
        """Take the steps that are due at *now*, of up to TAKEN_AT_ONCE alerts, in one transaction.

        So a step is taken once, whoever dies when: what it sends is stored with the mark that it was taken.

        Raises:
            Unavailable, BadData, Refused: see `shared.db`.
        """
        async with self._database.transaction("take steps") as connection:
            rows = (await connection.execute(_DUE, {"now": moment(now)})).all()
            decided = [(row, record, _decided(row, record, decide, now)) for row in rows for record in (_record(row),)]
            changed = [_changed(row, decision) for row, _, decision in decided]
            new = [
                new_delivery(record, notice, now)
                for _, record, decision in decided
                if record is not None
                for notice in decision.notices
            ]
            await alert_rows.keep(connection, changed, now)
            await alert_rows.add_deliveries(connection, new, {each.id: each.state for each in changed}, now)
            if decided:
                failpoint("before_commit")
        if decided:
            failpoint("after_commit")
        return [_taken(row, decision) for row, _, decision in decided if decision.steps]

    async def next_due(self) -> Instant | None:
        """When the next step of any alert is due.

        Raises:
            Unavailable, Refused: see `shared.db`.
        """
        async with self._database.transaction("read the next step") as connection:
            found = (await connection.execute(_EARLIEST)).scalar()
        return None if found is None else instant(found)


def _record(row: Row[Any]) -> BreachRecord | None:
    if row.data is None:
        return None
    record = published_record({"id": row.event_id, "type": row.type, "time": row.time, "data": row.data})
    return record if isinstance(record, BreachRecord) else None


def _decided(row: Row[Any], record: BreachRecord | None, decide: DecideStep, now: Instant) -> Decision:
    standing = unpack(row.state)
    return Decision(standing) if record is None else decide(record, standing, now)


def _changed(row: Row[Any], decision: Decision) -> ChangedAlert:
    state = unpack(row.state) if decision.alert is None else decision.alert
    return ChangedAlert(row.id, state, row.item, row.clock_id, decision.next_step_at)


def _taken(row: Row[Any], decision: Decision) -> Taken:
    return Taken(row.id, row.item, decision.steps, tuple(each.receiver for each in decision.notices))
