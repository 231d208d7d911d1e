"""Remember when a partition was read on behind records that were lost: what was open then may have ended in them."""

from __future__ import annotations

from alembic import op

revision = "0007_loss"
down_revision = "0006_parked"


def upgrade() -> None:
    """Add the column; null: nothing was ever lost."""
    op.execute("ALTER TABLE timer.lease ADD COLUMN loss_at bigint")


def downgrade() -> None:
    """Drop it."""
    op.execute("ALTER TABLE timer.lease DROP COLUMN loss_at")
