"""The SQL behind the API: deliveries as they are read, never changed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Select, and_, func, literal, select, tuple_

from services.notifier.delivery import State, bucket_in
from services.notifier.tables import attempt, delivery, received
from shared.db import Database
from shared.events import Instant, moment

Fields = dict[str, Any]  # of one row, by column
Place = tuple[Instant, UUID]  # of a delivery in the list: when it was created, and its id

_SHOWN = (
    *(delivery.c.id, delivery.c.event_id, delivery.c.route, delivery.c.receiver, delivery.c.channel),
    *(delivery.c.reason, delivery.c.state, delivery.c.why, delivery.c.attempts, delivery.c.next_attempt_at),
    *(delivery.c.alert_id, delivery.c.step, delivery.c.digest_id, delivery.c.count),
    *(delivery.c.created_at, delivery.c.finished_at, delivery.c.last_answer),
    *(received.c.type, received.c.item, received.c.breach_id, received.c.data["metric"].astext.label("metric")),
)


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which deliveries of the list are wanted; None means any."""

    state: State | None = None
    receiver: str | None = None
    tenant: str | None = None
    digest: UUID | None = None  # those that it tells of


class DeliveryLog:
    """What was delivered to whom, and what came of it."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def page(self, wanted: Wanted, after: Place | None, limit: int) -> list[Fields]:
        """Up to *limit* deliveries, the newest first, after that at *after*.

        Raises:
            Unavailable, Refused: see `shared.db`.
        """
        listed = shown_deliveries().order_by(delivery.c.created_at.desc(), delivery.c.id.desc()).limit(limit)
        if wanted.state is not None:
            listed = listed.where(delivery.c.state == wanted.state)
        if wanted.receiver is not None:
            listed = listed.where(delivery.c.receiver == wanted.receiver)
        if wanted.digest is not None:
            listed = listed.where(delivery.c.digest_id == wanted.digest)
        listed = listed.where(*_of(wanted.tenant))
        if after is not None:
            place = tuple_(literal(moment(after[0])), literal(after[1]))
            listed = listed.where(tuple_(delivery.c.created_at, delivery.c.id) < place)
        async with self._database.transaction("list deliveries") as connection:
            return [dict(row) for row in (await connection.execute(listed)).mappings()]

    async def one(self, identity: UUID, tenant: str | None = None) -> tuple[Fields, list[Fields]] | None:
        """A delivery and its attempts in their order; None where there is none of that id and tenant.

        Raises:
            Unavailable, Refused: see `shared.db`.
        """
        bucket = bucket_in(identity)
        wanted = shown_deliveries().where(delivery.c.bucket == bucket, delivery.c.id == identity, *_of(tenant))
        made = select(attempt).where(attempt.c.bucket == bucket, attempt.c.delivery_id == identity)
        async with self._database.transaction("read a delivery") as connection:
            found = (await connection.execute(wanted)).mappings().one_or_none()
            if found is None:
                return None
            attempts = (await connection.execute(made.order_by(attempt.c.number))).mappings()
            return dict(found), [dict(row) for row in attempts]


def shown_deliveries() -> Select[Any]:
    """Deliveries with what they tell of; whoever asks says which of them."""
    same = and_(received.c.bucket == delivery.c.bucket, received.c.event_id == delivery.c.event_id)
    return select(*_SHOWN).join_from(delivery, received, same)


def _of(tenant: str | None) -> list[ColumnElement[bool]]:
    # An item is tenant/kind/id, a source tenant/source/name.
    return [] if tenant is None else [func.starts_with(received.c.item, f"{tenant}/")]
