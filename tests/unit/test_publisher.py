"""Alerts are written to topics by a producer that is opened when somebody is to be told so."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, field

import pytest

from services.notifier.publisher import Publisher
from shared.errors import Unavailable
from shared.kafka.connection import Outgoing

RECORD = Outgoing(b"default/ticket/42", b"{}")


@dataclass
class Opening:
    """A producer that counts how often it is opened; its broker does not answer as often as *away* says."""

    away: int = 0
    opened: int = 0
    written: list[Outgoing] = field(default_factory=list)

    async def start(self) -> None:
        await asyncio.sleep(0)
        if self.away:
            self.away -= 1
            raise Unavailable("no broker answers")
        self.opened += 1

    async def send(self, topic: str, records: Iterable[Outgoing]) -> None:
        assert self.opened
        self.written += records

    async def stop(self) -> None:
        self.opened = 0


async def test_nothing_is_opened_before_somebody_is_to_be_told() -> None:
    producer = Opening()
    await Publisher(producer).stop()
    assert producer.opened == 0


async def test_it_is_opened_once_however_many_are_told_at_once() -> None:
    producer = Opening()
    publisher = Publisher(producer)
    await asyncio.gather(*(publisher.publish("alerts", [RECORD]) for _ in range(5)))
    assert (producer.opened, len(producer.written)) == (1, 5)


async def test_a_broker_that_does_not_answer_is_asked_again_the_next_time() -> None:
    publisher = Publisher(Opening(away=1))
    with pytest.raises(Unavailable):
        await publisher.publish("alerts", [RECORD])
    await publisher.publish("alerts", [RECORD])
