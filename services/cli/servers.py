"""The brokers and the database of `./plazo run`: the user's own, or embedded ones that end with it."""

from __future__ import annotations

import asyncio
import hashlib
import secrets
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from deploy.local.embedded_kafka import EmbeddedKafka
from deploy.local.embedded_postgres import USER, EmbeddedPostgres
from services.cli.installation import Brokers
from shared.configuration import CommonSettings, load
from shared.errors import PlazoError
from shared.kafka.admin import Admin, Cluster, NewTopic


class EmbeddedBrokers:
    """The embedded broker as a cluster whose topics begin to exist here, each time under another id."""

    def __init__(self, kafka: EmbeddedKafka) -> None:
        self._kafka = kafka
        self._cluster = Cluster(secrets.token_hex(8), 1)
        self._partitions: dict[str, int] = {}

    async def cluster(self) -> Cluster:
        """The broker of this process."""
        return self._cluster

    async def partitions(self) -> Mapping[str, int]:
        """What was created so far."""
        return dict(self._partitions)

    async def create(self, topics: Sequence[NewTopic]) -> None:
        """Make topics; the broker knows no settings."""
        for topic in topics:
            self._kafka.create_topic(topic.name, topic.partitions)
            self._partitions[topic.name] = topic.partitions


@dataclass(frozen=True, slots=True)
class Servers:
    """Where brokers and database are, and whose they are."""

    brokers: Brokers
    settings: Mapping[str, str]  # KAFKA_BOOTSTRAP and DATABASE_URL, where they are embedded
    kafka_embedded: bool
    postgres_embedded: bool


def given(environment: Mapping[str, str], name: str) -> bool:
    """Whether the user set *name*, or a file that holds it."""
    return bool(environment.get(name) or environment.get(f"{name}_FILE"))


async def open_servers(environment: Mapping[str, str], folder: Path, stack: AsyncExitStack) -> Servers:
    """Reach the user's servers, and start what the user did not give; *stack* stops all that.

    Raises:
        Refused, Unavailable: a folder cannot be used, or a server does not answer.
    """
    brokers: Brokers
    settings = {}
    kafka_embedded = not given(environment, "KAFKA_BOOTSTRAP")
    if kafka_embedded:
        kafka = stack.enter_context(EmbeddedKafka())
        settings["KAFKA_BOOTSTRAP"] = kafka.bootstrap
        brokers = EmbeddedBrokers(kafka)
        database = USER
    else:
        admin = Admin(load(CommonSettings, environment).connection)
        stack.push_async_callback(admin.stop)
        await admin.start()
        brokers = admin
        # Positions belong to one cluster's log, so each cluster has a database of its own.
        database = f"{USER}_{hashlib.sha256((await admin.cluster()).id.encode()).hexdigest()[:12]}"
    postgres_embedded = not given(environment, "DATABASE_URL")
    if postgres_embedded:
        postgres = await stack.enter_async_context(_started(EmbeddedPostgres(folder / "postgres")))
        settings["DATABASE_URL"] = await asyncio.to_thread(_database, postgres, database)
    return Servers(brokers, settings, kafka_embedded, postgres_embedded)


@asynccontextmanager
async def _started(postgres: EmbeddedPostgres) -> AsyncIterator[EmbeddedPostgres]:
    starting = asyncio.create_task(asyncio.to_thread(postgres.start))
    try:
        # Who loses patience while it starts still has to stop it, and half-started it cannot be stopped.
        await asyncio.shield(starting)
        yield postgres
    finally:
        with suppress(PlazoError):
            await starting
        await asyncio.to_thread(postgres.stop)


def _database(postgres: EmbeddedPostgres, name: str) -> str:
    if name != USER and not postgres.sql(f"SELECT 1 FROM pg_database WHERE datname = '{name}'"):  # noqa: S608 # made above
        postgres.sql(f"CREATE DATABASE {name}")
    return postgres.url(name)
