"""Remember which receivers are no more, so that every process and the next one leaves them alone."""

from __future__ import annotations

from alembic import op

revision = "0013_endpoint"
down_revision = "0012_holding"


def upgrade() -> None:
    """Create the table; no receiver is disabled yet."""
    op.execute(
        """
        CREATE TABLE notifier.endpoint (
            receiver text PRIMARY KEY,
            fingerprint text NOT NULL,      -- of where it led to; another one enables it again
            reason text NOT NULL,           -- what it said, short and without secrets
            disabled_at timestamptz NOT NULL
        )
        """
    )


def downgrade() -> None:
    """Drop it; what was disabled is tried again."""
    op.execute("DROP TABLE notifier.endpoint")
