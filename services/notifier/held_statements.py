"""The statements about what is held, built once; see `statements`."""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import ARRAY, Select, Text, and_, bindparam, case, cast, delete, func, null, or_, select, update
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.dialects.postgresql import insert as insert_unless_there

from services.notifier.customers import CUSTOMERS
from services.notifier.statements import added, given
from services.notifier.tables import alert, delivery, inhibitor, pace, received, silence, told_group

CHANGED: Final = (
    *("bucket", "id", "state", "why", "group_key", "next_attempt_at", "finished_at"),
    *("digest_id", "place", "silence_id"),
)
TOLD: Final = ("key", "told_at", "repeat_at")
INHIBITING: Final = ("key", "bucket", "alert_id", "since")
DIGEST: Final = (
    *("bucket", "id", "event_id", "route", "receiver", "channel", "reason", "state", "why", "group_key"),
    *("count", "attempts", "claim", "next_attempt_at", "created_at"),
)
REPEATED: Final = (
    *("bucket", "id", "event_id", "alert_id", "route", "receiver", "channel", "reason", "state", "why", "group_key"),
    *("step", "attempts", "claim", "next_attempt_at", "created_at"),
)
SOURCES_LOOKED_AT: Final = 2  # of one key: the target itself may be one of them

_SAME_RECEIVED: Final = and_(received.c.bucket == delivery.c.bucket, received.c.event_id == delivery.c.event_id)
_SAME_ALERT: Final = and_(alert.c.bucket == delivery.c.bucket, alert.c.id == delivery.c.alert_id)
_SHOWN: Final = (
    *(delivery.c.id, delivery.c.alert_id, delivery.c.route, delivery.c.receiver, delivery.c.channel),
    *(delivery.c.reason, delivery.c.why, delivery.c.group_key, delivery.c.step, delivery.c.next_attempt_at),
    *(received.c.event_id, received.c.type, received.c.time, received.c.data, alert.c.state.label("alert_state")),
)


def _shown() -> Select[Any]:
    return select(*_SHOWN).select_from(delivery.join(received, _SAME_RECEIVED).outerjoin(alert, _SAME_ALERT))


def _held() -> Select[Any]:
    # What is due, and all of the groups of which something is.
    of_receiver = (delivery.c.receiver == bindparam("receiver"), delivery.c.state == "held")
    other = delivery.alias("other")
    due_groups = select(other.c.group_key).where(
        other.c.receiver == bindparam("receiver"),
        other.c.state == "held",
        other.c.next_attempt_at <= bindparam("now"),
        other.c.group_key.is_not(None),
    )
    due = or_(delivery.c.next_attempt_at <= bindparam("now"), delivery.c.group_key.in_(due_groups))
    found = _shown().where(*of_receiver, due).order_by(delivery.c.next_attempt_at, delivery.c.id)
    return found.limit(bindparam("most")).with_for_update(of=delivery, skip_locked=True)


def _changed() -> Any:
    columns = {name: delivery.c[name].type for name in CHANGED}
    changed = given("changed", **columns)
    same = and_(delivery.c.bucket == changed.c.bucket, delivery.c.id == changed.c.id)
    values = {name: changed.c[name] for name in CHANGED if name not in ("bucket", "id", "silence_id")}
    hidden = func.coalesce(changed.c.silence_id, delivery.c.silence_id)
    return update(delivery).where(same, delivery.c.state == "held").values(**values, silence_id=hidden)


def _told() -> Any:
    new = added(told_group, *TOLD)
    return new.on_conflict_do_update(
        index_elements=["key"], set_={"told_at": new.excluded.told_at, "repeat_at": new.excluded.repeat_at}
    )


def _inhibiting() -> Select[Any]:
    asked = given("asked", key=Text())
    same = and_(alert.c.bucket == inhibitor.c.bucket, alert.c.id == inhibitor.c.alert_id)
    is_open = alert.c.standing.in_(("open", "acknowledged"))
    first = (
        select(inhibitor.c.key, inhibitor.c.alert_id, inhibitor.c.since)
        .select_from(inhibitor.join(alert, same))
        .where(inhibitor.c.key == asked.c.key, is_open)
        .order_by(inhibitor.c.since)
        .limit(SOURCES_LOOKED_AT)
        .lateral("first")
    )
    return select(first.c.key, first.c.alert_id, first.c.since).select_from(
        asked.join(first, asked.c.key == first.c.key)
    )


