"""A Kafka-protocol broker inside this process: librdkafka's mock cluster, which the confluent-kafka wheel carries.

It is for a first run and for tests of our own code. It listens on 127.0.0.1 at a port of its own choosing, keeps at
most 5 MB and 100,000 batches a partition in memory, and forgets everything when the process ends. It has no
CreateTopics (topics are made with `create_topic`, or come to be with four partitions when a client asks for them), no
answer to `offsets_for_times`, no retention, no compaction, no SASL or TLS; a group's committed offsets are listed for
named partitions only; its transactions isolate nothing, and every record's broker timestamp is the same. A consumer
group works with one member. What needs more needs Apache Kafka.
"""

from __future__ import annotations

import ctypes
from typing import Final

from confluent_kafka import cimpl

from shared.errors import Refused

_PRODUCER: Final = 0
_REJOIN_DELAY_MS: Final = 100
"""How long the first member of a group waits for others; the mock's own 3 s would make each start slow."""


class EmbeddedKafka:
    """One in-memory broker, from `start` to `stop`."""

    def __init__(self) -> None:
        """Prepare a broker; nothing listens before `start`."""
        # The extension module depends on librdkafka, so every name of the library is found through it, wherever the
        # wheel of this platform keeps the file itself.
        self._library = _declared(ctypes.CDLL(cimpl.__file__))
        self._client: int | None = None
        self._cluster: int | None = None

    def start(self) -> None:
        """Listen; a started broker stays as it is.

        Raises:
            Refused: the library cannot make a broker here.
        """
        if self._cluster is not None:
            return
        reason = ctypes.create_string_buffer(512)
        settings = self._library.rd_kafka_conf_new()
        # The client only carries the cluster; that it has no servers to connect to is nothing to warn of.
        self._library.rd_kafka_conf_set(settings, b"log_level", b"0", reason, len(reason))
        client = self._library.rd_kafka_new(_PRODUCER, settings, reason, len(reason))
        if not client:
            raise Refused(f"the embedded broker cannot start: {reason.value.decode()}")
        cluster = self._library.rd_kafka_mock_cluster_new(client, 1)
        if not cluster:
            self._library.rd_kafka_destroy(client)
            raise Refused("the embedded broker cannot start: no loopback port can be opened")
        self._library.rd_kafka_mock_group_initial_rebalance_delay_ms(cluster, _REJOIN_DELAY_MS)
        self._client, self._cluster = client, cluster

    def stop(self) -> None:
        """Close the broker and drop its topics; a stopped broker stays as it is."""
        if self._cluster is not None:
            self._library.rd_kafka_mock_cluster_destroy(self._cluster)
            self._library.rd_kafka_destroy(self._client)
        self._client = self._cluster = None

    def __enter__(self) -> EmbeddedKafka:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def bootstrap(self) -> str:
        """`host:port` for clients.

        Raises:
            Refused: it is not started.
        """
        address: bytes = self._library.rd_kafka_mock_cluster_bootstraps(self._started())
        return address.decode()

    def create_topic(self, name: str, partitions: int) -> None:
        """Make an empty topic.

        Raises:
            Refused: it exists, with whatever number of partitions.
        """
        error = self._library.rd_kafka_mock_topic_create(self._started(), name.encode(), partitions, 1)
        if error:
            raise Refused(f"topic {name}: {self._library.rd_kafka_err2str(error).decode()}")

    def take_down(self) -> None:
        """Refuse connections and drop the present ones, as a broker that is gone; the records stay."""
        self._library.rd_kafka_mock_broker_set_down(self._started(), 1)

    def bring_up(self) -> None:
        """Answer again, at the same address."""
        self._library.rd_kafka_mock_broker_set_up(self._started(), 1)

    def _started(self) -> int:
        if self._cluster is None:
            raise Refused("the embedded broker is not started")
        return self._cluster


def _declared(library: ctypes.CDLL) -> ctypes.CDLL:
    """*library* with the signatures that are used here; ctypes would cut pointers to 32 bits without them."""
    pointer, number, text = ctypes.c_void_p, ctypes.c_int, ctypes.c_char_p
    signatures: dict[str, tuple[object, list[object]]] = {
        "rd_kafka_conf_new": (pointer, []),
        "rd_kafka_conf_set": (number, [pointer, text, text, text, ctypes.c_size_t]),
        "rd_kafka_new": (pointer, [number, pointer, text, ctypes.c_size_t]),
        "rd_kafka_destroy": (None, [pointer]),
        "rd_kafka_err2str": (text, [number]),
        "rd_kafka_mock_cluster_new": (pointer, [pointer, number]),
        "rd_kafka_mock_cluster_destroy": (None, [pointer]),
        "rd_kafka_mock_cluster_bootstraps": (text, [pointer]),
        "rd_kafka_mock_topic_create": (number, [pointer, text, number, number]),
        "rd_kafka_mock_broker_set_down": (number, [pointer, ctypes.c_int32]),
        "rd_kafka_mock_broker_set_up": (number, [pointer, ctypes.c_int32]),
        "rd_kafka_mock_group_initial_rebalance_delay_ms": (None, [pointer, ctypes.c_int32]),
    }
    for name, (result, arguments) in signatures.items():
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
    return library
