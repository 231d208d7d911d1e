"""Keep silences, what inhibits, when groups were told, and how much of a receiver's rate limit is used."""

from __future__ import annotations

from alembic import op

revision = "0012_holding"
down_revision = "0011_alerts_on"

UPGRADE = """
-- What people have silenced: small, so it needs no bucket.
CREATE TABLE notifier.silence (
    id uuid PRIMARY KEY,
    tenant text,                    -- null: every tenant
    asked jsonb NOT NULL,           -- match, regex, when: as a route has them
    starts_at timestamptz NOT NULL,
    ends_at timestamptz NOT NULL,
    author text NOT NULL,
    reason text NOT NULL,
    created_at timestamptz NOT NULL,
    expired_by text,                -- who ended it early
    noticed_at timestamptz,         -- when its end was seen, and what it hid and was still open was told
    CHECK (starts_at <= ends_at)
);
CREATE INDEX silence_unnoticed ON notifier.silence (ends_at) WHERE noticed_at IS NULL;
CREATE INDEX silence_newest ON notifier.silence (created_at, id);

-- The open breaches that inhibit, by the key of their rule and of the fields that must be equal.
CREATE TABLE notifier.inhibitor (
    key text NOT NULL,
    bucket smallint NOT NULL,
    alert_id uuid NOT NULL,
    since timestamptz NOT NULL,
    PRIMARY KEY (key, since, bucket, alert_id),
    FOREIGN KEY (bucket, alert_id) REFERENCES notifier.alert ON DELETE CASCADE
);
CREATE INDEX inhibitor_of_alert ON notifier.inhibitor (bucket, alert_id);

-- When a group of notices was told last, and when what of it is still open is told again.
CREATE TABLE notifier.told_group (
    key text PRIMARY KEY,
    told_at timestamptz NOT NULL,
    repeat_at timestamptz
);
CREATE INDEX told_group_repeat ON notifier.told_group (repeat_at) WHERE repeat_at IS NOT NULL;
CREATE INDEX told_group_age ON notifier.told_group (told_at);

-- One row a receiver of which something was ever held; whoever releases for it holds its lock.
CREATE TABLE notifier.pace (
    receiver text PRIMARY KEY,
    full_at timestamptz             -- when the bucket of its rate limit is full again; null: it is
);

-- `silence_id`: the silence that hid it, also when it was told after all. `place`: in its digest, the worst 1; null
-- beyond those that are shown.
ALTER TABLE notifier.delivery
    ADD COLUMN silence_id uuid,
    ADD COLUMN place smallint;
CREATE INDEX delivery_held_for ON notifier.delivery (receiver, next_attempt_at) WHERE state = 'held';
CREATE INDEX delivery_in_group ON notifier.delivery (group_key) WHERE group_key IS NOT NULL;
CREATE INDEX delivery_hidden ON notifier.delivery (silence_id) WHERE silence_id IS NOT NULL;
"""

DOWNGRADE = """
DROP INDEX notifier.delivery_held_for;
DROP INDEX notifier.delivery_in_group;
ALTER TABLE notifier.delivery DROP COLUMN silence_id, DROP COLUMN place;
DROP TABLE notifier.pace;
DROP TABLE notifier.told_group;
DROP TABLE notifier.inhibitor;
DROP TABLE notifier.silence
"""


def upgrade() -> None:
    """Create the tables, and give deliveries their places in digests and the silences that hid them."""
    for statement in UPGRADE.split(";\n"):
        if statement.strip():
            op.execute(statement)


def downgrade() -> None:
    """Drop them; what is held stays so."""
    for statement in DOWNGRADE.split(";\n"):
        if statement.strip():
            op.execute(statement)
