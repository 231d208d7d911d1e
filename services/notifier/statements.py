"""The statements of every round of deliveries, built once: building and compiling one takes 4 ms, running it 0.3 ms.

Lists come in as arrays, one a column, so that the text of a statement is the same for any number of rows.
"""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import (
    ARRAY,
    ColumnElement,
    Integer,
    Interval,
    Select,
    Table,
    TableValuedAlias,
    Text,
    and_,
    bindparam,
    cast,
    column,
    exists,
    func,
    or_,
    select,
    true,
    update,
)
from sqlalchemy.dialects.postgresql import JSONB, Insert
from sqlalchemy.dialects.postgresql import insert as insert_unless_there
from sqlalchemy.types import TypeEngine

from services.notifier.tables import alert, attempt, delivery, received, thread

NEW_RECEIVED: Final = ("bucket", "event_id", "type", "time", "item", "breach_id", "data", "received_at")
NEW_DELIVERY: Final = (
    *("bucket", "id", "event_id", "alert_id", "route", "receiver", "channel", "reason"),
    *("state", "why", "group_key", "step", "attempts", "claim", "next_attempt_at", "created_at", "finished_at"),
    *("after_id", "silence_id"),
)
NEW_ATTEMPT: Final = ("bucket", "delivery_id", "number", "started_at", "duration", "result", "status", "answer")


def given(name: str, **columns: TypeEngine[Any]) -> TableValuedAlias:
    """The rows that the arrays `all_…`, one a column, make side by side."""
    arrays = [bindparam(f"all_{each}", type_=ARRAY(type_)) for each, type_ in columns.items()]
    shape = [column(each, type_) for each, type_ in columns.items()]
    return func.unnest(*arrays).table_valued(*shape, name=name).render_derived()


def _waiting(receiver: ColumnElement[str]) -> Select[Any]:
    # One receiver after the other: so each is a few steps in the index, however much waits for another.
    unclaimed = or_(delivery.c.claimed_until.is_(None), delivery.c.claimed_until <= func.clock_timestamp())
    before = delivery.alias("before")
    same = (before.c.bucket == delivery.c.bucket, before.c.id == delivery.c.after_id)
    is_first = or_(delivery.c.after_id.is_(None), ~exists().where(*same, before.c.finished_at.is_(None)))
    return (
        select(delivery.c.bucket, delivery.c.id, delivery.c.next_attempt_at)
        .where(delivery.c.receiver == receiver, delivery.c.state == "pending", unclaimed, is_first)
        .order_by(delivery.c.next_attempt_at)
    )


def _due() -> Select[Any]:
    free = given("free", receiver=Text(), room=Integer())
    due = _waiting(free.c.receiver).where(delivery.c.next_attempt_at <= bindparam("now")).limit(free.c.room)
    locked = due.with_for_update(of=delivery, skip_locked=True).lateral("waiting")
    return select(locked.c.bucket, locked.c.id).select_from(free.join(locked, true()))


def _earliest() -> Select[Any]:
    named = given("named", receiver=Text())
    first = _waiting(named.c.receiver).limit(1).lateral("waiting")
    return select(func.min(first.c.next_attempt_at)).select_from(named.join(first, true()))


def _claim() -> Any:
    keys = given("keys", bucket=delivery.c.bucket.type, id=delivery.c.id.type)
    until = func.clock_timestamp() + bindparam("lease", type_=Interval())
    # Looked up by their keys: a join would have to be an outer one, which an UPDATE has no place for.
    its_alert = (alert.c.bucket == delivery.c.bucket, alert.c.id == delivery.c.alert_id)
    its_thread = (thread.c.bucket == delivery.c.bucket, thread.c.alert_id == delivery.c.alert_id)
    standing = select(alert.c.state).where(*its_alert).correlate(delivery).scalar_subquery()
    handle = select(thread.c.handle).where(*its_thread, thread.c.receiver == delivery.c.receiver)
    given_back = handle.correlate(delivery).scalar_subquery()
    return (
        update(delivery)
        .where(delivery.c.bucket == keys.c.bucket, delivery.c.id == keys.c.id)
        .where(received.c.bucket == delivery.c.bucket, received.c.event_id == delivery.c.event_id)
        .values(claim=delivery.c.claim + 1, claimed_until=until, claimed_by=bindparam("instance", type_=Text()))
        .returning(
            *(delivery, received.c.type, received.c.time, received.c.data),
            *(standing.label("alert_state"), given_back.label("handle"), delivery.c.count.label("told_of")),
        )
    )


def _change() -> Any:
    key = (delivery.c.bucket, delivery.c.id, delivery.c.claim)
    news = [delivery.c[name] for name in ("state", "attempts", "next_attempt_at", "finished_at", "last_answer")]
    ended = given("ended", **{field.name: field.type for field in (*key, *news)})
    same = and_(*(field == ended.c[field.name] for field in key))
    changed = {field.name: ended.c[field.name] for field in news}
    change = update(delivery).where(same, delivery.c.state == "pending").values(claimed_until=None, **changed)
    return change.returning(delivery.c.id)


def added(table: Table, *names: str) -> Insert:
    """Adds rows to *table*, by arrays of the columns *names*."""
    # Arrays of JSON come in as texts: so each is encoded once, and by nobody but us.
    fields = [table.c[name] for name in names]
    columns = {field.name: Text() if isinstance(field.type, JSONB) else field.type for field in fields}
    rows = given("rows", **columns)
    chosen = [cast(rows.c[each.name], JSONB) if isinstance(each.type, JSONB) else rows.c[each.name] for each in fields]
    return insert_unless_there(table).from_select(list(names), select(*chosen))


# (bucket, id) of what is due at `now`, locked: for each of `all_receiver` up to its `all_room`.
DUE: Final = _due()
# The earliest `next_attempt_at` of what nobody is at for `all_receiver`.
EARLIEST: Final = _earliest()
# Takes up for `lease` and in the name of `instance` what `all_bucket` and `all_id` name, and gives it with its breach.
CLAIM: Final = _claim()
# What becomes of deliveries whose claim still holds, by `all_bucket`, `all_id`, `all_claim`, …; gives their ids.
CHANGE: Final = _change()
# Breaches and silences, by arrays of their columns; gives the ids of those that were not there. 500 of them with their
# deliveries take 25 ms of CPU time, and took 150 with a parameter for each value.
RECEIVED: Final = added(received, *NEW_RECEIVED).on_conflict_do_nothing().returning(received.c.event_id)
# What is to be delivered of them, by arrays of their columns.
PENDING: Final = added(delivery, *NEW_DELIVERY)
# Where the answer to a commit was lost, the same attempts are recorded again.
ATTEMPTS: Final = added(attempt, *NEW_ATTEMPT).on_conflict_do_nothing()
