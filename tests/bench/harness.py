"""A broker and a database as in production, and on them Plazo installations of one benchmark each."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

import psutil

from deploy.local.embedded_postgres import EmbeddedPostgres
from deploy.local.ports import free_port
from shared.db import Database
from shared.events import Instant, Topics
from shared.kafka.connection import Connection, Outgoing, Place
from shared.kafka.offsets import Offsets
from shared.kafka.producer import Producer
from tests.bench import policies
from tests.bench.usage import Meter
from tests.processes import PlazoProcess
from tests.servers import Broker, Databases, open_broker

ROOT: Final = Path(__file__).resolve().parents[2]
PARTITIONS: Final = 32
OUT_PARTITIONS: Final = 8
STALLED_S: Final = 120.0
LOOK_S: Final = 0.05  # between two looks at what has been done: each costs the database 0.3 ms
CHUNK: Final = 10_000  # records in one call of the producer
WAL: Final[Mapping[str, str]] = {"min_wal_size": "2GB", "max_wal_size": "4GB"}
SEGMENTS: Final = 100
"""So many WAL segments PostgreSQL has before anything is measured, as if it had run for a while.
A new one is filled with zeroes first, 25 ms in which nothing commits: in the runs of breaches that is every 6 s."""


@dataclass
class Site:
    """A broker and a database server, with files under *folder*."""

    broker: Broker
    postgres: EmbeddedPostgres
    databases: Databases
    folder: Path

    @asynccontextmanager
    async def installation(self, name: str, upstream: str | None = None) -> AsyncIterator[Bench]:
        """A fresh Plazo: its own database, topics and groups; *upstream* is a topic to read instead of its own."""
        with self.databases.fresh(name) as url:
            self.postgres.sql("CHECKPOINT")  # what was written before must not be flushed in the measured time
            database = Database(url, size=1)
            offsets = Offsets(Connection(self.broker.bootstrap), "bench")
            made = Bench(self, database, url, offsets, f"{name}.", upstream or f"{name}.bench.tickets")
            made.create_topics()
            try:
                yield made
            finally:
                await offsets.stop()
                await database.close()

    async def write(self, topic: str, pairs: Iterable[tuple[bytes, bytes]]) -> int:
        """Write records to a topic; how many."""
        producer = Producer(Connection(self.broker.bootstrap), "bench")
        await producer.start()
        sent, some = 0, list[Outgoing]()
        try:
            for key, value in pairs:
                some.append(Outgoing(key, value))
                if len(some) == CHUNK:
                    await producer.send(topic, some)
                    sent, some = sent + len(some), []
            await producer.send(topic, some)
        finally:
            await producer.stop()
        return sent + len(some)

    @property
    def servers(self) -> dict[str, int]:
        """The process ids of the servers that are processes of this machine."""
        postmaster = (self.folder / "postgres" / "postmaster.pid").read_text().split()[0]
        return {"postgres": int(postmaster), **_broker_process(self.folder)}


@dataclass
class Bench:
    """One Plazo on a site."""

    site: Site
    database: Database
    database_url: str
    offsets: Offsets
    prefix: str
    upstream: str

    @property
    def topics(self) -> Topics:
        """The names of Plazo's topics in this installation."""
        return Topics(self.prefix)

    def sql(self, statement: str) -> list[str]:
        """Run a statement outside a transaction, without a limit of time; its rows."""
        return self.site.postgres.sql(statement, self.database_url.rsplit("/", 1)[1])

    def environment(self) -> Mapping[str, str]:
        """The settings of the services."""
        return {
            "KAFKA_BOOTSTRAP": self.site.broker.bootstrap,
            "DATABASE_URL": self.database_url,
            "TOPIC_PREFIX": self.prefix,
            "UPSTREAM_TOPICS": self.upstream,
            "INGEST_GROUP": f"{self.prefix}ingest",
            "TIMER_GROUP": f"{self.prefix}timer",
            "NOTIFIER_GROUP": f"{self.prefix}notifier",
            "PARTITIONS": str(PARTITIONS),
            "POLICIES": str(self.policies),
            "LOG_LEVEL": "warning",
        }

    @property
    def policies(self) -> Path:
        """The folder of the policy files."""
        return self.site.folder / "policies"

    def process(self, name: str, extra: Mapping[str, str] | None = None) -> PlazoProcess:
        """A service of this installation, not started yet."""
        environment = {**self.environment(), "HTTP_PORT": str(free_port()), "INSTANCE": name, **(extra or {})}
        return PlazoProcess([name], environment, self.site.folder / f"{self.prefix}{name}.log")

    @asynccontextmanager
    async def running(self, *names: str, **settings: str) -> AsyncIterator[dict[str, PlazoProcess]]:
        """Services, started in this order, each ready before the next; *settings* are given to all of them."""
        processes = {name: self.process(name, settings) for name in names}
        started: list[PlazoProcess] = []
        try:
            for process in processes.values():
                process.start()
                started.append(process)
                await ready(process)
            yield processes
        finally:
            for process in reversed(started):
                await process.stop()

    def create_topics(self) -> None:
        """Make every topic, empty; one that is shared is there already."""
        topics, broker = self.topics, self.site.broker
        if self.upstream.startswith(self.prefix):
            broker.create_topic(self.upstream, PARTITIONS)
        broker.create_topic(topics.events, PARTITIONS)
        for topic in (topics.intake, topics.breaches, topics.clocks, topics.deadletters):
            broker.create_topic(topic, OUT_PARTITIONS)

    async def folded(self) -> dict[int, int]:
        """partition -> what is folded and committed of the events topic, by the database: it is the truth."""
        async with self.database.raw("read positions") as connection:
            rows = await connection.fetch("SELECT partition, coalesce(next_offset, 0) AS position FROM timer.lease")
        return {row["partition"]: row["position"] for row in rows}

    async def ingested(self) -> dict[int, int]:
        """partition -> what ingest has read of the upstream topic and committed."""
        places = [Place(self.upstream, partition) for partition in range(PARTITIONS)]
        found = await self.offsets.committed(f"{self.prefix}ingest", places)
        return {place.partition: offset or 0 for place, offset in found.items()}

    async def ends(self, topic: str) -> dict[int, int]:
        """partition -> end of a topic of as many partitions as the events topic."""
        found = await self.offsets.ends([Place(topic, partition) for partition in range(PARTITIONS)])
        return {place.partition: offset for place, offset in found.items()}

    async def written(self) -> int:
        """How many records the events topic holds."""
        return sum((await self.ends(self.topics.events)).values())

    async def lag(self) -> int:
        """How many records that were written upstream by now are not folded yet."""
        read, sent = await self.ingested(), await self.ends(self.upstream)
        folded, forwarded = await self.folded(), await self.ends(self.topics.events)
        return _missing(read, sent) + _missing(folded, forwarded)

    async def caught_up(self) -> None:
        """Wait until everything that is upstream by now has been read, forwarded, folded and committed."""
        for positions, topic in ((self.ingested, self.upstream), (self.folded, self.topics.events)):
            ends = await self.ends(topic)
            await self.progress(partial(_passed, positions, ends), sum(ends.values()))

    async def progress(self, count: Callable[[], Awaitable[int]], until: int) -> float:
        """Wait until *count* gives *until* at least; when that was seen, by the monotonic clock.

        Raises:
            AssertionError: it stood still for two minutes.
        """
        last, changed = -1, time.monotonic()
        while (done := await count()) < until:
            now = time.monotonic()
            if done != last:
                last, changed = done, now
            assert now - changed < STALLED_S, f"no progress for {STALLED_S} s at {done} of {until}"
            await asyncio.sleep(LOOK_S)
        return time.monotonic()

    def meter(self, processes: Mapping[str, PlazoProcess]) -> Meter:
        """Counts the CPU seconds of *processes* and of the servers."""
        return Meter({**{name: process.pid for name, process in processes.items()}, **self.site.servers})