def _untold() -> Any:
    # What a silence hid and is still open; the newest row of an alert is told, which `release` sees to.
    label = bindparam("label", type_=Text())
    together = cast(func.jsonb_build_array(delivery.c.receiver, null(), func.jsonb_build_array(), label), Text())
    # Each customer's mail goes to another address, so they are never told together.
    key = case((delivery.c.receiver == CUSTOMERS, null()), else_=together)
    return (
        update(delivery)
        .where(delivery.c.silence_id == bindparam("ended_id"), delivery.c.state == "silenced", _SAME_ALERT)
        .where(alert.c.standing.in_(("warning", "open")))
        .values(
            state="held",
            next_attempt_at=bindparam("at"),
            finished_at=None,
            group_key=key,
            why=bindparam("ended_why"),
        )
    )


def _still_open() -> Select[Any]:
    told = delivery.c.state.in_(("pending", "delivered", "digested", "failed"))
    of_group = (delivery.c.group_key == bindparam("key"), delivery.c.alert_id.is_not(None), told)
    newest = _shown().where(*of_group, alert.c.standing == "open", received.c.type == "sla.clock.breached.v1")
    in_order = newest.order_by(delivery.c.alert_id, delivery.c.created_at.desc(), delivery.c.id)
    return in_order.ext(distinct_on(delivery.c.alert_id))


# The receivers of which something held is due at `now`.
DUE_RECEIVERS: Final = (
    select(delivery.c.receiver)
    .where(delivery.c.state == "held", delivery.c.next_attempt_at <= bindparam("now"))
    .distinct()
)
# How much is held.
HOW_MANY: Final = select(func.count()).where(delivery.c.state == "held")
# When the next of what is held is due.
NEXT_HELD: Final = select(func.min(delivery.c.next_attempt_at)).where(delivery.c.state == "held")
# Makes sure that there is a row for `receiver`, and locks it unless another process releases for it just now.
PACE_THERE: Final = insert_unless_there(pace).values(receiver=bindparam("receiver")).on_conflict_do_nothing()
PACE: Final = select(pace.c.full_at).where(pace.c.receiver == bindparam("receiver")).with_for_update(skip_locked=True)
PACED: Final = update(pace).where(pace.c.receiver == bindparam("whose")).values(full_at=bindparam("full"))
# What of `receiver` is due at `now`, with all of its groups, up to `most`; locked.
HELD: Final = _held()
# What becomes of it, by arrays of the columns.
CHANGE_HELD: Final = _changed()
# The digests that it makes.
DIGESTS: Final = added(delivery, *DIGEST).on_conflict_do_nothing()
# When the groups `all_key` were told last, and that they are told now.
TOLD_LAST: Final = select(told_group.c.key, told_group.c.told_at).where(
    told_group.c.key == func.any(bindparam("all_key", type_=ARRAY(Text())))
)
TELL: Final = _told()
# The groups of which what is still open is told again at `now`, locked; what that is; and that it was looked at.
TO_REPEAT: Final = (
    select(told_group.c.key, told_group.c.told_at)
    .where(told_group.c.repeat_at <= bindparam("now"))
    .order_by(told_group.c.repeat_at)
    .limit(bindparam("most"))
    .with_for_update(skip_locked=True)
)
STILL_OPEN: Final = _still_open()
REPEAT: Final = added(delivery, *REPEATED).on_conflict_do_nothing()
REPEATING: Final = (
    update(told_group)
    .where(told_group.c.key == func.any(bindparam("all_key", type_=ARRAY(Text()))))
    .values(repeat_at=None)
)
# Which of the keys `all_key` are those of open breaches, and of which alerts; and which alerts inhibit.
OPEN_SOURCES: Final = _inhibiting()
INHIBIT: Final = added(inhibitor, *INHIBITING).on_conflict_do_nothing()
# Silences that are over at `now` and of which nobody has noticed it, locked; and what to tell then.
OVER: Final = (
    select(silence.c.id, silence.c.author)
    .where(silence.c.noticed_at.is_(None), silence.c.ends_at <= bindparam("now"))
    .order_by(silence.c.ends_at)
    .limit(bindparam("most"))
    .with_for_update(skip_locked=True)
)
NOTICED: Final = update(silence).where(silence.c.id == bindparam("ended_id")).values(noticed_at=bindparam("at"))
UNTOLD: Final = _untold()
# What is too old to matter: groups that nobody waits for, and silences whose end was noticed.
OLD_GROUPS: Final = delete(told_group).where(
    told_group.c.told_at < bindparam("before"), told_group.c.repeat_at.is_(None)
)
OLD_SILENCES: Final = delete(silence).where(silence.c.ends_at < bindparam("before"), silence.c.noticed_at.is_not(None))
