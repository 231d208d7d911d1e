"""A consumer of `sla.breaches.v1` as any other service would have one, that notes when it could read what."""

from __future__ import annotations

import asyncio
import gc
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final, NamedTuple

import msgspec
from confluent_kafka import OFFSET_BEGINNING as BEGINNING
from confluent_kafka import Consumer, Message, TopicPartition

from shared.events import SECOND, Instant, parse_instant
from tests.bench.harness import OUT_PARTITIONS, Bench

BREACHED: Final = b"sla.clock.breached.v1"
QUIET_S: Final = 0.3


class Seen(NamedTuple):
    """A breach, and when it was where."""

    due: Instant
    detected: Instant  # stamped after the evidence gate
    readable: Instant  # the consumer had it


class _Breach(msgspec.Struct):
    due_at: str
    detected_at: str


class BreachReader:
    """Reads from when it is opened; what it read is looked at afterwards, so that looking costs no time."""

    def __init__(self, bench: Bench) -> None:
        topic = bench.topics.breaches
        self._consumer = Consumer(
            {
                "bootstrap.servers": bench.site.broker.bootstrap,
                "group.id": f"{bench.prefix}reader",
                "isolation.level": "read_committed",
                "enable.auto.commit": False,
                "fetch.wait.max.ms": 100,
                "queued.min.messages": 1_000_000,  # else it fetches no more for a while once 100,000 are waiting
            }
        )
        self._consumer.assign([TopicPartition(topic, number, BEGINNING) for number in range(OUT_PARTITIONS)])
        self._decoded: list[Seen | None] = []  # None: not of a breach
        self._raw: list[tuple[float, Message]] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def seen(self, first: Instant, last: Instant) -> list[Seen]:
        """The breaches so far of clocks that were due from *first* to *last*, in the order of reading."""
        self._decoded += self._breaches(len(self._decoded))
        return [one for one in self._decoded if one is not None and first <= one.due <= last]

    async def quiet(self) -> None:
        """Wait until nothing more comes for a moment."""
        count = -1
        while count != len(self._raw):
            count = len(self._raw)
            await asyncio.sleep(QUIET_S)

    def close(self) -> None:
        """Stop reading."""
        self._stop.set()
        self._thread.join()
        self._consumer.close()

    def _read(self) -> None:
        poll, keep = self._consumer.poll, self._raw.append
        while not self._stop.is_set():
            message = poll(0.05)
            if message is not None and message.error() is None:
                keep((time.time(), message))

    def _breaches(self, begin: int) -> list[Seen | None]:
        decode = msgspec.json.Decoder(_Breach).decode
        return [_seen(at, message, decode) for at, message in self._raw[begin:]]


def _seen(at: float, message: Message, decode: Callable[[bytes], _Breach]) -> Seen | None:
    headers, value = dict(message.headers() or ()), message.value()
    if headers.get("ce_type") != BREACHED or not isinstance(value, bytes):
        return None
    breach = decode(value)
    return Seen(parse_instant(breach.due_at), parse_instant(breach.detected_at), int(at * SECOND))


@contextmanager
def reading(bench: Bench) -> Iterator[BreachReader]:
    """A reader, open for a while in which nothing here collects garbage: that would be measured too."""
    reader = BreachReader(bench)
    gc.disable()
    try:
        yield reader
    finally:
        gc.enable()
        reader.close()
