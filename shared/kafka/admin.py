"""What is set up at a cluster, and what is asked of it as a whole: topics, their settings, how many brokers."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NamedTuple

from aiokafka import errors as kafka_errors
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin import NewTopic as _NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from shared.errors import Refused, Unavailable
from shared.kafka.connecting import opened
from shared.kafka.connection import Connection, limited, within

_LOOK_S: Final = 0.05  # between two looks at topics that come to be
_APPEAR_S: Final = 10.0


class NewTopic(NamedTuple):
    """A topic to be made; *settings* by their Kafka names."""

    name: str
    partitions: int
    replicas: int
    settings: Mapping[str, str]


class Cluster(NamedTuple):
    """Who answers."""

    id: str  # another one is another cluster, whatever its address
    brokers: int


class Admin:
    """A client for setting up and looking around; it reads and writes no records."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._client: AIOKafkaAdminClient | None = None

    async def start(self) -> None:
        """Connect.

        Raises:
            Unavailable, Refused: no broker answers, or takes this client.
        """
        self._client = AIOKafkaAdminClient(**self._connection.arguments("admin"))
        await opened(self._connection, self._client.start)

    async def stop(self) -> None:
        """Disconnect."""
        client, self._client = self._client, None
        if client is not None:
            await within(client.close(), seconds=2.0)

    async def cluster(self) -> Cluster:
        """The cluster that answers.

        Raises:
            Unavailable: none does.
        """
        async with limited("describe the cluster"):
            found = await self._open().describe_cluster()
        return Cluster(str(found["cluster_id"]), len(found["brokers"]))

    async def partitions(self) -> dict[str, int]:
        """topic -> how many partitions it has, for every topic of the cluster.

        Raises:
            Unavailable: no broker answers.
        """
        async with limited("list the topics"):
            # Asking for named topics would make them, where brokers make topics that are asked for.
            found = await self._open().describe_topics()
        return {topic["topic"]: len(topic["partitions"]) for topic in found}

    async def create(self, topics: Sequence[NewTopic]) -> None:
        """Make *topics*, and wait until they can be seen. One that somebody else made meanwhile stays as it is.

        Raises:
            Refused: the brokers do not take one, and say why.
            Unavailable: no broker answers, or the topics do not come to be.
        """
        if not topics:
            return
        wanted = [_NewTopic(each.name, each.partitions, each.replicas, None, dict(each.settings)) for each in topics]
        async with limited("create topics"):
            answer = await self._open().create_topics(wanted)
        for name, code, message in answer.topic_errors:
            if code not in (0, kafka_errors.TopicAlreadyExistsError.errno):
                raise _meaning(name, code, message)
        async with limited("wait for the new topics", _APPEAR_S):
            while not {each.name for each in topics} <= (await self.partitions()).keys():  # noqa: ASYNC110 # only asking tells
                await asyncio.sleep(_LOOK_S)

    async def settings(self, topics: Iterable[str], names: Sequence[str]) -> dict[str, dict[str, str]]:
        """topic -> setting -> value; a broker that does not tell settings gives nothing.

        Raises:
            Unavailable: no broker answers.
        """
        asked = [ConfigResource(ConfigResourceType.TOPIC, topic, dict.fromkeys(names, "")) for topic in topics]
        async with limited("read the settings of topics"):
            try:
                answers = await self._open().describe_configs(asked)
            except kafka_errors.IncompatibleBrokerVersion:
                return {}
        resources = [resource for answer in answers for resource in answer.resources]
        # (error code, error text, type, name, entries of (name, value, …))
        return {each[3]: {entry[0]: entry[1] for entry in each[4]} for each in resources if not each[0]}

    def _open(self) -> AIOKafkaAdminClient:
        if self._client is None:
            raise Unavailable("the client is not connected")
        return self._client


def _meaning(topic: str, code: int, message: str | None) -> Refused | Unavailable:
    error = kafka_errors.for_code(code)
    text = f"topic {topic} cannot be created: {message or error.__name__}"
    return Unavailable(text) if error.retriable else Refused(text)
