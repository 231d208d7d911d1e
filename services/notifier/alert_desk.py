"""What people do about alerts and deliveries, stored: acknowledge, snooze, assign, send again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Row, and_, func, literal, or_, select, tuple_, update
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.ext.asyncio import AsyncConnection

from services.notifier import alert_rows
from services.notifier.alerts.standing import StandingAlert, unpack
from services.notifier.customers import CUSTOMERS
from services.notifier.delivery import UNFINISHED, ChannelName, Notice, State, bucket_in
from services.notifier.new_rows import ChangedAlert, new_delivery
from services.notifier.tables import alert, delivery, received
from shared.breach_records import published_record
from shared.db import Database
from shared.events import Instant, moment, rfc3339

SENT_AGAIN_AT_ONCE: Final = 1_000
# Channels in which an alert is one message or incident, which a later delivery changes; elsewhere it would be one more.
SHOWN_AS_ONE: Final[tuple[ChannelName, ...]] = ("slack", "telegram", "pagerduty", "opsgenie")
_UNCLAIMED: Final = or_(delivery.c.claimed_until.is_(None), delivery.c.claimed_until <= func.clock_timestamp())
_SNOOZED: Final = "snoozed until "


class Stale(Exception):
    """The alert is another one by now than whoever wants to change it has seen."""

    def __init__(self, version: int) -> None:
        super().__init__(f"the alert has changed; its version is {version}")
        self.version = version


@dataclass(frozen=True, slots=True)
class Range:
    """Which deliveries are to be sent again: those made in `[start, end)`, in *state*, to *receiver* (None: to any)."""

    start: Instant
    end: Instant
    state: State = "failed"
    receiver: str | None = None


Change = Callable[[StandingAlert], StandingAlert]


class AlertDesk:
    """Changes alerts and deliveries on behalf of people, each in one transaction."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def change(
        self, identity: UUID, change: Change, now: Instant, *, tenant: str | None = None, seen: int | None = None
    ) -> StandingAlert | None:
        """The alert after *change*; None where there is none of that id and tenant.

        Args:
            seen: the version that was seen; None: whichever it is.

        Raises:
            Stale: it has another version.
            Unavailable, Refused: see `shared.db`.
        """
        key = (alert.c.bucket == bucket_in(identity), alert.c.id == identity, *_of(tenant))
        async with self._database.transaction("change an alert") as connection:
            row = (await connection.execute(select(alert).where(*key).with_for_update())).one_or_none()
            if row is None:
                return None
            if seen is not None and seen != row.version:
                raise Stale(row.version)
            before = unpack(row.state)
            after = change(before)
            # Its escalation is looked at anew: it may have no step any more, or one that is due now.
            due = None if after.escalation is None else now
            await alert_rows.keep(connection, [ChangedAlert(identity, after, row.item, row.clock_id, due)], now)
            await _follow(connection, identity, before, after, now)
            if after.standing == "acknowledged" and after.acknowledgement != before.acknowledgement:
                await _show(connection, row, after, now)
        return after

    async def send_again(self, identity: UUID, now: Instant, *, tenant: str | None = None) -> bool | None:
        """Let a delivery be attempted at once and anew; None where there is none, False while it is being attempted.

        Raises:
            Unavailable, Refused: see `shared.db`.
        """
        key = (delivery.c.bucket == bucket_in(identity), delivery.c.id == identity)
        its = select(delivery.c.id).join_from(delivery, received, _EVENT).where(*key, *_received_of(tenant))
        again = update(delivery).where(*key, _UNCLAIMED).values(_anew(now)).returning(delivery.c.id)
        async with self._database.transaction("send again") as connection:
            if (await connection.execute(its.with_for_update(of=delivery))).one_or_none() is None:
                return None
            return (await connection.execute(again)).one_or_none() is not None

    async def send_all_again(self, wanted: Range, now: Instant, *, tenant: str | None = None) -> int:
        """Let up to SENT_AGAIN_AT_ONCE deliveries be attempted at once and anew, the oldest first; how many.

        They are in another state then, so the same question again goes on with those that are left.

        Raises:
            Unavailable, Refused: see `shared.db`.
        """
        made = (delivery.c.created_at >= moment(wanted.start), delivery.c.created_at < moment(wanted.end))
        chosen = (
            select(delivery.c.bucket, delivery.c.id)
            .join_from(delivery, received, _EVENT)
            .where(*made, delivery.c.state == wanted.state, _UNCLAIMED, *_received_of(tenant))
            .order_by(delivery.c.created_at, delivery.c.id)
            .limit(SENT_AGAIN_AT_ONCE)
            .with_for_update(of=delivery, skip_locked=True)
        )
        if wanted.receiver is not None:
            chosen = chosen.where(delivery.c.receiver == wanted.receiver)
        keys = chosen.subquery("chosen")
        key = tuple_(delivery.c.bucket, delivery.c.id)
        again = update(delivery).where(key.in_(select(keys.c.bucket, keys.c.id))).values(_anew(now))
        async with self._database.transaction("send several again") as connection:
            return (await connection.execute(again)).rowcount


