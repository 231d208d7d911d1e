"""Keep one alert a clock, let deliveries wait or end for more reasons, and remember what channels gave back."""

from __future__ import annotations

from alembic import op

revision = "0010_alerts"
down_revision = "0009_claimed_by"

UPGRADE = """
-- One row a clock of which anything was published: what stands for the promise that is broken, or about to be.
CREATE TABLE notifier.alert (
    bucket smallint NOT NULL,
    id uuid NOT NULL,               -- its first byte is the bucket
    item text NOT NULL,             -- tenant/kind/id
    clock_id text NOT NULL,
    event_id text NOT NULL,         -- of the newest event: what the alert tells of
    standing text NOT NULL CHECK (standing IN ('warning', 'open', 'acknowledged', 'ended', 'retracted')),
    version integer NOT NULL,       -- one more at every change
    state bytea NOT NULL,           -- all that is known of it, as msgpack
    due_at timestamptz,
    snoozed_until timestamptz,
    assignee text,
    next_step_at timestamptz,       -- when a step of its escalation is due; null: never again
    created_at timestamptz NOT NULL,
    changed_at timestamptz NOT NULL,
    PRIMARY KEY (bucket, id)
) WITH (fillfactor = 80);
CREATE INDEX alert_newest ON notifier.alert (created_at, id);
CREATE INDEX alert_step ON notifier.alert (next_step_at) WHERE next_step_at IS NOT NULL;

-- What a receiver's channel gave back for its message about an alert, so that it changes that message later.
CREATE TABLE notifier.thread (
    bucket smallint NOT NULL,
    alert_id uuid NOT NULL,
    receiver text NOT NULL,
    handle text NOT NULL,
    PRIMARY KEY (bucket, alert_id, receiver),
    FOREIGN KEY (bucket, alert_id) REFERENCES notifier.alert ON DELETE CASCADE
);

-- `after_id`: the delivery that this receiver gets first. An event reaches a receiver by several steps of an
-- escalation, so (event, route, receiver) is no key any more; the id is made of all of them.
ALTER TABLE notifier.delivery
    ADD COLUMN alert_id uuid,
    ADD COLUMN why text NOT NULL DEFAULT '',
    ADD COLUMN group_key text,
    ADD COLUMN step text,
    ADD COLUMN digest_id uuid,
    ADD COLUMN count integer NOT NULL DEFAULT 1,
    ADD COLUMN after_id uuid,
    DROP CONSTRAINT delivery_state_check,
    DROP CONSTRAINT delivery_bucket_event_id_route_receiver_key,
    ADD CONSTRAINT delivery_state_check CHECK (state IN
        ('pending', 'held', 'delivered', 'failed', 'silenced', 'muted', 'superseded', 'digested'));
CREATE INDEX delivery_of_event ON notifier.delivery (bucket, event_id);
CREATE INDEX delivery_of_alert ON notifier.delivery (alert_id) WHERE alert_id IS NOT NULL;
CREATE INDEX delivery_held ON notifier.delivery (next_attempt_at) WHERE state = 'held';
CREATE INDEX delivery_in_digest ON notifier.delivery (digest_id) WHERE digest_id IS NOT NULL;
"""

DOWNGRADE = """
DELETE FROM notifier.delivery WHERE step IS NOT NULL;
UPDATE notifier.delivery SET state = 'pending' WHERE state = 'held';
UPDATE notifier.delivery SET state = 'failed', last_answer = why
    WHERE state IN ('silenced', 'muted', 'superseded', 'digested');
DROP INDEX notifier.delivery_of_event;
ALTER TABLE notifier.delivery
    DROP CONSTRAINT delivery_state_check,
    ADD CONSTRAINT delivery_state_check CHECK (state IN ('pending', 'delivered', 'failed')),
    ADD UNIQUE (bucket, event_id, route, receiver),
    DROP COLUMN alert_id,
    DROP COLUMN why,
    DROP COLUMN group_key,
    DROP COLUMN step,
    DROP COLUMN digest_id,
    DROP COLUMN count,
    DROP COLUMN after_id;
DROP TABLE notifier.thread;
DROP TABLE notifier.alert
"""


def upgrade() -> None:
    """Create the tables, and widen the deliveries."""
    for statement in UPGRADE.split(";\n"):
        if statement.strip():
            op.execute(statement)


def downgrade() -> None:
    """Take it all back; deliveries that only this version knows go with it."""
    for statement in DOWNGRADE.split(";\n"):
        if statement.strip():
            op.execute(statement)
