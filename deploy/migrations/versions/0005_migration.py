"""Keep the migrations of open clocks: who decided what and why, how far it has come, and what it did."""

from __future__ import annotations

from alembic import op

revision = "0005_migration"
down_revision = "0004_sources"

UPGRADE = """
CREATE TABLE timer.migration (
    id uuid PRIMARY KEY,
    at bigint NOT NULL,             -- microseconds since the epoch: the instant that its events carry
    version text,                   -- to which open clocks move; null: every clock keeps its own
    selection jsonb NOT NULL,       -- which items it is about: tenant, kind, policy
    reason text NOT NULL,
    decided_by text NOT NULL,
    started_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    finished_at timestamptz,
    abandoned boolean NOT NULL DEFAULT false,
    after_partition integer NOT NULL DEFAULT -1,  -- with after_key: the last item that was decided about
    after_key text NOT NULL DEFAULT '',
    sending jsonb NOT NULL DEFAULT '[]',  -- keys of the items whose events may not have been sent: the last page's
    counts jsonb NOT NULL DEFAULT '{}'    -- items, events, and each effect on clocks -> how many
);
-- One at a time: two would move the same items to and fro.
CREATE UNIQUE INDEX migration_unfinished ON timer.migration ((true)) WHERE finished_at IS NULL;
"""


def upgrade() -> None:
    """Create the table."""
    for statement in UPGRADE.split(";\n"):
        if statement.strip():
            op.execute(statement)


def downgrade() -> None:
    """Drop it, with what it says of the past."""
    op.execute("DROP TABLE timer.migration")
