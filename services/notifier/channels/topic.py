"""Alerts on a Kafka topic, as CloudEvents in binary mode with the item as their key."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from services.notifier.body import cloud_event
from services.notifier.delivery import ChannelName, Delivery, Outcome, kept_answer
from shared.errors import Refused, TooLarge, Unavailable
from shared.events import Instant
from shared.kafka.connection import Outgoing

CONCURRENCY: Final = 16
Produce = Callable[[str, Sequence[Outgoing]], Awaitable[None]]
"""Writes records to a topic, and returns once the brokers have them; raises Unavailable, Refused or TooLarge."""


class TopicChannel:
    """A topic."""

    name: ChannelName = "kafka"

    def __init__(self, topic: str, produce: Produce, timeout_s: float, *, concurrency: int = CONCURRENCY) -> None:
        self.concurrency = concurrency
        self._topic = topic
        self._produce = produce
        self._timeout_s = timeout_s

    async def send(self, delivery: Delivery, now: Instant) -> Outcome:  # the record has the breach's time
        """Write the record once; a repeat has the same id."""
        try:
            async with asyncio.timeout(self._timeout_s):
                await self._produce(self._topic, [outgoing(delivery)])
        except TimeoutError:
            return Outcome("retry", f"no answer within {self._timeout_s:g} s")
        except TooLarge as exc:
            return Outcome("refused", kept_answer(str(exc)))
        except (Unavailable, Refused) as exc:  # a right that is missing can be given
            return Outcome("retry", kept_answer(str(exc)))
        return Outcome("delivered", f"written to {self._topic}")


def outgoing(delivery: Delivery) -> Outgoing:
    """The record."""
    event = cloud_event(delivery)
    attributes = {name: value for name, value in event.attributes.items() if name != "datacontenttype"}
    headers = [(f"ce_{name}", value.encode()) for name, value in attributes.items()]
    headers.append(("content-type", event.attributes["datacontenttype"].encode()))
    return Outgoing(delivery.record.key.encode(), event.data, headers)
