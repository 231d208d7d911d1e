"""The servers that a developer's machine runs: both brokers pass one suite, PostgreSQL keeps what it was given."""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import asyncpg
import psutil
import pytest
from aiokafka import TopicPartition

from deploy.local.embedded_kafka import EmbeddedKafka
from deploy.local.embedded_postgres import EmbeddedPostgres
from deploy.local.kafka_admin import create_topic, ensure_topic
from deploy.local.ports import free_port
from deploy.local.real_kafka import RealKafka
from shared.errors import Refused, Unavailable
from tests.contract.broker import BrokerContract, consumer, producer, records
from tests.processes import ROOT
from tests.servers import Broker, Databases, Topics


class TestEmbeddedKafka(BrokerContract):
    """The broker inside this process."""

    @pytest.fixture(scope="class")
    @classmethod
    def topics(cls) -> Iterator[Topics]:
        """Topics of a broker of this class's own."""
        with EmbeddedKafka() as embedded:
            yield Topics(embedded, "embedded")

    async def test_records_sent_while_it_is_down_arrive_when_it_is_back(self, topics: Topics) -> None:
        broker, topic = topics.broker, topics.create("outage", 1)
        assert isinstance(broker, EmbeddedKafka)
        async with producer(broker) as sending:
            await sending.send_and_wait(topic, b"before")
            broker.take_down()
            waiting = await sending.send(topic, b"during")
            broker.bring_up()
            assert (await waiting).offset == 1

    def test_it_starts_and_stops_twice(self) -> None:
        broker = EmbeddedKafka()
        for _ in range(2):
            broker.start()
            broker.start()
            assert broker.bootstrap.startswith("127.0.0.1:")
            broker.stop()
            broker.stop()
        with pytest.raises(Refused, match="not started"):
            broker.create_topic("late", 1)


@pytest.mark.kafka
class TestRealKafka(BrokerContract):
    """The real broker of this run; `topics` is the module's."""


@pytest.mark.kafka
def test_a_topic_is_made_where_it_is_missing(broker: Broker) -> None:
    name = f"wanted.{secrets.token_hex(4)}"
    for _ in range(2):  # the second time it is there
        ensure_topic(broker.bootstrap, name, 3)
    with pytest.raises(Refused, match="already exists"):
        create_topic(broker.bootstrap, name, 3)


@pytest.mark.kafka
async def test_a_killed_kafka_starts_again_with_its_records_at_its_address(tmp_path: Path, broker: Broker) -> None:
    if not isinstance(broker, RealKafka):
        pytest.skip("needs a Kafka that this machine runs itself")
    kafka = RealKafka(tmp_path / "kafka")
    with kafka:
        address = kafka.bootstrap
        kafka.create_topic("kept", 1)
        async with producer(kafka) as sending:
            await sending.send_and_wait("kept", b"x")
        kafka.kill()
        kafka.start()
        assert kafka.bootstrap == address
        async with consumer(kafka) as reading:
            reading.assign([TopicPartition("kept", 0)])
            await reading.seek_to_beginning()
            assert [record.value for record in await records(reading, 1)] == [b"x"]


def test_a_port_in_use_is_named_by_kafka(tmp_path: Path, broker: Broker) -> None:
    if not isinstance(broker, RealKafka):
        pytest.skip("needs a Kafka that this machine runs itself")
    with pytest.raises(Refused, match=f"port {broker.port} on 127.0.0.1 cannot be used"):
        RealKafka(tmp_path, broker.port).start()


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder whose data several tests start from, because making it takes a second."""
    folder = tmp_path_factory.mktemp("data") / "postgres"
    with EmbeddedPostgres(folder):
        return folder


def test_postgres_keeps_its_rows_over_a_stop(data: Path) -> None:
    server = EmbeddedPostgres(data)
    with server:
        server.sql("CREATE TABLE stopped AS SELECT 1 AS i")
    with server:
        assert server.sql("SELECT i FROM stopped") == ["1"]


def test_postgres_keeps_its_rows_over_a_kill(data: Path) -> None:
    server = EmbeddedPostgres(data)
    server.start()
    server.sql("CREATE TABLE killed AS SELECT 1 AS i")
    server.kill()
    with server:
        assert server.sql("SELECT i FROM killed") == ["1"]


async def test_postgres_lets_nobody_in_without_the_password(data: Path) -> None:
    with EmbeddedPostgres(data) as server:
        connection = await asyncpg.connect(server.url())
        assert await connection.fetchval("SELECT current_database()") == "plazo"
        await connection.close()
        wrong = server.url().replace("plazo:", "plazo:x", 1)
        with pytest.raises(asyncpg.InvalidPasswordError):
            await asyncpg.connect(wrong)


def test_a_folder_has_one_owner(data: Path) -> None:
    with EmbeddedPostgres(data), pytest.raises(Refused, match="in use by another running Plazo"):
        EmbeddedPostgres(data).start()


def test_a_busy_port_is_named(data: Path) -> None:
    port = free_port()
    with EmbeddedPostgres(data, port), pytest.raises(Unavailable, match="does not start"):
        EmbeddedPostgres(data.with_name("other"), port).start()


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(Refused, match="file"):
        EmbeddedPostgres(tmp_path / "file" / "postgres").start()


def test_data_of_another_version_is_refused(tmp_path: Path) -> None:
    (tmp_path / "PG_VERSION").write_text("16\n")
    with pytest.raises(Refused, match="holds data of PostgreSQL 16"):
        EmbeddedPostgres(tmp_path).start()


def test_postgres_ends_with_its_owner(data: Path) -> None:
    """The owner is killed the hard way; the server notices the end of the pipe and stops."""
    code = "import sys; from pathlib import Path; from deploy.local.embedded_postgres import EmbeddedPostgres as E; "
    code += "e = E(Path(sys.argv[1])); e.start(); print(e.sql('SELECT pg_backend_pid()'), flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", code, str(data)], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as owner:
        assert owner.stdout is not None
        owner.stdout.readline()
        server = psutil.Process(int((data / "postmaster.pid").read_text().split("\n", 1)[0]))
        os.kill(owner.pid, signal.SIGKILL)
    server.wait(10)
    assert not server.is_running()


def test_a_leftover_lock_of_an_unrelated_process_does_not_keep_it_from_starting(data: Path) -> None:
    (data / "postmaster.pid").write_text(f"{os.getpid()}\n{data}\n")
    with EmbeddedPostgres(data) as server:
        assert server.sql("SELECT 1") == ["1"]


async def test_a_modules_database_is_migrated(database_url: str) -> None:
    connection = await asyncpg.connect(database_url)
    try:
        assert await connection.fetchval("SELECT count(*) FROM alembic_version") == 1
    finally:
        await connection.close()


async def test_a_connection_that_is_left_open_fails_its_module(databases: Databases) -> None:
    database = ExitStack()
    connection = await asyncpg.connect(database.enter_context(databases.fresh("leaking")))
    await connection.execute("SELECT 'forgotten'")
    with pytest.raises(AssertionError, match="SELECT 'forgotten'"):
        database.close()
    connection.terminate()


def test_a_database_is_dropped_when_its_user_fails(databases: Databases, postgres: EmbeddedPostgres) -> None:
    with pytest.raises(ZeroDivisionError), databases.fresh("failing"):
        raise ZeroDivisionError
    assert postgres.sql("SELECT 1 FROM pg_database WHERE datname = 'failing'") == []
