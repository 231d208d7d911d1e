"""A Kafka topic and the Apprise library as receivers."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Sequence
from typing import Any

import pytest

from services.notifier.channels.apprise import AppriseChannel, installed
from services.notifier.channels.topic import TopicChannel
from services.notifier.writing import BUILT_IN
from shared.breach_records import decode_published
from shared.cloudevents import attributes_of
from shared.errors import Refused, TooLarge, Unavailable
from shared.kafka.connection import Outgoing
from tests.factories import DUE, breach, delivery
from tests.fakes import FakeProducer
from tests.receivers import http_receiver

# --- a topic


async def test_a_record_has_the_items_key_and_is_a_cloudevent() -> None:
    producer, sent = FakeProducer(), delivery()
    outcome = await TopicChannel("alerts", producer.send, 5.0).send(sent, DUE)
    [record] = producer.on("alerts")
    assert (outcome.result, outcome.answer) == ("delivered", "written to alerts")
    assert record.key == b"default/ticket/42"
    attributes = attributes_of(dict(record.headers))
    assert (attributes["id"], attributes["type"]) == (sent.message_id, "sla.clock.breached.v1")
    assert decode_published(record.headers, record.value).data == sent.record.data


async def test_a_repeat_has_the_same_id_and_value() -> None:
    producer = FakeProducer()
    for _ in range(2):
        await TopicChannel("alerts", producer.send, 5.0).send(delivery(), DUE)
    first, second = producer.on("alerts")
    assert first == second


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (Unavailable("no broker answers"), "retry"),
        (Refused("not authorized"), "retry"),  # the right can be given
        (TooLarge("too many bytes"), "refused"),
    ],
)
async def test_what_the_brokers_say_decides(error: Exception, expected: str) -> None:
    async def produce(topic: str, records: Sequence[Outgoing]) -> None:
        raise error

    outcome = await TopicChannel("alerts", produce, 5.0).send(delivery(), DUE)
    assert (outcome.result, outcome.answer) == (expected, str(error))


async def test_brokers_that_do_not_answer_are_left_after_the_time_limit() -> None:
    async def produce(topic: str, records: Sequence[Outgoing]) -> None:
        await asyncio.Event().wait()

    outcome = await TopicChannel("alerts", produce, 0.05).send(delivery(), DUE)
    assert (outcome.result, outcome.answer) == ("retry", "no answer within 0.05 s")


# --- Apprise


class Told:
    """Says what *done* is, once *free* is set, and keeps what it was told."""

    def __init__(self, *, done: bool | None = True) -> None:
        self.done = done
        self.free = threading.Event()
        self.free.set()
        self.told: list[tuple[str, str, str, str]] = []

    def add(self, url: str) -> bool:
        return True

    def notify(self, body: str, title: str, notify_type: str, body_format: str) -> bool | None:
        self.free.wait(10.0)
        self.told.append((body, title, notify_type, body_format))
        return self.done


async def test_the_library_is_told_in_plain_words_and_how_it_stands() -> None:
    told = Told()
    outcome = await AppriseChannel(told, BUILT_IN, 5.0).send(delivery(), DUE)
    assert outcome.result == "delivered"
    [(body, title, kind, form)] = told.told
    assert title.startswith("Breached: ticket 42, first response")
    assert body.startswith(title)
    assert (kind, form) == ("failure", "text")


@pytest.mark.parametrize("done", [False, None])
async def test_what_the_library_does_not_deliver_is_tried_again(done: bool | None) -> None:  # a row of a table
    outcome = await AppriseChannel(Told(done=done), BUILT_IN, 5.0).send(delivery(), DUE)
    assert (outcome.result, outcome.answer) == ("retry", "Apprise could not deliver it")


async def test_a_library_that_hangs_is_left_after_the_time_limit_and_blocks_nothing_else() -> None:
    told = Told()
    told.free.clear()
    channel = AppriseChannel(told, BUILT_IN, 0.05, concurrency=1)
    outcomes = await asyncio.gather(*(channel.send(delivery(breach(f"event-{n}")), DUE) for n in range(3)))
    told.free.set()
    assert {each.answer for each in outcomes} == {"no answer within 0.05 s"}


def test_without_the_library_its_receiver_says_how_to_install_it() -> None:
    def find(name: str) -> Any:
        raise ImportError(name)

    with pytest.raises(ValueError, match=r"pip install -r requirements-apprise\.lock"):
        installed(find)


async def test_the_real_library_delivers() -> None:
    async with http_receiver() as http:
        messenger = installed()
        assert messenger.add(f"json://127.0.0.1:{http.port}/hook")
        outcome = await AppriseChannel(messenger, BUILT_IN, 10.0).send(delivery(), DUE)
        [posted] = http.posted
    assert outcome.result == "delivered"
    assert json.loads(posted.body)["type"] == "failure"


def test_the_real_library_knows_no_url_of_another_kind() -> None:
    assert not installed().add("nothing at all")
