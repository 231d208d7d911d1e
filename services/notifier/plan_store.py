"""The SQL of plans: which items have one, and which open breaches their customers are still to hear of."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec
from sqlalchemy import Row, and_, bindparam, delete, select

from services.notifier import alert_rows
from services.notifier.alerts.deciding import Hold
from services.notifier.alerts.standing import StandingAlert, now_of, unpack
from services.notifier.customers import Customers, of_plan
from services.notifier.delivery import Notice, bucket_of
from services.notifier.new_rows import ChangedAlert, columns, new_delivery, received_row
from services.notifier.statements import NEW_RECEIVED, RECEIVED, added
from services.notifier.tables import alert, plan, received
from shared.breach_records import BreachRecord, published_record
from shared.db import Database
from shared.events import SECOND, Instant, Span, instant, moment

KEPT: Final[Span] = 3_600 * SECOND
"""How long a plan is remembered. A breach that is published later has it among its own attributes."""
TOLD_AT_ONCE: Final = 100
_COLUMNS: Final = ("bucket", "item", "attributes", "seen_at")
_SEEN: Final = added(plan, *_COLUMNS)
_KEEP: Final = _SEEN.on_conflict_do_update(
    index_elements=["bucket", "item"],
    set_={"attributes": plan.c.attributes.op("||")(_SEEN.excluded.attributes), "seen_at": _SEEN.excluded.seen_at},
)
_OPEN: Final = (
    select(alert, plan.c.attributes)
    .join_from(plan, alert, alert.c.item == plan.c.item)
    .where(alert.c.standing.in_(("open", "acknowledged")))
    .order_by(alert.c.bucket, alert.c.id)
    .with_for_update(of=alert, skip_locked=True)
)
_EVENT: Final = select(received).where(
    and_(received.c.bucket == bindparam("bucket"), received.c.event_id == bindparam("event_id"))
)

Plan = Mapping[str, Any]  # attributes of an item


class PlanStore:
    """Plans, in PostgreSQL."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def keep(self, plans: Mapping[str, Plan], now: Instant) -> None:
        """Remember *plans*, by item.

        Raises:
            Unavailable, BadData, Refused: see `shared.db`.
        """
        seen = moment(now)
        rows = [(bucket_of(item), item, msgspec.json.encode(plans[item]).decode(), seen) for item in sorted(plans)]
        if rows:
            async with self._database.transaction("remember plans") as connection:
                await connection.execute(_KEEP, columns(rows, *_COLUMNS))

    async def tell(self, customers: Customers, hold: Hold, now: Instant) -> int:
        """Make deliveries of the open breaches for which there is a plan and of which the customer has not heard.

        In one transaction with the mark that the customer is told. What a silence hides (*hold* says so) is left.

        Returns:
            How many.

        Raises:
            Unavailable, BadData, Refused: see `shared.db`.
        """
        async with self._database.transaction("tell of plans") as connection:
            await connection.execute(delete(plan).where(plan.c.seen_at < moment(now - KEPT)))
            told: list[tuple[Row[Any], StandingAlert, BreachRecord, Notice]] = []
            for row in (await connection.execute(_OPEN)).all():
                state = unpack(row.state)
                opened = now_of(state.facts).opened
                if opened is None or state.customer_told or len(told) == TOLD_AT_ONCE:
                    continue
                wanted = {"bucket": row.bucket, "event_id": opened.event_id}
                found = _breach((await connection.execute(_EVENT, wanted)).one_or_none())
                owed = None if found is None else of_plan(customers, found, row.attributes)
                if owed is not None and hold(owed[1], owed[0], state, now).state != "silenced":
                    told.append((row, state, *owed))
            if told:
                events = [received_row(record, now) for _, _, record, _ in told]
                await connection.execute(RECEIVED, columns(events, *NEW_RECEIVED))
                await alert_rows.keep(connection, [_told(row, state) for row, state, _, _ in told], now)
                new = [new_delivery(record, notice, now) for _, _, record, notice in told]
                await alert_rows.add_deliveries(connection, new, {}, now)
        return len(told)


def _breach(row: Row[Any] | None) -> BreachRecord | None:
    if row is None:
        return None  # forgotten, as old as it is
    record = published_record({"id": row.event_id, "type": row.type, "time": row.time, "data": row.data})
    return record if isinstance(record, BreachRecord) and record.type == "sla.clock.breached.v1" else None


def _told(row: Row[Any], state: StandingAlert) -> ChangedAlert:
    next_step_at = None if row.next_step_at is None else instant(row.next_step_at)
    after = msgspec.structs.replace(state, customer_told=True)
    return ChangedAlert(row.id, after, row.item, row.clock_id, next_step_at)
