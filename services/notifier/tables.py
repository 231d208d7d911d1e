"""The notifier's tables as SQLAlchemy sees them; the migrations create them."""

from __future__ import annotations

from sqlalchemy import Column, DateTime, Integer, Interval, LargeBinary, MetaData, SmallInteger, Table, Text, Uuid
from sqlalchemy.dialects.postgresql import JSONB

_metadata = MetaData(schema="notifier")
_Instant = DateTime(timezone=True)

received = Table(
    "received",
    _metadata,
    Column("bucket", SmallInteger, primary_key=True),
    Column("event_id", Text, primary_key=True),
    Column("type", Text),
    Column("time", _Instant),
    Column("item", Text),
    Column("breach_id", Text),
    Column("data", JSONB),
    Column("received_at", _Instant),
)

delivery = Table(
    "delivery",
    _metadata,
    Column("bucket", SmallInteger, primary_key=True),
    Column("id", Uuid, primary_key=True),
    Column("event_id", Text),
    Column("alert_id", Uuid),
    Column("route", Text),
    Column("receiver", Text),
    Column("channel", Text),
    Column("reason", Text),
    Column("state", Text),
    Column("attempts", Integer),
    Column("claim", Integer),
    Column("claimed_until", _Instant),
    Column("claimed_by", Text),
    Column("next_attempt_at", _Instant),
    Column("created_at", _Instant),
    Column("finished_at", _Instant),
    Column("last_answer", Text),
    Column("why", Text),
    Column("group_key", Text),
    Column("step", Text),
    Column("digest_id", Uuid),
    Column("count", Integer),
    Column("after_id", Uuid),
    Column("spent", Integer),
    Column("silence_id", Uuid),
    Column("place", SmallInteger),
)

silence = Table(
    "silence",
    _metadata,
    Column("id", Uuid, primary_key=True),
    Column("tenant", Text),
    Column("asked", JSONB),
    Column("starts_at", _Instant),
    Column("ends_at", _Instant),
    Column("author", Text),
    Column("reason", Text),
    Column("created_at", _Instant),
    Column("expired_by", Text),
    Column("noticed_at", _Instant),
)

inhibitor = Table(
    "inhibitor",
    _metadata,
    Column("key", Text, primary_key=True),
    Column("since", _Instant, primary_key=True),
    Column("bucket", SmallInteger, primary_key=True),
    Column("alert_id", Uuid, primary_key=True),
)

told_group = Table(
    "told_group",
    _metadata,
    Column("key", Text, primary_key=True),
    Column("told_at", _Instant),
    Column("repeat_at", _Instant),
)

pace = Table(
    "pace",
    _metadata,
    Column("receiver", Text, primary_key=True),
    Column("full_at", _Instant),
)

alert = Table(
    "alert",
    _metadata,
    Column("bucket", SmallInteger, primary_key=True),
    Column("id", Uuid, primary_key=True),
    Column("item", Text),
    Column("clock_id", Text),
    Column("event_id", Text),
    Column("standing", Text),
    Column("version", Integer),
    Column("state", LargeBinary),
    Column("due_at", _Instant),
    Column("snoozed_until", _Instant),
    Column("assignee", Text),
    Column("next_step_at", _Instant),
    Column("created_at", _Instant),
    Column("changed_at", _Instant),
)

thread = Table(
    "thread",
    _metadata,
    Column("bucket", SmallInteger, primary_key=True),
    Column("alert_id", Uuid, primary_key=True),
    Column("receiver", Text, primary_key=True),
    Column("handle", Text),
)

endpoint = Table(
    "endpoint",
    _metadata,
    Column("receiver", Text, primary_key=True),
    Column("fingerprint", Text),
    Column("reason", Text),
    Column("disabled_at", _Instant),
)

attempt = Table(
    "attempt",
    _metadata,
    Column("bucket", SmallInteger, primary_key=True),
    Column("delivery_id", Uuid, primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("started_at", _Instant),
    Column("duration", Interval),
    Column("result", Text),
    Column("status", Integer),
    Column("answer", Text),
)

plan = Table(
    "plan",
    _metadata,
    Column("bucket", SmallInteger, primary_key=True),
    Column("item", Text, primary_key=True),
    Column("attributes", JSONB),
    Column("seen_at", _Instant),
)
