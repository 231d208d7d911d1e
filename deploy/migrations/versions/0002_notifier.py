"""Create what the notifier owns: breaches received, deliveries, attempts.

Every key begins with the item's bucket, so that the tables can be spread over several servers without a change of code.
"""

from __future__ import annotations

from alembic import op

revision = "0002_notifier"
down_revision = "0001_timer"

UPGRADE = """
CREATE SCHEMA notifier;

-- The inbox: one row a CloudEvent. A repeat finds its row and alerts nobody again.
CREATE TABLE notifier.received (
    bucket smallint NOT NULL,
    event_id text NOT NULL,
    type text NOT NULL,
    time timestamptz NOT NULL,
    item text NOT NULL,             -- tenant/kind/id
    breach_id text,                 -- null on a warning: nothing is broken yet
    data jsonb NOT NULL,
    received_at timestamptz NOT NULL,
    PRIMARY KEY (bucket, event_id)
);
CREATE INDEX received_age ON notifier.received (received_at);

-- One row an alert: who hears of an event, and how far that has got.
CREATE TABLE notifier.delivery (
    bucket smallint NOT NULL,
    id uuid NOT NULL,               -- its first byte is the bucket
    event_id text NOT NULL,
    route text NOT NULL,
    receiver text NOT NULL,
    channel text NOT NULL,
    reason text NOT NULL,           -- for people
    state text NOT NULL CHECK (state IN ('pending', 'delivered', 'failed')),
    attempts integer NOT NULL DEFAULT 0,  -- finished ones
    claim integer NOT NULL DEFAULT 0,     -- how often a process took it up; an older claim may not write
    claimed_until timestamptz,            -- by the database's clock; null or past: nobody is at it
    next_attempt_at timestamptz,          -- of a pending one
    created_at timestamptz NOT NULL,
    finished_at timestamptz,
    last_answer text,
    PRIMARY KEY (bucket, id),
    UNIQUE (bucket, event_id, route, receiver),
    FOREIGN KEY (bucket, event_id) REFERENCES notifier.received ON DELETE CASCADE
) WITH (fillfactor = 80);
CREATE INDEX delivery_due ON notifier.delivery (receiver, next_attempt_at) WHERE state = 'pending';
CREATE INDEX delivery_newest ON notifier.delivery (created_at, id);
CREATE INDEX delivery_newest_of_receiver ON notifier.delivery (receiver, created_at, id);
CREATE INDEX delivery_failed ON notifier.delivery (created_at, id) WHERE state = 'failed';

CREATE TABLE notifier.attempt (
    bucket smallint NOT NULL,
    delivery_id uuid NOT NULL,
    number integer NOT NULL,        -- from 1
    started_at timestamptz NOT NULL,
    duration interval NOT NULL,
    result text NOT NULL CHECK (result IN ('delivered', 'retry', 'refused')),
    status integer,                 -- of HTTP or SMTP
    answer text NOT NULL,           -- without secrets, short
    PRIMARY KEY (bucket, delivery_id, number),
    FOREIGN KEY (bucket, delivery_id) REFERENCES notifier.delivery ON DELETE CASCADE
);
"""


def upgrade() -> None:
    """Create the schema."""
    for statement in UPGRADE.split(";\n"):
        if statement.strip():
            op.execute(statement)


def downgrade() -> None:
    """Drop the schema and everything in it."""
    op.execute("DROP SCHEMA notifier CASCADE")
