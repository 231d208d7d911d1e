"""The SQL of deliveries: one statement, one function. What is read for the API is in `delivery_log`."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Row, delete, func, or_, select, tuple_, update

from services.notifier import alert_rows, digest_rows, inhibitor_rows
from services.notifier.alerts.deciding import Decide, Decider
from services.notifier.alerts.standing import unpack
from services.notifier.delivery import UNFINISHED, AlertView, Delivery, Notice, alert_id, bucket_in
from services.notifier.inhibition import Inhibiting, Nothing
from services.notifier.links import Links
from services.notifier.new_rows import Decided, columns, received_row
from services.notifier.retry import Finished
from services.notifier.statements import (
    ATTEMPTS,
    CHANGE,
    CLAIM,
    DUE,
    EARLIEST,
    NEW_ATTEMPT,
    NEW_RECEIVED,
    RECEIVED,
)
from services.notifier.tables import alert, delivery, received
from shared.breach_records import PublishedRecord, published_record
from shared.db import Database
from shared.events import Instant, Span, instant, moment

ON: Final = ("warning", "open", "acknowledged")
DECIDE: Final[Decide] = Decider().on_event  # nothing is held
UNINHIBITED: Final = Nothing()
PRUNED_AT_ONCE: Final = 5_000  # rows; a bigger statement would hold its locks for long
_CHANGED: Final = ("bucket", "id", "claim", "state", "attempts", "next_attempt_at", "finished_at", "last_answer")

Chosen = tuple[PublishedRecord, Sequence[Notice]]


class Store:
    """What was received and what is delivered, in PostgreSQL; claims are made in the name of *instance*.

    With *links*, a delivery carries one that acknowledges its alert, or shows all that a digest tells of.
    """

    def __init__(self, database: Database, instance: str, links: Links | None = None) -> None:
        self._database = database
        self._instance = instance
        self._links = links

    async def remember(
        self, found: Sequence[Chosen], now: Instant, decide: Decide = DECIDE, inhibiting: Inhibiting = UNINHIBITED
    ) -> int:
        """Store records, what becomes of their alerts, and their deliveries in one transaction; how many were new.

        Of a record that was received before nothing is stored, whatever the routes were then.

        Args:
            found: what was published, and the notices that the routes chose for each.
            now: when.
            decide: says what becomes of an alert and of the notices that were chosen.
            inhibiting: what is to know what is open while that is decided.

        Raises:
            Unavailable, BadData, Refused: see `shared.db`.
        """
        if not found:
            return 0
        # In one order, so that two processes which read the same records after a rebalance never wait for each other.
        by_id = {record.id: record for record, _ in sorted(found, key=lambda pair: pair[0].id)}
        rows = [received_row(record, now) for record in by_id.values()]
        async with self._database.transaction("remember breaches") as connection:
            fresh = set((await connection.execute(RECEIVED, columns(rows, *NEW_RECEIVED))).scalars())
            new = {record.id: (record, notices) for record, notices in found if record.id in fresh}
            ids = {identity for record, _ in new.values() if (identity := alert_id(record)) is not None}
            decided = Decided(await alert_rows.locked(connection, ids), now)
            records, rules = [record for record, _ in new.values()], inhibiting.inhibit
            with inhibiting.knowing(await inhibitor_rows.sources(connection, records, rules, now)):
                for record, notices in new.values():
                    decided.add(record, notices, decide)
            await alert_rows.keep(connection, list(decided.changed.values()), now)
            await inhibitor_rows.keep(connection, records, rules, now)
            await alert_rows.add_deliveries(connection, decided.deliveries, decided.told_before, now)
        return len(fresh)

    async def claim(self, free: Mapping[str, int], now: Instant, *, lease: Span) -> list[Delivery]:
        """Take up what is due at *now*, the oldest first, up to *free* deliveries of each receiver.

        No other process gets them until *lease* has passed by the database's clock: one clock for all of them.

        Raises:
            Unavailable, BadData, Refused: see `shared.db`.
        """
        if not free:
            return []
        async with self._database.transaction("claim deliveries") as connection:
            # Two statements: of a list of keys the planner knows how short it is, of a subquery's rows it does not.
            wanted = {"all_receiver": list(free), "all_room": list(free.values()), "now": moment(now)}
            keys = [tuple(row) for row in await connection.execute(DUE, wanted)]
            if not keys:
                return []
            ours = {"lease": timedelta(microseconds=lease), "instance": self._instance}
            rows = (await connection.execute(CLAIM, columns(keys, "bucket", "id") | ours)).all()
            shown = await digest_rows.members(connection, (row.id for row in rows if row.told_of > 1))
            claimed = [self._delivery(row, shown.get(row.id, ()), now) for row in rows]
        return sorted(claimed, key=lambda each: (each.created_at, each.record.time))

    async def next_due(self, receivers: Collection[str]) -> Instant | None:
        """When the earliest delivery of *receivers* that nobody is at is due.

        Raises:
            Unavailable, Refused: see `shared.db`.
        """
        if not receivers:
            return None
        async with self._database.transaction("read the next delivery") as connection:
            found = (await connection.execute(EARLIEST, {"all_receiver": list(receivers)})).scalar()
        return None if found is None else instant(found)

    async def record(self, finished: Sequence[Finished]) -> list[UUID]:
        """Store attempts and what becomes of their deliveries; those that another process has taken up since.

        Of those nothing is stored: the other process's attempt counts.

        Raises:
            Unavailable, BadData, Refused: see `shared.db`.
        """
        if not finished:
            return []
        async with self._database.transaction("record attempts") as connection:
            ended = columns([_changed(each) for each in finished], *_CHANGED)
            kept = set((await connection.execute(CHANGE, ended)).scalars())
            made = [_attempt(each) for each in finished if each.delivery.id in kept]
            if made:
                await connection.execute(ATTEMPTS, columns(made, *NEW_ATTEMPT))
            await alert_rows.keep_handles(connection, finished)
        return [each.delivery.id for each in finished if each.delivery.id not in kept]

    async def release(self, deliveries: Iterable[Delivery]) -> None:
        """Give back what was claimed and not finished, so that others need not wait for the lease to end.

        Raises:
            Unavailable, Refused: see `shared.db`.
        """
        held = [(bucket_in(each.id), each.id, each.claim) for each in deliveries]
        if not held:
            return
        key = tuple_(delivery.c.bucket, delivery.c.id, delivery.c.claim)
        async with self._database.transaction("release deliveries") as connection:
            await connection.execute(update(delivery).where(key.in_(held)).values(claimed_until=None))

    async def take_back(self) -> int:
        """Give back all that a process of this one's name held and did not finish; how much that was.

        Only for the start: no other process of this name may run. One that does nevertheless can record nothing of
        what is taken from it, because the next claim is newer.

        Raises:
            Unavailable, Refused: see `shared.db`.
        """
        left = (delivery.c.state == "pending", delivery.c.claimed_by == self._instance)
        change = update(delivery).where(*left, delivery.c.claimed_until.is_not(None)).values(claimed_until=None)
        async with self._database.transaction("take deliveries back") as connection:
            return (await connection.execute(change)).rowcount

    async def pending(self) -> Mapping[str, int]:
        """How many deliveries of each receiver are not done yet.

        Raises:
            Unavailable, Refused: see `shared.db`.
        """
        counts = select(delivery.c.receiver, func.count().label("waiting")).where(delivery.c.state == "pending")
        async with self._database.transaction("count deliveries") as connection:
            rows = await connection.execute(counts.group_by(delivery.c.receiver))
            return {row.receiver: row.waiting for row in rows}

    async def standing(self, now: Instant) -> Mapping[str, int]:
        """How many alerts that are not over stand how; of the warnings those whose promise can still be kept.

        Raises:
            Unavailable, Refused: see `shared.db`.
        """
        is_on = or_(alert.c.standing.in_(("open", "acknowledged")), alert.c.due_at > moment(now))
        counts = select(alert.c.standing, func.count().label("number")).where(alert.c.standing.in_(ON), is_on)
        async with self._database.transaction("count alerts") as connection:
            rows = await connection.execute(counts.group_by(alert.c.standing))
            return {row.standing: row.number for row in rows}

    async def abandon(self, known: Collection[str], before: Instant, now: Instant) -> int:
        """Give up what has waited since *before* for a receiver that is not *known* any more; how many.

        Raises:
            Unavailable, Refused: see `shared.db`.
        """
        change = (
            update(delivery)
            .where(delivery.c.state.in_(UNFINISHED), delivery.c.created_at < moment(before))
            .where(delivery.c.receiver.not_in(known))
            .values(
                state="failed", next_attempt_at=None, finished_at=moment(now), last_answer="no such receiver any more"
            )
        )
        async with self._database.transaction("give up deliveries") as connection:
            return (await connection.execute(change)).rowcount

    async def prune(self, before: Instant) -> int:
        """Forget some of what was received before *before* and is not being delivered any more; how many events.

        Raises:
            Unavailable, Refused: see `shared.db`.
        """
        key = (received.c.bucket, received.c.event_id)
        waiting = select(delivery.c.id).where(
            delivery.c.bucket == received.c.bucket,
            delivery.c.event_id == received.c.event_id,
            delivery.c.state.in_(UNFINISHED),
        )
        old = select(*key).where(received.c.received_at < moment(before), ~waiting.exists()).limit(PRUNED_AT_ONCE)
        unsent = select(delivery.c.id).where(delivery.c.alert_id == alert.c.id, delivery.c.finished_at.is_(None))
        # None has changed before it was made, and by that there is an index.
        old_ones = (alert.c.created_at < moment(before), alert.c.changed_at < moment(before))
        quiet = select(alert.c.id).where(*old_ones, ~unsent.exists())
        over = quiet.limit(PRUNED_AT_ONCE)
        async with self._database.transaction("forget old deliveries") as connection:
            await connection.execute(delete(alert).where(alert.c.id.in_(over)))
            return (await connection.execute(delete(received).where(tuple_(*key).in_(old)))).rowcount

    def _delivery(self, row: Row[Any], members: tuple[PublishedRecord, ...], now: Instant) -> Delivery:
        fields = {"id": row.event_id, "type": row.type, "time": row.time, "data": row.data}
        return Delivery(
            id=row.id,
            route=row.route,
            receiver=row.receiver,
            channel=row.channel,
            reason=row.reason,
            record=published_record(fields),
            created_at=instant(row.created_at),
            attempts=row.attempts,
            spent=row.spent,
            claim=row.claim,
            step=row.step,
            alert=None if row.alert_state is None else self._view(row, now),
            handle=row.handle,
            members=members,
            count=row.told_of,
            listed_at=self._links.of_digest(row.id, now) if members and self._links is not None else None,
        )

    def _view(self, row: Row[Any], now: Instant) -> AlertView:
        alert = unpack(row.alert_state)
        asks = alert.standing in ("warning", "open") and alert.acknowledged_by is None
        url = self._links.to(row.alert_id, row.receiver, now) if asks and self._links is not None else None
        return AlertView(row.alert_id, alert.standing, alert.acknowledged_by, url)


def _changed(finished: Finished) -> tuple[Any, ...]:
    held, made, verdict = finished.delivery, finished.attempt, finished.verdict
    again = None if verdict.next_attempt_at is None else moment(verdict.next_attempt_at)
    ended = moment(made.started_at + made.duration) if again is None else None
    key = (bucket_in(held.id), held.id, held.claim)
    return (*key, verdict.state, made.number, again, ended, made.outcome.answer)


def _attempt(finished: Finished) -> tuple[Any, ...]:
    held, made, outcome = finished.delivery, finished.attempt, finished.attempt.outcome
    took = timedelta(microseconds=made.duration)
    key = (bucket_in(held.id), held.id, made.number)
    return (*key, moment(made.started_at), took, outcome.result, outcome.status, outcome.answer)
