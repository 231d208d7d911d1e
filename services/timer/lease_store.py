"""The SQL of ownership: members, leases, the installation's constants, policy versions."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, NamedTuple

from services.timer.lease import LEASE_S, Crew, Lease, lease_of
from shared.db import Database
from shared.errors import Refused
from shared.events import Instant

_COLUMNS = (
    "partition, owner, epoch, expires_at < clock_timestamp() AS expired, revision, next_offset, published_through,"
    " items, open_clocks::text AS open_clocks, told_below, loss_at"
)


class StoredVersion(NamedTuple):
    """A version of the policy files as it was registered."""

    version: str
    effective_from: Instant
    files: Mapping[str, str]  # name -> text
    calendar_data: str | None  # JSON; None: registered before it was kept


class LeaseStore:
    """The tables that all timer processes share to agree on who does what."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def _connection(self, what: str) -> AbstractAsyncContextManager[Any]:
        return self._database.raw(what)

    async def now(self) -> Instant:
        """The database's clock: the one time for all processes."""
        return await self._database.clock()

    async def beat(self, instance: str, *, in_touch: bool) -> Crew:
        """Say that this process lives, and whether Kafka answers it; how many do."""
        async with self._connection("announce the process") as connection:
            row = await connection.fetchrow(
                "WITH me AS (INSERT INTO timer.member (instance, seen_at, in_touch) VALUES ($1, clock_timestamp(), $3)"
                " ON CONFLICT (instance) DO UPDATE SET seen_at = excluded.seen_at, in_touch = excluded.in_touch)"
                " SELECT count(*) AS live, count(*) FILTER (WHERE in_touch) AS in_touch FROM timer.member"
                " WHERE instance <> $1 AND seen_at > clock_timestamp() - make_interval(secs => $2)",
                instance,
                LEASE_S,
                in_touch,
            )
        return Crew(1 + row["live"], in_touch + row["in_touch"])

    async def leave(self, instance: str) -> None:
        """Say that this process is gone, and free its leases, so that others need not wait for them to expire."""
        async with self._connection("leave") as connection, connection.transaction():
            await connection.execute(
                "WITH ours AS (SELECT partition FROM timer.lease WHERE owner = $1 ORDER BY partition FOR UPDATE)"
                " UPDATE timer.lease l SET owner = NULL, expires_at = '-infinity'"
                " FROM ours WHERE l.partition = ours.partition",
                instance,
            )
            await connection.execute("DELETE FROM timer.member WHERE instance = $1", instance)

    async def leases(self) -> list[Lease]:
        """Every partition's lease, in partition order."""
        async with self._connection("read leases") as connection:
            rows = await connection.fetch(f"SELECT {_COLUMNS} FROM timer.lease ORDER BY partition")  # noqa: S608 # constant
        return [lease_of(row) for row in rows]

    async def renew(self, instance: str, epochs: Mapping[int, int]) -> set[int]:
        """Renew the leases of *epochs* (partition -> epoch); the partitions that are still ours."""
        async with self._connection("renew leases") as connection:
            rows = await connection.fetch(
                "WITH ours AS (SELECT l.partition FROM timer.lease l"
                " JOIN unnest($1::int[], $2::bigint[]) AS o(partition, epoch) USING (partition, epoch)"
                " WHERE l.owner = $3 ORDER BY l.partition FOR UPDATE OF l)"
                " UPDATE timer.lease l SET expires_at = clock_timestamp() + make_interval(secs => $4)"
                " FROM ours WHERE l.partition = ours.partition RETURNING l.partition",
                list(epochs),
                list(epochs.values()),
                instance,
                LEASE_S,
            )
        return {row["partition"] for row in rows}

    async def take(self, instance: str, partition: int) -> Lease | None:
        """Take a partition that is free, expired or was ours, under a new epoch; None when somebody was quicker.

        One whose row is locked is left for later: who waited for it could not renew what it owns meanwhile.
        """
        async with self._connection("take a lease") as connection:
            row = await connection.fetchrow(
                "UPDATE timer.lease SET owner = $1, epoch = epoch + 1,"  # noqa: S608 # constant
                " expires_at = clock_timestamp() + make_interval(secs => $3)"
                " WHERE partition = (SELECT partition FROM timer.lease WHERE partition = $2"
                " AND (owner IS NULL OR owner = $1 OR expires_at < clock_timestamp()) FOR UPDATE SKIP LOCKED)"
                f" RETURNING {_COLUMNS}",
                instance,
                partition,
                LEASE_S,
            )
        return lease_of(row) if row else None

    async def release(self, instance: str, partition: int, epoch: int) -> None:
        """Give a partition back, so that another process can take it at once."""
        async with self._connection("release a lease") as connection:
            await connection.execute(
                "UPDATE timer.lease SET owner = NULL, expires_at = '-infinity'"
                " WHERE partition = $1 AND epoch = $2 AND owner = $3",
                partition,
                epoch,
                instance,
            )

    async def install(self, partitions: int) -> int:
        """Create the leases on the first start; the partition count that this installation was frozen at."""
        async with self._connection("read the partition count") as connection, connection.transaction():
            await connection.execute(
                "INSERT INTO timer.installation (name, value) VALUES ('partitions', $1) ON CONFLICT DO NOTHING",
                str(partitions),
            )
            frozen = int(await connection.fetchval("SELECT value FROM timer.installation WHERE name = 'partitions'"))
            await connection.execute(
                "INSERT INTO timer.lease (partition) SELECT * FROM generate_series(0, $1::int - 1)"
                " ON CONFLICT DO NOTHING",
                frozen,
            )
            await connection.execute("DELETE FROM timer.member WHERE seen_at < clock_timestamp() - interval '1 day'")
        return frozen

    async def reset_positions(self, incarnation: str) -> bool:
        """Begin anew on a broker whose log died with its process; whether *incarnation* is a new one.

        Only for the embedded broker: a real one's log is never taken to be gone.

        Raises:
            Refused: the positions here are those of a real broker.
        """
        async with self._connection("reset positions") as connection, connection.transaction():
            before = await connection.fetchval("SELECT value FROM timer.installation WHERE name = 'incarnation'")
            if before == incarnation:
                return False
            if before is None and await connection.fetchval("SELECT max(next_offset) FROM timer.lease") is not None:
                raise Refused("this database follows a Kafka of its own: give its address in KAFKA_BOOTSTRAP")
            await connection.execute(
                "INSERT INTO timer.installation (name, value) VALUES ('incarnation', $1)"
                " ON CONFLICT (name) DO UPDATE SET value = excluded.value",
                incarnation,
            )
            await connection.execute("UPDATE timer.lease SET next_offset = NULL, epoch = epoch + 1")
        return True

    async def resume(self, partition: int, offset: int) -> None:
        """Have a partition read on at *offset*, by its next owner under a new epoch; what lies before it is lost."""
        async with self._connection("set a position") as connection:
            await connection.execute(
                "UPDATE timer.lease SET next_offset = $2, epoch = epoch + 1, owner = NULL, expires_at = '-infinity',"
                " loss_at = (extract(epoch FROM clock_timestamp()) * 1000000)::bigint WHERE partition = $1",
                partition,
                offset,
            )

    async def register_version(self, version: StoredVersion) -> None:
        """Let a version of the policies take effect, unless it is the one that is in force last anyway."""
        async with self._connection("store a policy version") as connection, connection.transaction():
            await connection.execute("LOCK TABLE timer.policy_version IN SHARE ROW EXCLUSIVE MODE")
            await connection.execute(
                "INSERT INTO timer.policy_version (version, effective_from, files, calendar_data) SELECT $1, $2, $3, $4"
                " WHERE $1 IS DISTINCT FROM"
                " (SELECT version FROM timer.policy_version ORDER BY effective_from DESC LIMIT 1)",
                version.version,
                version.effective_from,
                json.dumps(version.files),
                version.calendar_data,
            )

    async def versions(self, known: Sequence[Instant]) -> list[StoredVersion]:
        """The policy versions whose instant of taking effect is not *known* yet, the earliest first."""
        async with self._connection("read policy versions") as connection:
            rows = await connection.fetch(
                "SELECT version, effective_from, files::text AS files, calendar_data::text AS calendar_data"
                " FROM timer.policy_version"
                " WHERE effective_from <> ALL($1::bigint[]) ORDER BY effective_from",
                list(known),
            )
        return [
            StoredVersion(row["version"], row["effective_from"], json.loads(row["files"]), row["calendar_data"])
            for row in rows
        ]
