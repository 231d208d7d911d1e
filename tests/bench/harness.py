"""A broker, a database and the services as processes of their own, for one benchmark."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from deploy.local.embedded_postgres import EmbeddedPostgres
from deploy.local.ports import free_port
from shared.db import Database
from shared.events import Topics
from shared.kafka.connection import Connection, Outgoing, Place
from shared.kafka.offsets import Offsets
from shared.kafka.producer import Producer
from tests.processes import PlazoProcess
from tests.servers import Broker, Databases, open_broker

ROOT = Path(__file__).resolve().parents[2]
TICKS = os.sysconf("SC_CLK_TCK")
UPSTREAM = "bench.tickets"
PARTITIONS = 32


@dataclass
class Bench:
    """What a benchmark works with."""

    broker: Broker
    database: Database
    database_url: str
    folder: Path
    prefix: str

    @property
    def topics(self) -> Topics:
        """The names of Plazo's topics in this benchmark."""
        return Topics(self.prefix)

    @property
    def upstream(self) -> str:
        """The topic that the events come in on."""
        return f"{self.prefix}{UPSTREAM}"

    def environment(self) -> Mapping[str, str]:
        """The settings of the services."""
        return {
            "KAFKA_BOOTSTRAP": self.broker.bootstrap,
            "DATABASE_URL": self.database_url,
            "TOPIC_PREFIX": self.prefix,
            "UPSTREAM_TOPICS": self.upstream,
            "INGEST_GROUP": f"{self.prefix}ingest",
            "TIMER_GROUP": f"{self.prefix}timer",
            "PARTITIONS": str(PARTITIONS),
            "POLICIES": str(ROOT / "deploy" / "local" / "policies.yaml"),
            "LOG_LEVEL": "warning",
        }

    def process(self, name: str) -> PlazoProcess:
        """A service of this benchmark, not started yet."""
        environment = {**self.environment(), "HTTP_PORT": str(free_port()), "INSTANCE": name}
        return PlazoProcess([name], environment, self.folder / f"{name}.log")

    def create_topics(self) -> None:
        """Make every topic, empty."""
        topics = self.topics
        for topic in (self.upstream, topics.events):
            self.broker.create_topic(topic, PARTITIONS)
        for topic in (topics.intake, topics.breaches, topics.clocks, topics.deadletters):
            self.broker.create_topic(topic, 8)

    async def preload(self, pairs: Iterable[tuple[bytes, bytes]]) -> int:
        """Write events upstream; how many."""
        producer = Producer(Connection(self.broker.bootstrap), "bench")
        await producer.start()
        sent = 0
        try:
            some: list[Outgoing] = []
            for key, value in pairs:
                some.append(Outgoing(key, value))
                if len(some) == 10_000:
                    await producer.send(self.upstream, some)
                    sent += len(some)
                    some = []
            await producer.send(self.upstream, some)
        finally:
            await producer.stop()
        return sent + len(some)

    async def folded(self) -> int:
        """How many records of the events topic are folded and committed, by the database: it is the truth."""
        async with self.database.raw("read positions") as connection:
            return int(await connection.fetchval("SELECT coalesce(sum(next_offset), 0) FROM timer.lease"))

    def database_cpu_seconds(self) -> float:
        """CPU time that PostgreSQL's living processes have used."""
        postmaster = psutil.Process(int((self.folder / "postgres" / "postmaster.pid").read_text().split()[0]))
        processes = [postmaster, *postmaster.children(recursive=True)]
        return sum(cpu_seconds(process.pid) for process in processes)

    async def offsets(self) -> Offsets:
        """A client that asks the broker."""
        return Offsets(Connection(self.broker.bootstrap), "bench")

    async def read(self, offsets: Offsets, group: str, topic: str) -> int:
        """How many records of *topic* a group has read."""
        places = [Place(topic, partition) for partition in range(PARTITIONS)]
        found = await offsets.committed(f"{self.prefix}{group}", places)
        return sum(offset or 0 for offset in found.values())


def cpu_seconds(pid: int) -> float:
    """CPU time that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def memory_mib(pid: int) -> float:
    """Resident memory of a process."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) / 1024


@asynccontextmanager
async def bench(folder: Path, name: str) -> AsyncIterator[Bench]:
    """A fresh broker and a fresh database that waits for the disk, as in production."""
    folder.mkdir(parents=True, exist_ok=True)  # noqa: ASYNC240 # before anything runs
    with open_broker(folder) as broker, EmbeddedPostgres(folder / "postgres") as postgres:
        databases = await asyncio.to_thread(Databases, postgres)
        with databases.fresh(name) as url:
            database = Database(url, size=1)
            made = Bench(broker, database, url, folder, f"{name}.")
            made.create_topics()
            try:
                yield made
            finally:
                await database.close()
