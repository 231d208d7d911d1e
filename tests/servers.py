"""The brokers and databases that tests, benchmarks and end-to-end runs start; plain classes, no pytest needed.

with open_broker(folder) as broker, open_postgres(folder) as postgres:
    with Databases(postgres).fresh("bench") as url: ...
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Protocol

from deploy.local.embedded_kafka import EmbeddedKafka
from deploy.local.embedded_postgres import EmbeddedPostgres
from deploy.local.kafka_admin import answers, create_topic
from deploy.local.kafka_jars import missing
from deploy.local.ports import free_port
from deploy.local.real_kafka import RealKafka
from shared.db import migrate

TEMPLATE = "template_migrated"


class Broker(Protocol):
    """What every broker of a test run gives."""

    @property
    def bootstrap(self) -> str:
        """`host:port` for clients."""

    def create_topic(self, name: str, partitions: int) -> None:
        """Make an empty topic."""


class Kind(StrEnum):
    """The brokers that a run can have, the best first."""

    REAL = "real"
    CONTAINER = "container"
    EMBEDDED = "embedded"


@dataclass(frozen=True)
class Choice:
    """Which broker this machine can run, and why it is no better one."""

    kind: Kind
    reason: str = ""


def choose_broker() -> Choice:
    """A real Kafka where Java and Maven are, else a container where Docker answers, else the embedded broker.

    TEST_BROKER=real|container|embedded decides instead.
    """
    asked = os.environ.get("TEST_BROKER")
    if asked:
        return Choice(Kind(asked), f"TEST_BROKER={asked}")
    lacking = missing()
    if lacking is None:
        return Choice(Kind.REAL)
    if docker_answers():
        return Choice(Kind.CONTAINER, lacking)
    return Choice(Kind.EMBEDDED, f"{lacking}; no Docker engine answers either")


def docker_answers() -> bool:
    """Whether a Docker engine can start containers here."""
    import docker  # noqa: PLC0415 - slow to import, and needed on machines without Java only

    try:
        client = docker.from_env(timeout=2)
        client.ping()
        client.close()
    except docker.errors.DockerException:
        return False
    return True


@contextmanager
def open_broker(folder: Path, kind: Kind | None = None) -> Iterator[Broker]:
    """A started broker of *kind*, or of the best that this machine can run, with its files under *folder*."""
    kind = kind or choose_broker().kind
    if kind is Kind.EMBEDDED:
        with EmbeddedKafka() as embedded:
            yield embedded
    elif kind is Kind.CONTAINER:
        with ContainerKafka() as container:
            yield container
    else:
        with RealKafka(folder / "kafka") as real:
            yield real


class ContainerKafka:
    """Apache Kafka in a container, at a port of this machine that is chosen first, because brokers announce theirs."""

    def __init__(self) -> None:
        from testcontainers.core.container import DockerContainer  # noqa: PLC0415 - needed without Java only

        self._port = free_port()
        self._container: Any = DockerContainer("apache/kafka:4.3.0").with_bind_ports(9092, self._port)
        for name, value in self._settings().items():
            self._container.with_env(name, value)

    def _settings(self) -> Mapping[str, str]:
        return {
            "KAFKA_NODE_ID": "1",
            "KAFKA_PROCESS_ROLES": "broker,controller",
            "KAFKA_LISTENERS": "PLAINTEXT://:9092,CONTROLLER://:9093",
            "KAFKA_ADVERTISED_LISTENERS": f"PLAINTEXT://{self.bootstrap}",
            "KAFKA_CONTROLLER_LISTENER_NAMES": "CONTROLLER",
            "KAFKA_LISTENER_SECURITY_PROTOCOL_MAP": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
            "KAFKA_CONTROLLER_QUORUM_VOTERS": "1@localhost:9093",
            "KAFKA_AUTO_CREATE_TOPICS_ENABLE": "false",
            "KAFKA_OFFSETS_TOPIC_REPLICATION_FACTOR": "1",
            "KAFKA_TRANSACTION_STATE_LOG_REPLICATION_FACTOR": "1",
            "KAFKA_TRANSACTION_STATE_LOG_MIN_ISR": "1",
            "KAFKA_GROUP_INITIAL_REBALANCE_DELAY_MS": "0",
        }

    def __enter__(self) -> ContainerKafka:
        self._container.start()
        self._wait()
        return self

    def __exit__(self, *_: object) -> None:
        self._container.stop()

    @property
    def bootstrap(self) -> str:
        """`host:port` for clients."""
        return f"127.0.0.1:{self._port}"

    def create_topic(self, name: str, partitions: int) -> None:
        """Make an empty topic."""
        create_topic(self.bootstrap, name, partitions)

    def _wait(self) -> None:
        deadline = time.monotonic() + 60.0
        while not answers(self.bootstrap):
            assert time.monotonic() < deadline, "Kafka in its container does not answer within 60 s"
            time.sleep(0.1)


@contextmanager
def open_postgres(folder: Path) -> Iterator[EmbeddedPostgres]:
    """A started PostgreSQL under *folder* that does not wait for the disk: tests' data need not survive a power cut."""
    with EmbeddedPostgres(folder / "postgres", settings={"fsync": "off"}) as postgres:
        yield postgres


class Databases:
    """Fresh databases on one server, each cloned from one that has been migrated once."""

    def __init__(self, postgres: EmbeddedPostgres) -> None:
        self._postgres = postgres
        postgres.sql(f"CREATE DATABASE {TEMPLATE}")
        # The migrations run a loop of their own; on another thread they disturb none that belongs to this one.
        with ThreadPoolExecutor(1) as thread:
            thread.submit(migrate, postgres.url(TEMPLATE)).result()

    @contextmanager
    def fresh(self, name: str) -> Iterator[str]:
        """The URL of a migrated database without rows, dropped at the end.

        Raises:
            AssertionError: connections to it are still open at the end.
        """
        database = re.sub(r"\W", "_", name.lower())[:50]
        self._postgres.sql(f"CREATE DATABASE {database} TEMPLATE {TEMPLATE}")
        try:
            yield self._postgres.url(database)
            left = self._open(database)
        finally:
            self._postgres.sql(f"DROP DATABASE {database} WITH (FORCE)")
        assert not left, f"connections to {database} are left open, their last statements: {left}"

    def _open(self, database: str) -> list[str]:
        # A closed connection's process needs a moment to end; PostgreSQL's own workers come and go by themselves.
        of_clients = f"datname = '{database}' AND backend_type = 'client backend'"
        statement = f"SELECT application_name, query FROM pg_stat_activity WHERE {of_clients}"
        deadline = time.monotonic() + 2.0
        while (found := self._postgres.sql(statement)) and time.monotonic() < deadline:
            time.sleep(0.02)
        return found


class Topics:
    """Topics of one test module: names that no other module has."""

    def __init__(self, broker: Broker, prefix: str) -> None:
        self.broker = broker
        self.prefix = prefix

    def create(self, name: str, partitions: int = 4) -> str:
        """Make an empty topic and give its full name."""
        full = self.name(name)
        self.broker.create_topic(full, partitions)
        return full

    def name(self, name: str) -> str:
        """The full name that *name* has in this module; also for groups."""
        return f"{self.prefix}.{name}"
