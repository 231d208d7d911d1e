"""Remember for an hour which items have a plan, so that customers are told of breaches that are older than it."""

from __future__ import annotations

from alembic import op

revision = "0014_plan"
down_revision = "0013_endpoint"

UPGRADE = """
CREATE TABLE notifier.plan (
    bucket smallint NOT NULL,
    item text NOT NULL,             -- tenant/kind/id
    attributes jsonb NOT NULL,      -- those of the item that say that there is a plan
    seen_at timestamptz NOT NULL,
    PRIMARY KEY (bucket, item)
)
"""


def upgrade() -> None:
    """Create the table."""
    op.execute(UPGRADE)


def downgrade() -> None:
    """Drop it: whoever was not told yet is not told any more."""
    op.execute("DROP TABLE notifier.plan")
