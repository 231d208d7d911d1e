"""What a group has committed: an error of the whole answer is no word about any partition."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka import errors as kafka_errors
from aiokafka.protocol.commit import OffsetFetchRequest, OffsetFetchResponse_v3

from shared.kafka.connection import Place
from shared.kafka.group import committed_offsets
from shared.kafka.loop import _begun

PLACES = [Place("tickets", 0), Place("tickets", 1), Place("calls", 0)]
FOUND = [("tickets", [(0, 7, "", 0), (1, -1, "", 0)]), ("calls", [(0, 0, "", 0)])]
LOADING, NOT_AVAILABLE, NOT_COORDINATOR, UNKNOWN_TOPIC, NOT_ALLOWED = 14, 15, 16, 3, 30


@dataclass
class Coordinator:
    """The client's connection to a group's coordinator, which gives the answers that it is told to give."""

    answers: list[Any]
    group_id: str = "ingest"
    lookups: int = 0
    known: bool = False

    async def ensure_coordinator_known(self) -> None:
        """Look for it, where it is not known."""
        self.lookups += not self.known
        self.known = True

    def coordinator_dead(self) -> None:
        """Forget it."""
        self.known = False

    async def _send_req(self, request: OffsetFetchRequest) -> OffsetFetchResponse_v3:
        assert self.known
        return OffsetFetchResponse_v3(0, *self.answers.pop(0))


@dataclass
class Consumer:
    """A consumer that notes where it is sent."""

    _coordinator: Coordinator
    sought: list[tuple[TopicPartition, int | str]] = field(default_factory=list)

    def seek(self, tp: TopicPartition, offset: int) -> None:
        """Go on from *offset*."""
        self.sought.append((tp, offset))

    async def seek_to_beginning(self, tp: TopicPartition) -> None:
        """Begin anew."""
        self.sought.append((tp, "beginning"))


async def test_offsets_are_given_where_there_are_any() -> None:
    coordinator = Coordinator([(FOUND, 0)])
    assert await committed_offsets(coordinator, PLACES) == {PLACES[0]: 7, PLACES[1]: None, PLACES[2]: 0}


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (([], LOADING), kafka_errors.GroupLoadInProgressError),  # the answer's own error, and no partition at all
        (([], NOT_ALLOWED), kafka_errors.GroupAuthorizationFailedError),
        (([("tickets", [(0, -1, "", LOADING)])], 0), kafka_errors.GroupLoadInProgressError),  # as older brokers say it
    ],
)
async def test_a_coordinator_that_cannot_tell_is_not_taken_to_say_that_there_are_none(
    answer: tuple[Any, int], error: type[Exception]
) -> None:
    with pytest.raises(error):
        await committed_offsets(Coordinator([answer]), PLACES)


@pytest.mark.parametrize("code", [NOT_COORDINATOR, NOT_AVAILABLE])
async def test_a_group_that_has_moved_is_looked_for_at_the_next_question(code: int) -> None:
    coordinator = Coordinator([([], code), (FOUND, 0)])
    with pytest.raises(kafka_errors.KafkaError):
        await committed_offsets(coordinator, PLACES)
    assert await committed_offsets(coordinator, PLACES) == {PLACES[0]: 7, PLACES[1]: None, PLACES[2]: 0}
    assert coordinator.lookups == 2


async def test_of_a_topic_that_does_not_exist_nothing_is_committed() -> None:
    coordinator = Coordinator([([("calls", [(0, -1, "", UNKNOWN_TOPIC)])], 0)])
    assert await committed_offsets(coordinator, PLACES[2:]) == {PLACES[2]: None}


@pytest.mark.parametrize(
    ("answer", "sought"),
    [
        (
            ([("tickets", [(0, -1, "", 0)])], 0),
            [(TopicPartition("tickets", 0), "beginning")],
        ),  # never read
        (([("tickets", [(0, 7, "", 0)])], 0), [(TopicPartition("tickets", 0), 7)]),  # it was only not known before
        (([], LOADING), []),  # still not known: nothing is read meanwhile
    ],
)
async def test_a_group_begins_anew_only_where_its_coordinator_says_that_it_never_committed(
    answer: tuple[Any, int], sought: list[tuple[TopicPartition, int | str]]
) -> None:
    consumer = Consumer(Coordinator([answer]))
    assert await _begun(consumer, TopicPartition("tickets", 0)) == bool(sought)
    assert consumer.sought == sought
