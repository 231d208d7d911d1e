"""The statements about alerts and the order of their deliveries, built once; see `statements`."""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import (
    ARRAY,
    Select,
    Text,
    Uuid,
    and_,
    bindparam,
    func,
    or_,
    select,
    update,
)

from services.notifier.statements import added, given
from services.notifier.tables import alert, delivery, thread

KEPT: Final = (
    *("bucket", "id", "item", "clock_id", "event_id", "standing", "version", "state"),
    *("due_at", "snoozed_until", "assignee", "next_step_at", "created_at", "changed_at"),
)
_FIXED: Final = ("bucket", "id", "item", "clock_id", "created_at")  # of an alert, from its first event on
THREAD: Final = ("bucket", "alert_id", "receiver", "handle")
SUPERSEDED: Final = ("bucket", "id", "why")


def _locked() -> Select[Any]:
    keys = given("keys", bucket=alert.c.bucket.type, id=alert.c.id.type)
    same = and_(alert.c.bucket == keys.c.bucket, alert.c.id == keys.c.id)
    # In one order, so that two processes that want the same ones after a rebalance never wait for each other.
    found = select(alert.c.id, alert.c.state, alert.c.version).select_from(alert.join(keys, same))
    return found.order_by(alert.c.bucket, alert.c.id).with_for_update(of=alert)


def _kept() -> Any:
    new = added(alert, *KEPT)
    changed = {name: new.excluded[name] for name in KEPT if name not in (*_FIXED, "version")}
    return new.on_conflict_do_update(index_elements=["bucket", "id"], set_={**changed, "version": alert.c.version + 1})


def _of_alerts() -> Select[Any]:
    is_claimed = func.coalesce(delivery.c.claimed_until > func.clock_timestamp(), False)  # SQL's false
    wanted = delivery.c.alert_id == func.any(bindparam("all_id", type_=ARRAY(Uuid())))
    return select(
        *(delivery.c.id, delivery.c.alert_id, delivery.c.event_id, delivery.c.receiver, delivery.c.state),
        *(delivery.c.claim, delivery.c.step, delivery.c.created_at, is_claimed.label("is_claimed")),
    ).where(wanted)


def _superseding() -> Any:
    gone = given("gone", bucket=delivery.c.bucket.type, id=delivery.c.id.type, why=Text())
    same = and_(delivery.c.bucket == gone.c.bucket, delivery.c.id == gone.c.id)
    unclaimed = or_(delivery.c.claimed_until.is_(None), delivery.c.claimed_until <= func.clock_timestamp())
    free = (
        select(delivery.c.bucket, delivery.c.id, gone.c.why)
        .select_from(delivery.join(gone, same))
        .where(delivery.c.finished_at.is_(None), unclaimed)
        .with_for_update(of=delivery, skip_locked=True)
        .subquery("free")
    )
    return (
        update(delivery)
        .where(delivery.c.bucket == free.c.bucket, delivery.c.id == free.c.id)
        .values(state="superseded", why=free.c.why, next_attempt_at=None, finished_at=bindparam("now"))
        .returning(delivery.c.id)
    )


def _handles() -> Any:
    new = added(thread, *THREAD)
    return new.on_conflict_do_update(
        index_elements=["bucket", "alert_id", "receiver"], set_={"handle": new.excluded.handle}
    )


# The alerts that `all_bucket` and `all_id` name, as far as they are there; locked.
LOCKED: Final = _locked()
# Stores alerts, new or changed, by arrays of their columns.
KEEP: Final = _kept()
# All deliveries of the alerts `all_id`.
OF_ALERTS: Final = _of_alerts()
# Ends those of `all_bucket`, `all_id`, `all_why` that nobody is at, at `now`; gives their ids.
SUPERSEDE: Final = _superseding()
# What channels gave back, the newest for each alert and receiver.
HANDLES: Final = _handles()
