"""The SQL behind the API of alerts: alerts as they are read, with what they tell of and who heard of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Select, and_, func, literal, select, tuple_

from services.notifier.delivery import AlertStanding, bucket_in, bucket_of
from services.notifier.delivery_log import Fields, Place, shown_deliveries
from services.notifier.tables import alert, delivery, received
from shared.db import Database
from shared.events import moment

_EVENT: Final = and_(received.c.bucket == alert.c.bucket, received.c.event_id == alert.c.event_id)
_SHOWN: Final = (
    *(alert.c.id, alert.c.item, alert.c.clock_id, alert.c.event_id, alert.c.standing, alert.c.version),
    *(alert.c.state, alert.c.due_at, alert.c.snoozed_until, alert.c.assignee, alert.c.next_step_at),
    *(alert.c.created_at, alert.c.changed_at, received.c.type, received.c.time, received.c.breach_id),
    *(received.c.data[name].astext.label(name) for name in ("metric", "policy", "severity", "breached_at")),
)


@dataclass(frozen=True, slots=True)
class WantedAlerts:
    """Which alerts of the list are wanted; None means any."""

    standing: AlertStanding | None = None
    item: str | None = None
    assignee: str | None = None
    tenant: str | None = None


@dataclass(frozen=True, slots=True)
class FoundAlert:
    """An alert, the data of the event that it tells of, and its deliveries, the newest first."""

    fields: Fields
    data: Any
    deliveries: list[Fields]


class AlertLog:
    """Which alerts there are, and who heard of them."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def page(self, wanted: WantedAlerts, after: Place | None, limit: int) -> list[Fields]:
        """Up to *limit* alerts, the newest first, after that at *after*.

        Raises:
            Unavailable, Refused: see `shared.db`.
        """
        listed = _shown().order_by(alert.c.created_at.desc(), alert.c.id.desc()).limit(limit)
        for name in ("standing", "item", "assignee"):
            if (value := getattr(wanted, name)) is not None:
                listed = listed.where(alert.c[name] == value)
        if wanted.item is not None:
            listed = listed.where(alert.c.bucket == bucket_of(wanted.item))  # so it is a part of the table
        listed = _of(listed, wanted.tenant)
        if after is not None:
            place = tuple_(literal(moment(after[0])), literal(after[1]))
            listed = listed.where(tuple_(alert.c.created_at, alert.c.id) < place)
        async with self._database.transaction("list alerts") as connection:
            return [dict(row) for row in (await connection.execute(listed)).mappings()]

    async def one(self, identity: UUID, tenant: str | None = None) -> FoundAlert | None:
        """An alert; None where there is none of that id and tenant.

        Raises:
            Unavailable, Refused: see `shared.db`.
        """
        key = (alert.c.bucket == bucket_in(identity), alert.c.id == identity)
        wanted = _of(_shown().add_columns(received.c.data).where(*key), tenant)
        told = shown_deliveries().where(delivery.c.alert_id == identity)
        async with self._database.transaction("read an alert") as connection:
            found = (await connection.execute(wanted)).mappings().one_or_none()
            if found is None:
                return None
            newest = told.order_by(delivery.c.created_at.desc(), delivery.c.id.desc())
            deliveries = [dict(row) for row in (await connection.execute(newest)).mappings()]
        fields = dict(found)
        return FoundAlert(fields, fields.pop("data"), deliveries)


def _shown() -> Select[Any]:
    return select(*_SHOWN).join_from(alert, received, _EVENT, isouter=True)  # it may be forgotten, as old as it is


def _of(listed: Select[Any], tenant: str | None) -> Select[Any]:
    return listed if tenant is None else listed.where(func.starts_with(alert.c.item, f"{tenant}/"))
