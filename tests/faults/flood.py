"""Writes many events a second of tickets that nobody measures, in a process of its own.

python -m tests.faults.flood BOOTSTRAP TOPIC EVENTS_PER_SECOND SECONDS
"""

from __future__ import annotations

import sys
import time
from typing import Final

from confluent_kafka import Producer

from shared.events import rfc3339

TICKETS: Final = 5_000
_SLICE_S: Final = 0.05
_EVENT: Final = (
    '{"specversion":"1.0","id":"flood-%d","source":"/flood","type":"ticket.updated","subject":"%s","time":"%s",'
    '"data":{"attributes":{"note":"one of very many"}}}'
)


def flood(producer: Producer, topic: str, *, per_second: int, seconds: float) -> int:
    """Write evenly for so long; how many events the brokers have then."""
    begun, sent = time.monotonic(), 0
    while (passed := time.monotonic() - begun) < seconds:
        now = rfc3339(time.time_ns() // 1000)
        while sent < per_second * passed:
            ticket = f"flood-{sent % TICKETS}"
            _produce(producer, topic, f"default/ticket/{ticket}", _EVENT % (sent, ticket, now))
            sent += 1
        producer.poll(0)
        time.sleep(_SLICE_S)
    left = producer.flush(60.0)
    return sent - left


def _produce(producer: Producer, topic: str, key: str, value: str) -> None:
    while True:
        try:
            producer.produce(topic, value.encode(), key.encode())
        except BufferError:  # its queue is full: the brokers take no more
            producer.poll(0.1)
        else:
            return


if __name__ == "__main__":
    bootstrap, name, rate, length = sys.argv[1:]
    settings = {"bootstrap.servers": bootstrap, "linger.ms": 20, "partitioner": "murmur2_random", "log_level": 0}
    print(flood(Producer(settings), name, per_second=int(rate), seconds=float(length)))
