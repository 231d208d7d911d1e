"""Keep the records that the brokers do not take, and why, instead of leaving them out."""

from __future__ import annotations

from alembic import op

revision = "0006_parked"
down_revision = "0005_migration"


def upgrade() -> None:
    """Create the table."""
    op.execute("""
        CREATE TABLE timer.parked (
            partition integer NOT NULL,
            position bigint NOT NULL,
            topic text NOT NULL,
            key bytea NOT NULL,
            headers bytea NOT NULL,         -- msgpack: a list of [name, value]
            value bytea,
            reason text NOT NULL,
            parked_at timestamptz NOT NULL DEFAULT clock_timestamp(),
            PRIMARY KEY (partition, position)
        )
    """)


def downgrade() -> None:
    """Drop it, with what it holds."""
    op.execute("DROP TABLE timer.parked")
