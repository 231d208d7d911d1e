"""Create what the timer owns: leases, items, their history, the outbox, policy versions.

Every key begins with the partition, so that the tables can be spread over several servers without a change of code.
"""

from __future__ import annotations

from alembic import op

revision = "0001_timer"
down_revision = None

UPGRADE = """
CREATE SCHEMA timer;

-- What holds for the whole installation: the frozen partition count, the embedded broker's incarnation.
CREATE TABLE timer.installation (name text PRIMARY KEY, value text NOT NULL);

-- The processes that are alive, so that each takes its fair share.
CREATE TABLE timer.member (instance text PRIMARY KEY, seen_at timestamptz NOT NULL);

-- One row a partition: who owns it, under which epoch, and how far it has got. Updated with every write set.
CREATE TABLE timer.lease (
    partition integer PRIMARY KEY,
    owner text,
    epoch bigint NOT NULL DEFAULT 0,
    expires_at timestamptz NOT NULL DEFAULT '-infinity',
    revision bigint NOT NULL DEFAULT 0,           -- write sets committed; tells whether one whose answer was lost was
    next_offset bigint,                           -- null: read from the beginning of the log
    published_through bigint NOT NULL DEFAULT 0,  -- outbox position
    items bigint NOT NULL DEFAULT 0,
    open_clocks jsonb NOT NULL DEFAULT '{}',      -- "state/severity" -> count
    told_below bigint NOT NULL DEFAULT 0          -- rows of lower revisions are on the topic of clocks
) WITH (fillfactor = 10);

CREATE TABLE timer.item (
    partition integer NOT NULL,
    key text NOT NULL,              -- tenant/kind/id
    state bytea NOT NULL,           -- msgpack: what the fold says happened
    ledger bytea NOT NULL,          -- msgpack: what was published of it
    next_due bigint,                -- microseconds since the epoch: the earliest fact that is still to be published
    clock_states integer NOT NULL,  -- a bit for each state that some clock is in
    quarantined boolean NOT NULL DEFAULT false,
    seen bytea NOT NULL,            -- four bytes for each event folded, by which repeats are suspected
    revision bigint NOT NULL,       -- of the write set that wrote the row
    retired text NOT NULL,          -- ids of the clocks that late evidence removed, a space between them
    PRIMARY KEY (partition, key)
) WITH (fillfactor = 70);
CREATE INDEX item_next_due ON timer.item (partition, next_due, key) WHERE next_due IS NOT NULL;

-- The distinct events of an item, a row for each write set that folded some; read only to fold an item again.
CREATE TABLE timer.history (
    partition integer NOT NULL,
    key text NOT NULL,
    revision bigint NOT NULL,
    events bytea NOT NULL,          -- msgpack: a list of events
    PRIMARY KEY (partition, key, revision)
);

-- Committed but perhaps not yet published; deleted once published_through has passed.
CREATE TABLE timer.outbox (
    partition integer NOT NULL,
    position bigint NOT NULL,
    topic text NOT NULL,
    key bytea NOT NULL,
    headers bytea NOT NULL,         -- msgpack: a list of [name, value]
    value bytea,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (partition, position)
);

-- The versions of the policy files, and from when on each is in force.
CREATE TABLE timer.policy_version (
    effective_from bigint PRIMARY KEY, -- microseconds since the epoch
    version text NOT NULL,             -- hash of the content
    files jsonb NOT NULL,              -- name -> text
    tzdata text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
"""


def upgrade() -> None:
    """Create the schema."""
    for statement in UPGRADE.split(";\n"):
        if statement.strip():
            op.execute(statement)


def downgrade() -> None:
    """Drop the schema and everything in it."""
    op.execute("DROP SCHEMA timer CASCADE")
