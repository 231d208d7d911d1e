"""The SQL of alerts and of the order of their deliveries, within the transaction of whoever calls."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Row
from sqlalchemy.ext.asyncio import AsyncConnection

from services.notifier.alert_statements import HANDLES, KEEP, KEPT, LOCKED, OF_ALERTS, SUPERSEDE, SUPERSEDED, THREAD
from services.notifier.alerts.ordering import Plan, Told, as_it_went, planned
from services.notifier.alerts.standing import Fact, StandingAlert, unpack
from services.notifier.delivery import bucket_in
from services.notifier.new_rows import ChangedAlert, NewDelivery, alert_row, columns, delivery_row
from services.notifier.retry import Finished
from services.notifier.statements import NEW_DELIVERY, PENDING
from shared.events import Instant, instant, moment

Standing = Mapping[UUID, StandingAlert]


async def locked(connection: AsyncConnection, ids: Iterable[UUID]) -> dict[UUID, StandingAlert]:
    """The alerts of *ids* that there are, kept from changes by others until the transaction ends."""
    keys = [(bucket_in(each), each) for each in set(ids)]
    if not keys:
        return {}
    found = await connection.execute(LOCKED, columns(keys, "bucket", "id"))
    return {row.id: unpack(row.state) for row in found}


async def keep(connection: AsyncConnection, alerts: Sequence[ChangedAlert], now: Instant) -> None:
    """Store *alerts*, which are locked or new."""
    rows = sorted((alert_row(each, now) for each in alerts), key=lambda row: row[1])
    if rows:
        await connection.execute(KEEP, columns(rows, *KEPT))


async def keep_handles(connection: AsyncConnection, finished: Sequence[Finished]) -> None:
    """Store what channels gave back for their messages about alerts."""
    rows = {}
    for each in finished:
        held, handle = each.delivery, each.attempt.outcome.handle
        if held.alert is not None and handle is not None:
            rows[held.alert.id, held.receiver] = (bucket_in(held.id), held.alert.id, held.receiver, handle)
    if rows:
        await connection.execute(HANDLES, columns(list(rows.values()), *THREAD))


async def add_deliveries(
    connection: AsyncConnection, new: Sequence[NewDelivery], told_before: Standing, now: Instant
) -> None:
    """Store *new* deliveries, in order after those of the same alert that the same receiver is still to get.

    Args:
        told_before: the alerts of which more than one thing is known, so that others may come before.
    """
    if not new:
        return
    plan = await _ordered(connection, new, told_before, now) if told_before else Plan()
    rows = [delivery_row(each, plan.after.get(each.id), plan.superseded.get(each.id)) for each in new]
    await connection.execute(PENDING, columns(rows, *NEW_DELIVERY))


async def _ordered(connection: AsyncConnection, new: Sequence[NewDelivery], told: Standing, now: Instant) -> Plan:
    facts = {each.event_id: each for alert in told.values() for each in alert.facts}
    rows = (await connection.execute(OF_ALERTS, {"all_id": list(told)})).all()
    before = [_told(row, facts[row.event_id]) for row in rows if row.event_id in facts]
    # What is older than all that is kept of its alert stands outside the order.
    coming = [_coming(each, facts[each.record.id]) for each in new if each.alert in told and each.record.id in facts]
    stored = {each.id for each in before}
    while True:
        plan = planned([*before, *coming])
        gone = [(bucket_in(each), each, why) for each, why in plan.superseded.items() if each in stored]
        if not gone:
            return plan
        ended = await connection.execute(SUPERSEDE, columns(gone, *SUPERSEDED) | {"now": moment(now)})
        # What another process took up between the look and the change is told after all, and the plan is another.
        before = as_it_went(before, plan, set(ended.scalars()))


def _told(row: Row[Any], fact: Fact) -> Told:
    return Told(
        *(row.id, row.alert_id, row.receiver, fact, row.state, instant(row.created_at), row.step),
        is_free=not row.is_claimed,
        is_unheard=row.claim == 0 and row.state != "digested",
    )


def _coming(new: NewDelivery, fact: Fact) -> Told:
    return Told(new.id, new.alert, new.notice.receiver, fact, new.notice.state, new.created_at, new.notice.step)
