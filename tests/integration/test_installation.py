"""Setting an installation up: topics on a cluster, and the partition count in the database."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence

import pytest

from deploy.local.embedded_kafka import EmbeddedKafka
from services.cli.installation import install_tables, install_topics
from services.cli.servers import EmbeddedBrokers
from services.cli.topics_file import Topic
from services.timer.query_store import QueryStore
from shared.db import Database, newest_revision
from shared.errors import Refused, Unavailable
from shared.kafka.admin import Admin, Cluster, NewTopic
from shared.kafka.connection import Connection
from tests.servers import Broker, Databases, Topics

EVENTS = "sla.events.v1"


def topic(partitions: int) -> Topic:
    return Topic.model_validate({"partitions": partitions, "retention": "7d", "replicas": 3})


class Brokers:
    """One broker that knows topics and their partitions."""

    def __init__(self, **topics: int) -> None:
        self.topics = topics

    async def cluster(self) -> Cluster:
        return Cluster("test", 1)

    async def partitions(self) -> Mapping[str, int]:
        return dict(self.topics)

    async def create(self, topics: Sequence[NewTopic]) -> None:
        self.topics |= {each.name: each.partitions for each in topics}


@pytest.fixture
async def database(databases: Databases) -> AsyncIterator[Database]:
    with databases.fresh("installation") as url:
        opened = Database(url)
        yield opened
        await opened.close()


async def test_the_first_installation_creates_topics_and_freezes_the_partition_count(database: Database) -> None:
    brokers = Brokers()
    created = await install_topics(brokers, database, {EVENTS: topic(6), "other": topic(2)}, EVENTS)
    assert {each.name: each.partitions for each in created} == {EVENTS: 6, "other": 2}
    assert await QueryStore(database).partitions() == 6


async def test_done_again_it_changes_nothing(database: Database) -> None:
    brokers = Brokers()
    await install_topics(brokers, database, {EVENTS: topic(6)}, EVENTS)
    assert await install_topics(brokers, database, {EVENTS: topic(9)}, EVENTS) == []
    assert brokers.topics == {EVENTS: 6}


async def test_the_count_of_a_topic_that_others_made_is_taken_over(database: Database) -> None:
    await install_topics(Brokers(**{EVENTS: 12}), database, {EVENTS: topic(6)}, EVENTS)
    assert await QueryStore(database).partitions() == 12


async def test_a_topic_that_was_lost_is_made_as_it_was(database: Database) -> None:
    await install_topics(Brokers(**{EVENTS: 12}), database, {EVENTS: topic(6)}, EVENTS)
    brokers = Brokers()
    await install_topics(brokers, database, {EVENTS: topic(6)}, EVENTS)
    assert brokers.topics == {EVENTS: 12}


async def test_another_number_of_partitions_than_before_is_refused(database: Database) -> None:
    await install_topics(Brokers(**{EVENTS: 12}), database, {EVENTS: topic(6)}, EVENTS)
    with pytest.raises(Refused, match="has 13 partitions, and this installation was set up with 12"):
        await install_topics(Brokers(**{EVENTS: 13}), database, {EVENTS: topic(6)}, EVENTS)


async def test_the_embedded_broker_can_be_set_up(database: Database) -> None:
    with EmbeddedKafka() as kafka:
        created = await install_topics(EmbeddedBrokers(kafka), database, {EVENTS: topic(3)}, EVENTS)
        admin = Admin(Connection(kafka.bootstrap))
        await admin.start()
        assert (await admin.partitions())[EVENTS] == 3
        assert await admin.settings([EVENTS], ["retention.ms"]) == {}  # it knows none
        await admin.stop()
    assert created == [NewTopic(EVENTS, 3, 1, topic(3).settings)]


async def test_tables_are_brought_to_the_newest_revision(database: Database) -> None:
    async with database.transaction("forget everything") as connection:
        await connection.exec_driver_sql("DROP SCHEMA timer CASCADE")
        await connection.exec_driver_sql("DROP SCHEMA notifier CASCADE")
        await connection.exec_driver_sql("DROP TABLE alembic_version")
    assert await database.revision() is None
    await install_tables(database)
    await install_tables(database)
    assert await database.revision() == newest_revision() is not None


async def test_a_database_that_does_not_answer_is_named() -> None:
    database = Database("postgresql://user:secret@127.0.0.1:1/name")
    with pytest.raises(Unavailable, match=r"^PostgreSQL at 127\.0\.0\.1:1 does not answer") as caught:
        await install_tables(database)
    await database.close()
    assert "secret" not in str(caught.value)


@pytest.mark.kafka
class TestAdmin:
    """The client for setting up, on a real Kafka."""

    @pytest.fixture
    async def admin(self, broker: Broker) -> AsyncIterator[Admin]:
        opened = Admin(Connection(broker.bootstrap))
        await opened.start()
        yield opened
        await opened.stop()

    async def test_a_topic_is_created_with_its_settings(self, admin: Admin, topics: Topics) -> None:
        name = topics.name("kept")
        await admin.create([NewTopic(name, 3, 1, {"cleanup.policy": "compact", "retention.ms": "-1"})])
        assert (await admin.partitions())[name] == 3
        told = await admin.settings([name], ["cleanup.policy", "retention.ms"])
        assert told == {name: {"cleanup.policy": "compact", "retention.ms": "-1"}}

    async def test_a_topic_that_is_there_stays_as_it_is(self, admin: Admin, topics: Topics) -> None:
        name = topics.create("there", 2)
        await admin.create([NewTopic(name, 5, 1, {})])
        assert (await admin.partitions())[name] == 2

    async def test_what_the_brokers_do_not_take_is_refused_with_their_reason(
        self, admin: Admin, topics: Topics
    ) -> None:
        with pytest.raises(Refused, match=f"topic {topics.name('odd')} cannot be created: .*cleanup.policy"):
            await admin.create([NewTopic(topics.name("odd"), 1, 1, {"cleanup.policy": "shrink"})])

    async def test_the_cluster_has_an_id_that_stays(self, admin: Admin) -> None:
        assert await admin.cluster() == await admin.cluster()
        assert (await admin.cluster()).brokers == 1


async def test_an_absent_cluster_is_unavailable() -> None:
    admin = Admin(Connection("127.0.0.1:1"))
    with pytest.raises(Unavailable, match=r"127\.0\.0\.1:1"):
        await admin.start()
    await admin.stop()
