"""Remember when each source was heard, what is usual for it, and which silences were told of.

Every key begins with the partition, so that the tables can be spread over several servers without a change of code.
"""

from __future__ import annotations

from alembic import op

revision = "0004_sources"
down_revision = "0003_calendar_data"

UPGRADE = """
-- When something new of a source was last folded on a partition; written with the partition's write sets.
CREATE TABLE timer.heard (
    partition integer NOT NULL,
    tenant text NOT NULL,
    source text NOT NULL,
    heard_at bigint NOT NULL,       -- microseconds since the epoch: when its record arrived, to the second
    PRIMARY KEY (partition, tenant, source)
) WITH (fillfactor = 70);

-- The habits of a source; written by the owner of the partition in whose outbox its silences go.
CREATE TABLE timer.source (
    partition integer NOT NULL,
    tenant text NOT NULL,
    source text NOT NULL,
    since bigint NOT NULL,          -- first heard
    latest bigint NOT NULL,         -- last heard
    minutes bytea NOT NULL,         -- a bit for each minute before that of `latest`, the lowest first: it spoke in it
    reported bigint,                -- the `latest` after which a silence was published last
    PRIMARY KEY (partition, tenant, source)
);

-- When everything that was sent could be heard: of other times nobody knows whether a source was quiet.
CREATE TABLE timer.hearing (
    partition integer PRIMARY KEY,
    through bigint NOT NULL,        -- everything that the brokers held then has been read
    breaks bytea NOT NULL           -- msgpack: a list of [start, end] before it
);
"""


def upgrade() -> None:
    """Create the tables."""
    for statement in UPGRADE.split(";\n"):
        if statement.strip():
            op.execute(statement)


def downgrade() -> None:
    """Drop them; habits are learned again."""
    op.execute("DROP TABLE timer.heard, timer.source, timer.hearing")
