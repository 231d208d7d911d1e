"""Let processes know of each other whether Kafka answers them."""

from __future__ import annotations

from alembic import op

revision = "0008_in_touch"
down_revision = "0007_loss"


def upgrade() -> None:
    """Add the column; of a process of the version before, it is taken to be so."""
    op.execute("ALTER TABLE timer.member ADD COLUMN in_touch boolean NOT NULL DEFAULT true")


def downgrade() -> None:
    """Drop it."""
    op.execute("ALTER TABLE timer.member DROP COLUMN in_touch")