_EVENT: Final = and_(received.c.bucket == delivery.c.bucket, received.c.event_id == delivery.c.event_id)


def _anew(now: Instant) -> dict[str, Any]:
    # It keeps its id, by which the receiver knows repeats, and its attempts; its schedule begins anew.
    fresh = {"state": "pending", "next_attempt_at": moment(now), "finished_at": None, "claimed_until": None}
    return {**fresh, "why": "", "spent": delivery.c.attempts, "digest_id": None, "silence_id": None, "after_id": None}


async def _follow(
    connection: AsyncConnection, identity: UUID, before: StandingAlert, after: StandingAlert, now: Instant
) -> None:
    # What of the alert is not sent yet follows what was done.
    # The team may let an alert rest, and the customer waits no longer for that.
    to_team = delivery.c.receiver != CUSTOMERS
    unsent = (delivery.c.alert_id == identity, delivery.c.state.in_(UNFINISHED), _UNCLAIMED, to_team)
    if after.acknowledged_by is not None and after.acknowledgement != before.acknowledgement:
        lasting = () if after.course is None else after.course.lasting
        steps = update(delivery).where(*unsent, delivery.c.step.is_not(None), delivery.c.step.not_in(lasting))
        why = f"acknowledged by {after.acknowledged_by}"
        await connection.execute(steps.values(state="muted", why=why, next_attempt_at=None, finished_at=moment(now)))
    if after.snoozed_until == before.snoozed_until:
        return
    held = (delivery.c.state == "held", func.starts_with(delivery.c.why, _SNOOZED))
    if after.snoozed_until is None:
        await connection.execute(update(delivery).where(*unsent, *held).values(next_attempt_at=moment(now)))
        return
    until = literal(moment(after.snoozed_until))
    earlier = or_(delivery.c.next_attempt_at < until, *[and_(*held)])
    why = f"{_SNOOZED}{rfc3339(after.snoozed_until)}"
    await connection.execute(
        update(delivery).where(*unsent, earlier).values(state="held", why=why, next_attempt_at=until)
    )


async def _show(connection: AsyncConnection, row: Row[Any], after: StandingAlert, now: Instant) -> None:
    # Where an alert is one message that changes, whoever sees it sees that somebody has taken it on.
    seen = (delivery.c.alert_id == row.id, delivery.c.state == "delivered", delivery.c.channel.in_(SHOWN_AS_ONE))
    receivers = (
        select(delivery.c.receiver, delivery.c.channel, delivery.c.route)
        .ext(distinct_on(delivery.c.receiver))
        .where(*seen)
        .order_by(delivery.c.receiver, delivery.c.created_at.desc())
    )
    its = (received.c.bucket == row.bucket, received.c.event_id == row.event_id)
    event = (await connection.execute(select(received).where(*its))).one_or_none()
    if event is None:
        return
    record = published_record({"id": event.event_id, "type": event.type, "time": event.time, "data": event.data})
    step, why = f"acknowledged {row.version}", f"acknowledged by {after.acknowledged_by}"
    notices = [
        Notice(each.route, each.receiver, each.channel, why, step=step) for each in await connection.execute(receivers)
    ]
    new = [new_delivery(record, each, now) for each in notices]
    await alert_rows.add_deliveries(connection, new, {row.id: after}, now)


def _of(tenant: str | None) -> list[Any]:
    return [] if tenant is None else [func.starts_with(alert.c.item, f"{tenant}/")]


def _received_of(tenant: str | None) -> list[Any]:
    return [] if tenant is None else [func.starts_with(received.c.item, f"{tenant}/")]
