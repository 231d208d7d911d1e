"""The SQL of endpoints that are no more, and of what waits for them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Row, delete, func, insert, or_, select, tuple_, update
from sqlalchemy.dialects.postgresql import insert as insert_unless_there
from sqlalchemy.ext.asyncio import AsyncConnection

from services.notifier.delivery import ChannelName, placed
from services.notifier.tables import delivery, endpoint, received
from shared.db import Database
from shared.events import Instant, instant, moment

DIVERTED_AT_ONCE: Final = 500


@dataclass(frozen=True, slots=True)
class Disabled:
    """A receiver to which nothing is sent any more, and why."""

    receiver: str
    fingerprint: str  # of where it led to; where the file says something else now, it is enabled again
    reason: str  # what it said, short and without secrets
    at: Instant


@dataclass(frozen=True, slots=True)
class StandIn:
    """Who is told instead."""

    receiver: str
    channel: ChannelName


class EndpointStore:
    """Which endpoints are disabled, in PostgreSQL, so that every process and the next one knows it."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def disable(self, found: Sequence[Disabled]) -> None:
        """Note that these are disabled; of one that was already, as it led to the same place, nothing changes.

        Raises:
            Unavailable, BadData, Refused: see `shared.db`.
        """
        if not found:
            return
        by_name = {each.receiver: each for each in found}
        added = insert_unless_there(endpoint).values([_row(by_name[name]) for name in sorted(by_name)])
        news = {name: added.excluded[name] for name in ("fingerprint", "reason", "disabled_at")}
        elsewhere = endpoint.c.fingerprint != added.excluded.fingerprint
        change = added.on_conflict_do_update(index_elements=["receiver"], set_=news, where=elsewhere)
        async with self._database.transaction("disable endpoints") as connection:
            await connection.execute(change)

    async def disabled(self) -> list[Disabled]:
        """Those that are disabled, by name.

        Raises:
            Unavailable, Refused: see `shared.db`.
        """
        async with self._database.transaction("read disabled endpoints") as connection:
            rows = await connection.execute(select(endpoint).order_by(endpoint.c.receiver))
            return [Disabled(row.receiver, row.fingerprint, row.reason, instant(row.disabled_at)) for row in rows]

    async def enable(self, receiver: str, fingerprint: str | None = None) -> bool:
        """Enable *receiver* again; whether it was disabled, with *fingerprint* as that which leads to that place.

        Raises:
            Unavailable, Refused: see `shared.db`.
        """
        gone = delete(endpoint).where(endpoint.c.receiver == receiver)
        if fingerprint is not None:
            gone = gone.where(endpoint.c.fingerprint == fingerprint)
        async with self._database.transaction("enable an endpoint") as connection:
            return (await connection.execute(gone)).rowcount > 0

    async def waiting(self, receivers: Sequence[str]) -> dict[str, int]:
        """How many deliveries wait for each of *receivers*; those for which none does are left out.

        Raises:
            Unavailable, Refused: see `shared.db`.
        """
        counts = select(delivery.c.receiver, func.count().label("waiting")).group_by(delivery.c.receiver)
        wanted = counts.where(delivery.c.state == "pending", delivery.c.receiver.in_(receivers))
        async with self._database.transaction("count what waits") as connection:
            return {row.receiver: row.waiting for row in await connection.execute(wanted)}

    async def divert(self, gone: Disabled, to: StandIn, now: Instant) -> int:
        """Let *to* be told some of what waits for *gone*, as deliveries of their own; how many ended with that.

        Of what *to* hears anyway, nothing new is made. What is being attempted just now is left for the next time.

        Raises:
            Unavailable, Refused: see `shared.db`.
        """
        async with self._database.transaction("divert deliveries") as connection:
            rows = list(await connection.execute(_waiting_for(gone.receiver)))
            if not rows:
                return 0
            heard = await _heard(connection, rows, to.receiver)
            fresh = [row for row in rows if row.tells_of > 1 or (row.bucket, row.event_id, row.step) not in heard]
            if fresh:
                await connection.execute(insert(delivery), [_instead_of(row, gone, to, now) for row in fresh])
            for row in fresh:
                if row.tells_of > 1:  # what it tells of is told within the new one now
                    moved = update(delivery).where(delivery.c.digest_id == row.id)
                    await connection.execute(moved.values(digest_id=_id(row, to)))
            await connection.execute(_ended(rows, f"{_said(gone)}: {to.receiver} hears of it", now))
        return len(rows)

    async def give_up(self, gone: Disabled, before: Instant, now: Instant) -> int:
        """Give up what has waited for *gone* since *before*; how many.

        Raises:
            Unavailable, Refused: see `shared.db`.
        """
        old = update(delivery).where(delivery.c.receiver == gone.receiver, delivery.c.state == "pending")
        change = old.where(delivery.c.created_at < moment(before)).values(**_end(_said(gone), now))
        async with self._database.transaction("give up deliveries") as connection:
            return (await connection.execute(change)).rowcount


def _row(found: Disabled) -> dict[str, Any]:
    told = {"receiver": found.receiver, "fingerprint": found.fingerprint, "reason": found.reason}
    return {**told, "disabled_at": moment(found.at)}


def _waiting_for(receiver: str) -> Any:
    unclaimed = or_(delivery.c.claimed_until.is_(None), delivery.c.claimed_until <= func.clock_timestamp())
    same = (received.c.bucket == delivery.c.bucket) & (received.c.event_id == delivery.c.event_id)
    return (
        select(delivery, delivery.c.count.label("tells_of"), received.c.item)
        .join_from(delivery, received, same)
        .where(delivery.c.receiver == receiver, delivery.c.state == "pending", unclaimed)
        .order_by(delivery.c.next_attempt_at)
        .limit(DIVERTED_AT_ONCE)
        .with_for_update(of=delivery, skip_locked=True)
    )


async def _heard(connection: AsyncConnection, rows: Sequence[Row[Any]], receiver: str) -> set[tuple[Any, ...]]:
    events = [(row.bucket, row.event_id) for row in rows]
    key = tuple_(delivery.c.bucket, delivery.c.event_id)
    told = select(delivery.c.bucket, delivery.c.event_id, delivery.c.step).where(key.in_(events))
    found = told.where(delivery.c.receiver == receiver, delivery.c.count == 1, delivery.c.state != "failed")
    return {tuple(row) for row in await connection.execute(found)}


def _id(row: Row[Any], to: StandIn) -> Any:
    return placed(row.item, f"{row.id}\n{to.receiver}")


def _instead_of(row: Row[Any], gone: Disabled, to: StandIn, now: Instant) -> dict[str, Any]:
    same = ("bucket", "event_id", "alert_id", "route", "step", "created_at")
    return {
        **{name: getattr(row, name) for name in same},
        "count": row.tells_of,
        "id": _id(row, to),
        "receiver": to.receiver,
        "channel": to.channel,
        "reason": f"{_said(gone)}, and {row.reason}",
        "state": "pending",
        "attempts": 0,
        "claim": 0,
        "next_attempt_at": moment(now),
    }


def _ended(rows: Sequence[Row[Any]], why: str, now: Instant) -> Any:
    key = tuple_(delivery.c.bucket, delivery.c.id)
    return update(delivery).where(key.in_([(row.bucket, row.id) for row in rows])).values(**_end(why, now))


def _end(why: str, now: Instant) -> dict[str, Any]:
    ended = {"state": "failed", "next_attempt_at": None, "claimed_until": None, "finished_at": moment(now)}
    return {**ended, "why": why, "last_answer": why}


def _said(gone: Disabled) -> str:
    return f"{gone.receiver} is disabled ({gone.reason})"
