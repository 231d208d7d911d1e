"""Keep with a version of the policies the rules of time zones and the public holidays that it is computed with.

Versions registered before have none: for them the installed packages answer, as they did.
"""

from __future__ import annotations

from alembic import op

revision = "0003_calendar_data"
down_revision = "0002_notifier"


def upgrade() -> None:
    """The data names its packages itself; their column stays for processes of the version before, and is not read."""
    op.execute("ALTER TABLE timer.policy_version ADD COLUMN calendar_data jsonb, ALTER COLUMN tzdata SET DEFAULT ''")


def downgrade() -> None:
    """Drop the data; what the packages were is then unknown."""
    op.execute("ALTER TABLE timer.policy_version DROP COLUMN calendar_data, ALTER COLUMN tzdata DROP DEFAULT")
