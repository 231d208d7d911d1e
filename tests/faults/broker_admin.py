"""What an administrator does to topics, wisely or not; as Kafka's own tools do it."""

from __future__ import annotations

from collections.abc import Iterable

from confluent_kafka import TopicPartition
from confluent_kafka.admin import (  # type: ignore[attr-defined] # its types hide the imports
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewPartitions,
    ResourceType,
)

_ANSWER_S = 30.0


class BrokerAdmin:
    """An administrator at one broker; each call returns when the broker has done it."""

    def __init__(self, bootstrap: str) -> None:
        self._client = AdminClient({"bootstrap.servers": bootstrap, "log_level": 0})

    def grow(self, topic: str, partitions: int) -> None:
        """`kafka-topics --alter --partitions`."""
        self._client.create_partitions([NewPartitions(topic, partitions)])[topic].result(_ANSWER_S)

    def delete(self, topic: str) -> None:
        """`kafka-topics --delete`."""
        self._client.delete_topics([topic], operation_timeout=_ANSWER_S)[topic].result(_ANSWER_S)

    def delete_records(self, topic: str, partitions: Iterable[int]) -> None:
        """`kafka-delete-records`, up to the end of each partition."""
        places = [TopicPartition(topic, number, -1) for number in partitions]
        for future in self._client.delete_records(places).values():
            future.result(_ANSWER_S)

    def limit_records(self, topic: str, largest: int) -> None:
        """`kafka-configs --alter --add-config max.message.bytes=…`."""
        entry = ConfigEntry("max.message.bytes", str(largest), incremental_operation=AlterConfigOpType.SET)
        resource = ConfigResource(ResourceType.TOPIC, topic, incremental_configs=[entry])
        self._client.incremental_alter_configs([resource])[resource].result(_ANSWER_S)