async def ready(process: PlazoProcess) -> None:
    """Wait until a service says that it does its work."""
    await process.ready(f"http://127.0.0.1:{process.env['HTTP_PORT']}/healthz/ready", within_s=60.0)


@asynccontextmanager
async def open_site(folder: Path, now: Instant) -> AsyncIterator[Site]:
    """A fresh broker and a fresh database server that waits for the disk, as in production."""
    folder.mkdir(parents=True, exist_ok=True)  # noqa: ASYNC240 # before anything runs
    policies.write(folder / "policies", now)
    with open_broker(folder) as broker, EmbeddedPostgres(folder / "postgres", settings=WAL) as postgres:
        await asyncio.to_thread(_use_segments, postgres)
        yield Site(broker, postgres, await asyncio.to_thread(Databases, postgres), folder)


def _use_segments(postgres: EmbeddedPostgres) -> None:
    some = "pg_logical_emit_message(false, '', ''), pg_switch_wal()"
    postgres.sql(f"DO $$ BEGIN FOR n IN 1..{SEGMENTS} LOOP PERFORM {some}; END LOOP; END $$")
    postgres.sql("CHECKPOINT")  # keeps them, under new names


def _missing(positions: Mapping[int, int], ends: Mapping[int, int]) -> int:
    return sum(max(end - positions.get(partition, 0), 0) for partition, end in ends.items())


async def _passed(read: Callable[[], Awaitable[dict[int, int]]], ends: Mapping[int, int]) -> int:
    positions = await read()
    return sum(min(positions.get(partition, 0), end) for partition, end in ends.items())


def _broker_process(folder: Path) -> dict[str, int]:
    # Of a container or of the embedded broker nothing is counted.
    settings = str(folder.absolute() / "kafka" / "server.properties")
    for process in psutil.process_iter(["cmdline"]):
        if settings in (process.info["cmdline"] or ()) and "kafka.Kafka" in process.info["cmdline"]:
            return {"kafka": process.pid}
    return {}
