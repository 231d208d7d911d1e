"""Silences in PostgreSQL, and what of late they would have hidden."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from sqlalchemy import ColumnElement, Row, RowMapping, Select, and_, func, insert, literal, select, tuple_, update

from services.notifier.held_statements import NOTICED, OVER, UNTOLD
from services.notifier.holding.preview import Late
from services.notifier.holding.silences import Silence
from services.notifier.silence_model import conditions_of
from services.notifier.tables import alert, delivery, received, silence
from shared.breach_records import PublishedRecord, published_record
from shared.db import Database
from shared.events import DAY, Instant, instant, moment

Fields = dict[str, Any]  # of one row, by column
Place = tuple[Instant, UUID]  # of a silence in the list: when it was made, and its id
LOOKED_BACK: Final = DAY
LOOKED_AT: Final = 20_000  # events of the last day, and as many open alerts; the newest
OVER_AT_ONCE: Final = 20
SLICE: Final = 500  # records decoded before others get a turn: 10 ms

_HIDDEN: Final = select(func.count()).where(delivery.c.silence_id == silence.c.id).correlate(silence).scalar_subquery()


@dataclass(frozen=True, slots=True)
class Ended:
    """A silence whose end was noticed, and how much of what it hid is told now."""

    id: UUID
    author: str
    told: int


@dataclass(frozen=True, slots=True)
class Made:
    """A silence that is to be kept."""

    silence: Silence
    asked: Mapping[str, Any]  # match, regex, when: as they were written


class SilenceStore:
    """What people have silenced."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, new: Made, now: Instant) -> None:
        """Keep a silence that there is not yet.

        Raises:
            Unavailable, BadData, Refused: see `shared.db`.
        """
        made = new.silence
        row = {
            "id": made.id,
            "tenant": made.tenant,
            "asked": dict(new.asked),
            "starts_at": moment(made.starts_at),
            "ends_at": moment(made.ends_at),
            "author": made.author,
            "reason": made.reason,
            "created_at": moment(now),
        }
        async with self._database.transaction("keep a silence") as connection:
            await connection.execute(insert(silence).values(row))

    async def page(self, tenant: str | None, after: Place | None, limit: int) -> list[Fields]:
        """Up to *limit* silences, the newest first, after that at *after*: of *tenant*, of all where it is None.

        Raises:
            Unavailable, Refused: see `shared.db`.
        """
        listed = _shown(tenant).order_by(silence.c.created_at.desc(), silence.c.id.desc()).limit(limit)
        if after is not None:
            place = tuple_(literal(moment(after[0])), literal(after[1]))
            listed = listed.where(tuple_(silence.c.created_at, silence.c.id) < place)
        async with self._database.transaction("list silences") as connection:
            return [dict(row) for row in (await connection.execute(listed)).mappings()]

    async def one(self, identity: UUID, tenant: str | None) -> Fields | None:
        """A silence; None where there is none of that id that *tenant* may see.

        Raises:
            Unavailable, Refused: see `shared.db`.
        """
        async with self._database.transaction("read a silence") as connection:
            found = (await connection.execute(_shown(tenant).where(silence.c.id == identity))).mappings().one_or_none()
            return None if found is None else dict(found)

    async def expire(self, identity: UUID, tenant: str | None, by: str, now: Instant) -> bool:
        """End a silence at *now*, one that has not begun too; whether there is one that *tenant* may end.

        One that is over stays as it is.

        Raises:
            Unavailable, Refused: see `shared.db`.
        """
        at = moment(now)
        change = update(silence).where(silence.c.id == identity, silence.c.ends_at > at, *_of(tenant))
        early = change.values(starts_at=func.least(silence.c.starts_at, at), ends_at=at, expired_by=by)
        async with self._database.transaction("end a silence") as connection:
            if (await connection.execute(early)).rowcount:
                return True
        return await self.one(identity, tenant) is not None

    async def current(self, now: Instant) -> tuple[Silence, ...]:
        """The silences that are in force at *now*, or to come.

        Raises:
            Unavailable, Refused: see `shared.db`.
        """
        wanted = select(silence).where(silence.c.ends_at > moment(now)).order_by(silence.c.ends_at, silence.c.id)
        async with self._database.transaction("read the silences") as connection:
            return tuple(silence_of(row) for row in (await connection.execute(wanted)).mappings())

    async def end(self, now: Instant) -> list[Ended]:
        """Notice the silences that are over, and hold, due at once, what they hid and is still open.

        Raises:
            Unavailable, BadData, Refused: see `shared.db`.
        """
        ended = []
        async with self._database.transaction("notice the end of silences") as connection:
            for row in (await connection.execute(OVER, {"now": moment(now), "most": OVER_AT_ONCE})).all():
                why = f"silence {row.id} of {row.author} ended while it was open"
                key = {"ended_id": row.id, "at": moment(now)}
                told = await connection.execute(UNTOLD, key | {"label": f"silence {row.id}", "ended_why": why})
                await connection.execute(NOTICED, key)
                ended.append(Ended(row.id, row.author, told.rowcount))
        return ended

    async def late(self, tenant: str | None, now: Instant) -> list[Late]:
        """What was published of *tenant* in the last day, the newest first.

        Raises:
            Unavailable, Refused: see `shared.db`.
        """
        async with self._database.transaction("read what was published of late") as connection:
            rows = (await connection.execute(_late(tenant, now))).all()
        return [Late(record, row.deliveries) async for row, record in _decoded(rows)]

    async def open_alerts(self, tenant: str | None) -> list[PublishedRecord]:
        """The newest event of each alert of *tenant* that is not over.

        Raises:
            Unavailable, Refused: see `shared.db`.
        """
        async with self._database.transaction("read the open alerts") as connection:
            rows = (await connection.execute(_open_alerts(tenant))).all()
        return [record async for _, record in _decoded(rows)]


