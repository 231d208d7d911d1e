"""What is asked of a broker from outside: whether it answers, and topics."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from typing import Final

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient, NewTopic  # type: ignore[attr-defined] # its types hide the import

from shared.errors import Refused

_ANSWER_S: Final = 10.0


def answers(bootstrap: str) -> bool:
    """Whether the broker at `host:port` takes connections and serves consumer groups."""
    host, port = bootstrap.rsplit(":", 1)
    try:
        # Asked first, because it is refused at once where the client would go on trying.
        socket.create_connection((host, int(port)), timeout=1.0).close()
        admin = _admin(bootstrap)
        # A new broker makes its topic of offsets at the first question about a group, and answers only then. Asked for
        # the offsets of a group instead, librdkafka 2.16 can crash while the coordinator loads.
        admin.describe_consumer_groups(["nobody"], request_timeout=_ANSWER_S)["nobody"].result(_ANSWER_S)
    except OSError:
        return False
    except KafkaException as exc:
        # That there is no such group is an answer.
        return bool(exc.args[0].code() == KafkaError.GROUP_ID_NOT_FOUND)
    return True


def create_topic(bootstrap: str, name: str, partitions: int, settings: Mapping[str, str] | None = None) -> None:
    """Make an empty topic of one replica, with *settings* by their Kafka names; it can be used when this returns.

    Raises:
        Refused: it exists, or the broker does not take a setting.
    """
    topic = NewTopic(name, num_partitions=partitions, replication_factor=1, config=dict(settings or {}))
    admin = _admin(bootstrap)  # named, because its requests end with it
    try:
        admin.create_topics([topic], operation_timeout=_ANSWER_S)[name].result(_ANSWER_S)
    except KafkaException as exc:
        raise Refused(f"topic {name}: {exc.args[0].str()}") from exc


def ensure_topic(bootstrap: str, name: str, partitions: int) -> None:
    """Make the topic *name* unless it is there.

    Raises:
        Refused: the broker does not take it.
    """
    admin = _admin(bootstrap)
    if name not in admin.list_topics(timeout=_ANSWER_S).topics:
        create_topic(bootstrap, name, partitions)


def _admin(bootstrap: str) -> AdminClient:
    # The client retries by itself; what it would print in the meantime is no news.
    return AdminClient({"bootstrap.servers": bootstrap, "log_level": 0})
