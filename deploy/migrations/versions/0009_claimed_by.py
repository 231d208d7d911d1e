"""Note which process took a delivery up, so that its successor of the same name need not wait for the claim to end."""

from __future__ import annotations

from alembic import op

revision = "0009_claimed_by"
down_revision = "0008_in_touch"


def upgrade() -> None:
    """Add the column; whose the claims of now are is not known, so they end with their lease."""
    op.execute("ALTER TABLE notifier.delivery ADD COLUMN claimed_by text")


def downgrade() -> None:
    """Drop it."""
    op.execute("ALTER TABLE notifier.delivery DROP COLUMN claimed_by")
