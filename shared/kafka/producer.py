"""Writing many records at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from contextlib import suppress
from struct import Struct
from typing import Any, Final

from aiokafka import AIOKafkaProducer

from shared.errors import TooLarge, Unavailable
from shared.kafka.connecting import opened
from shared.kafka.connection import Connection, Outgoing, limited, translated, within

KEYS_KNOWN: Final = 1 << 15
"""Of so many keys of a topic it is remembered where they go, in 4 MiB: an item's events come in bursts."""

_WORD: Final = 0xFFFFFFFF
_MIX: Final = 0x5BD1E995
_WORDS: Final = [Struct(f"<{count}I") for count in range(64)]  # for keys of up to 255 bytes


def partition_of(key: bytes, count: int) -> int:
    """The partition of *count* that the Java client would choose for *key*."""
    return (_murmur2(key) & 0x7FFFFFFF) % count


def _murmur2(key: bytes) -> int:
    # aiokafka's own takes a byte at a time, 9 µs for an item's key; a word at a time it is 4.
    whole, rest = divmod(len(key), 4)
    words = _WORDS[whole] if whole < len(_WORDS) else Struct(f"<{whole}I")
    found = 0x9747B28C ^ len(key)
    for word in words.unpack_from(key):
        mixed = (word * _MIX) & _WORD
        found = (found * _MIX & _WORD) ^ ((mixed ^ mixed >> 24) * _MIX & _WORD)
    if rest:
        found = (found ^ int.from_bytes(key[-rest:], "little")) * _MIX & _WORD
    found = (found ^ found >> 13) * _MIX & _WORD
    return found ^ found >> 15


class Producer:
    """An idempotent producer that writes many records at a time, in order per partition."""

    def __init__(self, connection: Connection, client: str) -> None:
        self._connection = connection
        self._client = client
        self._producer: AIOKafkaProducer | None = None
        self._counts: dict[str, int] = {}
        self._places: dict[str, dict[bytes, int]] = {}  # topic -> key -> partition, of the keys that came last
        self._doubtful = False  # whether something was sent of which nobody knows what became
        self._settling = asyncio.Lock()

    async def start(self) -> None:
        """Connect.

        Raises:
            Unavailable: no broker answers.
        """
        self._producer = producer = AIOKafkaProducer(
            **self._connection.arguments(self._client),
            enable_idempotence=True,
            acks="all",
            linger_ms=0,
            max_batch_size=256 * 1024,
            max_request_size=1_048_576,
        )
        try:
            await opened(self._connection, producer.start)
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """Disconnect; what was not acknowledged may or may not have been written."""
        producer, self._producer = self._producer, None
        if producer is not None:
            with translated("stop the producer"):
                await within(producer.stop(), seconds=2.0)

    async def restart(self) -> None:
        """Open a new producer session, as must be done after any error whose outcome is not known."""
        with suppress(Unavailable):  # the old session is gone either way
            await self.stop()
        await self.start()
        self._doubtful = False

    async def partitions(self, topic: str) -> int:
        """How many partitions *topic* has.

        Raises:
            Unavailable: the topic does not exist, or no broker answers.
        """
        if topic not in self._counts:
            async with limited(f"read the partitions of {topic}"):
                self._counts[topic] = len(await self._open().partitions_for(topic))
        return self._counts[topic]

    async def send(self, topic: str, records: Iterable[Outgoing]) -> None:
        """Write *records* to *topic* and wait until the brokers have them all.

        Batches are built here: 2 µs a record, where the client's own send takes 12 to 15 µs. *records* are taken one by
        one, so a generator keeps only their bytes. After a failure the next call opens a new session first: the client
        may still hold what it could not deliver, and never recovers from some answers of a broker.

        Raises:
            Unavailable: some may not have been written; the same records may be sent again.
            TooLarge: a record is larger than the topic takes; nothing is known of the others.
            Refused: the topic may not be written.
        """
        await self._settle()
        count = await self.partitions(topic)
        batches = self._batches(topic, records, count)
        try:
            async with limited(f"produce to {topic}"):
                sends = [self._send_partition(topic, partition, some) for partition, some in batches.items()]
                acknowledgements = [future for futures in await asyncio.gather(*sends) for future in futures]
                await asyncio.gather(*acknowledgements)
        except BaseException:
            self._doubtful = True
            raise

    async def _settle(self) -> None:
        async with self._settling:
            if self._doubtful:
                await self.restart()

    def _batches(self, topic: str, records: Iterable[Outgoing], count: int) -> dict[int, list[Any]]:
        producer = self._open()
        places = self._places.setdefault(topic, {})
        batches: dict[int, list[Any]] = {}
        for key, value, some_headers, chosen in records:
            partition = places.get(key) if chosen is None else chosen
            if partition is None:
                partition = _placed(places, key, count)
            headers = some_headers if type(some_headers) is list else list(some_headers)  # the client takes lists only
            some = batches.get(partition)
            if some is None:
                some = batches[partition] = [producer.create_batch()]
            if some[-1].append(key=key, value=value, timestamp=None, headers=headers) is not None:
                continue
            some.append(producer.create_batch())
            if some[-1].append(key=key, value=value, timestamp=None, headers=headers) is None:
                raise TooLarge(f"a record of {len(value or b'')} bytes does not fit into a batch for {topic}")
        return batches

    async def _send_partition(self, topic: str, partition: int, batches: list[Any]) -> list[asyncio.Future[Any]]:
        producer = self._open()
        return [await producer.send_batch(batch, topic, partition=partition) for batch in batches]

    def _open(self) -> AIOKafkaProducer:
        if self._producer is None:
            raise Unavailable("the producer is not connected")
        return self._producer


def _placed(places: dict[bytes, int], key: bytes, count: int) -> int:
    if len(places) >= KEYS_KNOWN:
        places.clear()
    found = places[key] = partition_of(key, count)
    return found
