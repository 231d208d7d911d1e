"""Talking to brokers that want TLS, a certificate or a login: what works, and what is said where it does not."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.local.kafka_jars import missing
from deploy.local.ports import free_port
from shared.configuration import CommonSettings, load
from shared.errors import PlazoError, Refused, Unavailable
from shared.kafka.admin import Admin
from shared.kafka.connection import Connection, Outgoing, Place, Record
from shared.kafka.loop import Subscription, consume
from shared.kafka.offsets import Offsets
from shared.kafka.producer import Producer
from shared.kafka.reader import Reader
from tests.processes import PlazoProcess
from tests.secure_kafka import PASSWORD, SecureKafka, secure_kafka, untrusted

pytestmark = pytest.mark.kafka


@pytest.fixture(scope="module")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecureKafka]:
    lacking = missing()
    if lacking is not None:
        pytest.skip(f"needs a Kafka that this machine runs itself: {lacking}")
    with secure_kafka(tmp_path_factory.mktemp("secure")) as started:
        started.broker.create_topic("letters", 1)
        yield started


def connection(settings: dict[str, str]) -> Connection:
    return load(CommonSettings, settings).connection


async def refused(settings: dict[str, str]) -> PlazoError:
    """What a client says that cannot start with *settings*."""
    producer = Producer(connection(settings), "test")
    try:
        with pytest.raises(PlazoError) as caught:
            await producer.start()
    finally:
        await producer.stop()
    return caught.value


@pytest.mark.parametrize(
    ("protocol", "mechanism"),
    [
        ("SSL", ""),  # the client shows a certificate
        ("SASL_SSL", "SCRAM-SHA-512"),
        ("SASL_SSL", "SCRAM-SHA-256"),
        ("SASL_SSL", "PLAIN"),
        ("SASL_PLAINTEXT", "SCRAM-SHA-512"),
    ],
)
async def test_a_record_is_written_and_read_however_brokers_are_reached(
    kafka: SecureKafka, protocol: str, mechanism: str
) -> None:
    reached = connection(kafka.settings(protocol, KAFKA_SASL_MECHANISM=mechanism))
    place, offsets = Place("letters", 0), Offsets(reached, "test")
    reader, producer = Reader(reached, "letters", "test"), Producer(reached, "test")
    try:
        before = (await offsets.ends([place]))[place]
        await producer.start()
        await producer.send("letters", [Outgoing(b"k", protocol.encode())])
        await reader.start()
        reader.add(0, before)
        async with asyncio.timeout(20.0):
            while not (read := await reader.poll(200, 10)):
                pass
        assert [record.value for record in read[0]] == [protocol.encode()]
    finally:
        for client in (reader, producer, offsets):
            await client.stop()


async def test_a_group_and_the_administration_log_in_too(kafka: SecureKafka) -> None:
    reached, stop, joined = connection(kafka.settings("SASL_SSL")), asyncio.Event(), asyncio.Event()
    kafka.broker.create_topic("read-by-a-group", 1)
    read: list[Record] = []

    async def handle(records: object) -> None:
        read.extend(records)  # type: ignore[arg-type] # a sequence of records
        stop.set()

    producer, admin = Producer(reached, "test"), Admin(reached)
    try:
        await producer.start()
        await admin.start()
        assert (await admin.partitions())["read-by-a-group"] == 1
        await producer.send("read-by-a-group", [Outgoing(b"k", b"v")])
        async with asyncio.timeout(60.0):
            await consume(reached, Subscription(("read-by-a-group",), "readers"), handle, stop=stop, joined=joined)
    finally:
        await producer.stop()
        await admin.stop()
    assert [record.value for record in read] == [b"v"]


@pytest.mark.parametrize(
    ("protocol", "changes", "blamed"),
    [
        ("SASL_SSL", {"KAFKA_SASL_PASSWORD": "wr0ng-of-kafka"}, "KAFKA_SASL_USERNAME, KAFKA_SASL_PASSWORD: "),
        ("SASL_SSL", {"KAFKA_SASL_USERNAME": "nobody"}, "KAFKA_SASL_USERNAME, KAFKA_SASL_PASSWORD: "),
        (
            "SASL_SSL",
            {"KAFKA_SASL_MECHANISM": "PLAIN", "KAFKA_SASL_PASSWORD": "wr0ng-of-kafka"},
            "KAFKA_SASL_USERNAME, KAFKA_SASL_PASSWORD: ",
        ),
        ("SASL_PLAINTEXT", {"KAFKA_SASL_MECHANISM": "PLAIN"}, "KAFKA_SASL_MECHANISM: "),
        ("SASL_SSL", {"KAFKA_CA_FILE": ""}, "KAFKA_CA_FILE: "),  # the system's authorities do not know the broker
        ("SSL", {"KAFKA_CERT_FILE": ""}, "KAFKA_CERT_FILE, KAFKA_KEY_FILE: "),
    ],
)
async def test_what_brokers_refuse_is_told_with_the_setting_that_is_to_blame(
    kafka: SecureKafka, protocol: str, changes: dict[str, str], blamed: str
) -> None:
    error = await refused(kafka.settings(protocol, **changes))
    assert isinstance(error, Refused)
    assert str(error).startswith(blamed)
    assert not [secret for secret in (PASSWORD, "wr0ng-of-kafka") if secret in str(error)]


async def test_an_authority_that_did_not_sign_is_told(kafka: SecureKafka, tmp_path: Path) -> None:
    error = await refused(kafka.settings("SASL_SSL", KAFKA_CA_FILE=str(untrusted(tmp_path))))
    assert isinstance(error, Refused)
    assert str(error).startswith("KAFKA_CA_FILE: the certificate of 127.0.0.1:")


async def test_a_certificate_of_another_name_is_told(kafka: SecureKafka) -> None:
    port = kafka.broker.protected["SASL_SSL"]
    error = await refused(kafka.settings("SASL_SSL", KAFKA_BOOTSTRAP=f"localhost:{port}"))
    assert isinstance(error, Refused)
    assert str(error).startswith(f"KAFKA_BOOTSTRAP: the certificate of localhost:{port} is not trusted: Hostname")


@pytest.mark.parametrize(
    ("talked", "listens"),
    [
        ("PLAINTEXT", "SSL"),
        ("PLAINTEXT", "SASL_PLAINTEXT"),
        ("SSL", "PLAINTEXT"),
        ("SASL_PLAINTEXT", "PLAINTEXT"),
        ("SASL_SSL", "SASL_PLAINTEXT"),
    ],
)
async def test_another_protocol_than_the_brokers_is_told(kafka: SecureKafka, talked: str, listens: str) -> None:
    port = {"PLAINTEXT": kafka.broker.port, **kafka.broker.protected}[listens]
    settings = {} if talked == "PLAINTEXT" else kafka.settings(talked)
    error = await refused({**settings, "KAFKA_BOOTSTRAP": f"127.0.0.1:{port}"})
    assert "KAFKA_SECURITY_PROTOCOL" in str(error)


async def test_while_another_broker_may_be_better_nothing_is_final(kafka: SecureKafka) -> None:
    known = kafka.settings("SASL_SSL", KAFKA_SASL_PASSWORD="wr0ng-of-kafka")
    error = await refused({**known, "KAFKA_BOOTSTRAP": f"127.0.0.1:{free_port()},{known['KAFKA_BOOTSTRAP']}"})
    assert isinstance(error, Unavailable)
    assert "KAFKA_SASL_PASSWORD" in str(error)


async def test_a_service_that_may_not_log_in_ends_with_one_sentence(kafka: SecureKafka, tmp_path: Path) -> None:
    settings = kafka.settings("SASL_SSL", KAFKA_SASL_PASSWORD="wr0ng-of-kafka")
    process = PlazoProcess(["ingest"], settings, tmp_path / "ingest.log")
    process.start()
    assert await process.ended(60.0) == 1
    said = [line for line in process.output().splitlines() if not line.startswith("{")]  # the log apart
    assert len(said) == 1
    assert said[0].startswith("plazo: KAFKA_SASL_USERNAME, KAFKA_SASL_PASSWORD: 127.0.0.1:")
    assert "Traceback" not in process.output()
    assert "wr0ng-of-kafka" not in process.output()