def silence_of(row: Mapping[str, Any] | RowMapping) -> Silence:
    """The silence that a row keeps."""
    return Silence(
        row["id"],
        row["tenant"],
        conditions_of(row["asked"]),
        instant(row["starts_at"]),
        instant(row["ends_at"]),
        row["author"],
        row["reason"],
    )


def _shown(tenant: str | None) -> Select[Any]:
    return select(silence, _HIDDEN.label("hidden")).where(*_of(tenant))


def _of(tenant: str | None) -> Iterator[ColumnElement[bool]]:
    if tenant is not None:
        yield silence.c.tenant == tenant


def _late(tenant: str | None, now: Instant) -> Select[Any]:
    of_event = (delivery.c.bucket == received.c.bucket, delivery.c.event_id == received.c.event_id)
    deliveries = select(func.count()).where(*of_event).correlate(received).scalar_subquery().label("deliveries")
    found = select(received.c.event_id, received.c.type, received.c.time, received.c.data, deliveries)
    late = found.where(received.c.received_at > moment(now - LOOKED_BACK), *_about(tenant))
    return late.order_by(received.c.received_at.desc()).limit(LOOKED_AT)


def _open_alerts(tenant: str | None) -> Select[Any]:
    same = and_(received.c.bucket == alert.c.bucket, received.c.event_id == alert.c.event_id)
    found = select(received.c.event_id, received.c.type, received.c.time, received.c.data)
    is_open = alert.c.standing.in_(("warning", "open", "acknowledged"))
    wanted = found.select_from(alert.join(received, same)).where(is_open, *_about(tenant))
    return wanted.order_by(alert.c.created_at.desc(), alert.c.id).limit(LOOKED_AT)


def _about(tenant: str | None) -> Iterator[ColumnElement[bool]]:
    # An item is tenant/kind/id, a source tenant/source/name.
    if tenant is not None:
        yield func.starts_with(received.c.item, f"{tenant}/")


async def _decoded(rows: Sequence[Row[Any]]) -> AsyncIterator[tuple[Row[Any], PublishedRecord]]:
    for number, row in enumerate(rows, 1):
        if number % SLICE == 0:
            await asyncio.sleep(0)
        yield row, published_record({"id": row.event_id, "type": row.type, "time": row.time, "data": row.data})
