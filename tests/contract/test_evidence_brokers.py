"""What the gate and the relay ask of brokers; a real one and those in memory of unit tests both pass all of it."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import pytest

from shared.errors import TooLarge, Unavailable
from shared.kafka.connection import Connection, Outgoing, Place
from shared.kafka.offsets import Offsets
from shared.kafka.producer import Producer
from tests.fakes_timer import FakeBrokers, FakeSender
from tests.servers import Topics


class Twin(Protocol):
    """Brokers, by whichever implementation."""

    asking: Any
    sender: Any

    def topic(self, partitions: int) -> str:
        """A new, empty topic."""

    async def fill(self, place: Place, records: int) -> None:
        """Write records."""

    async def commit(self, offsets: Mapping[Place, int]) -> None:
        """Commit for the group "readers"."""


@dataclass
class InMemory:
    """The brokers of unit tests."""

    def __post_init__(self) -> None:
        self.asking: Any = FakeBrokers()
        self.sender: Any = FakeSender()

    def topic(self, partitions: int) -> str:
        """A new, empty topic."""
        name = secrets.token_hex(4)
        self.asking.held |= {Place(name, number): 0 for number in range(partitions)}
        return name

    async def fill(self, place: Place, records: int) -> None:
        """Write records."""
        self.asking.held[place] += records

    async def commit(self, offsets: Mapping[Place, int]) -> None:
        """Commit for the group."""
        self.asking.read |= offsets


@dataclass
class OnKafka:
    """A real broker."""

    topics: Topics

    def __post_init__(self) -> None:
        connection = Connection(self.topics.broker.bootstrap)
        self.asking: Any = Offsets(connection, "asks")
        self.sender: Any = Producer(connection, "writes")

    def topic(self, partitions: int) -> str:
        """A new, empty topic."""
        return self.topics.create(secrets.token_hex(4), partitions)

    async def fill(self, place: Place, records: int) -> None:
        """Write records."""
        await self.sender.send(place.topic, [Outgoing(b"k", b"v", partition=place.partition) for _ in range(records)])

    async def commit(self, offsets: Mapping[Place, int]) -> None:
        """Commit for the group."""
        await self.asking.show("readers", offsets)


@pytest.fixture(params=["in memory", "Kafka"])
async def twin(request: pytest.FixtureRequest) -> AsyncIterator[Twin]:
    """Brokers, of both kinds in turn."""
    if request.param == "in memory":
        yield InMemory()
        return
    made = OnKafka(request.getfixturevalue("topics"))
    await made.sender.start()
    try:
        yield made
    finally:
        await made.sender.stop()
        await made.asking.stop()


async def test_a_topic_has_as_many_partitions_as_it_was_made_with(twin: Twin) -> None:
    first, second = twin.topic(1), twin.topic(5)
    assert await twin.asking.counts([first, second, "nowhere"]) == {first: 1, second: 5, "nowhere": 0}


async def test_a_topic_made_a_moment_ago_is_there(twin: Twin) -> None:
    await twin.asking.counts([twin.topic(1)])
    later = twin.topic(3)
    assert await twin.asking.counts([later]) == {later: 3}


async def test_ends_and_beginnings(twin: Twin) -> None:
    topic = twin.topic(2)
    places = [Place(topic, 0), Place(topic, 1)]
    await twin.fill(places[1], 7)
    assert await twin.asking.ends(places) == {places[0]: 0, places[1]: 7}
    assert await twin.asking.beginnings(places) == {places[0]: 0, places[1]: 0}
    await twin.fill(places[1], 1)
    assert await twin.asking.ends(places) == {places[0]: 0, places[1]: 8}


async def test_what_a_group_has_committed_and_where_it_has_not(twin: Twin) -> None:
    topic = twin.topic(3)
    places = [Place(topic, number) for number in range(3)]
    await twin.fill(places[0], 5)
    assert await twin.asking.committed("readers", places) == dict.fromkeys(places)
    await twin.commit({places[0]: 4, places[1]: 0})
    assert await twin.asking.committed("readers", places) == {places[0]: 4, places[1]: 0, places[2]: None}
    await twin.commit({places[0]: 5})
    assert (await twin.asking.committed("readers", [places[0]])) == {places[0]: 5}


@pytest.mark.kafka  # the embedded broker takes records of any size
async def test_a_record_that_is_too_large_is_told_from_other_refusals(twin: Twin) -> None:
    topic = twin.topic(1)
    with pytest.raises(TooLarge):
        await twin.sender.send(topic, [Outgoing(b"k", b"v" * 2_000_000)])
    await twin.sender.send(topic, [Outgoing(b"k", b"v")])


async def test_brokers_that_are_away_are_unavailable(twin: Twin) -> None:
    place = Place(twin.topic(1), 0)
    if isinstance(twin, OnKafka):
        twin.asking = Offsets(Connection("127.0.0.1:1"), "asks")
    else:
        twin.asking.down = Unavailable("no broker answers")
    for ask in (twin.asking.counts(["t"]), twin.asking.ends([place]), twin.asking.committed("readers", [place])):
        with pytest.raises(Unavailable):
            await ask
