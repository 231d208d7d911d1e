"""Count the alerts that are not over by an index, and let a delivery be sent again from the start of its schedule."""

from __future__ import annotations

from alembic import op

revision = "0011_alerts_on"
down_revision = "0010_alerts"


def upgrade() -> None:
    """Add the column and the index."""
    # `spent`: attempts made before somebody had it sent again; the schedule counts those after them.
    op.execute("ALTER TABLE notifier.delivery ADD COLUMN spent integer NOT NULL DEFAULT 0")
    op.execute(
        "CREATE INDEX alert_on ON notifier.alert (standing, due_at)"
        " WHERE standing IN ('warning', 'open', 'acknowledged')"
    )


def downgrade() -> None:
    """Take them away."""
    op.execute("DROP INDEX notifier.alert_on")
    op.execute("ALTER TABLE notifier.delivery DROP COLUMN spent")
