"""The gate: what counts as evidence that nothing more is to come, and how long the lack of it is waited for."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from services.timer.evidence import Gate, Hold, Reading
from shared.configuration import Upstream
from shared.errors import PlazoError, Refused, Unavailable
from shared.events import SECOND
from shared.kafka.connection import Place
from tests.fakes_timer import FakeBrokers

TICKETS = Upstream(topic="tickets", kinds=frozenset({"ticket"}))
CALLS = Upstream(topic="calls", kinds=frozenset({"call"}))
INTAKE = Upstream(topic="intake")
PLACES = [Place("tickets", 0), Place("tickets", 1), Place("intake", 0)]


def gate(brokers: FakeBrokers) -> Gate:
    """A gate over topics of tickets and of calls, and one that can carry both."""
    return Gate(brokers, [TICKETS, CALLS, INTAKE], group="ingest", events_topic="events")


def brokers(*read: int | None, held: int = 10) -> FakeBrokers:
    """Brokers whose partitions all end at *held*, and of which ingest has read so much."""
    made = FakeBrokers(dict.fromkeys([*PLACES, Place("calls", 0), Place("events", 0), Place("events", 1)], held))
    made.read = {place: offset for place, offset in zip(PLACES, read, strict=False) if offset is not None}
    return made


async def test_only_topics_that_can_carry_the_kind_count() -> None:
    assert await gate(brokers()).held(("ticket",)) == dict.fromkeys(PLACES, 10)
    assert await gate(brokers()).held(("call",)) == {Place("calls", 0): 10, Place("intake", 0): 10}


async def test_a_topic_that_does_not_exist_is_no_evidence() -> None:
    made = brokers()
    del made.held[Place("intake", 0)]
    assert await gate(made).held(("ticket",)) is None


async def test_no_upstream_topic_at_all_holds_nothing_back() -> None:
    only_calls = Gate(brokers(), [CALLS], group="ingest", events_topic="events")
    assert await only_calls.held(("ticket",)) == {}
    assert await only_calls.reading({}) == Reading(0, 0)


@pytest.mark.parametrize("partitions", [1, 3, 0])
async def test_once_our_own_topic_has_other_partitions_there_is_no_evidence(partitions: int) -> None:
    made = brokers(10, 10, 10)
    asking = gate(made)
    assert await asking.held(("ticket",)) is not None
    made.held = {place: end for place, end in made.held.items() if place.topic != "events"}
    made.held |= {Place("events", number): 10 for number in range(partitions)}
    assert await asking.held(("ticket",)) is None


async def test_a_partition_that_was_just_added_counts() -> None:
    made = brokers(10, 10, 10)
    asking = gate(made)
    assert await asking.held(("ticket",)) is not None
    made.held[Place("tickets", 2)] = 3
    held = await asking.held(("ticket",))
    assert held is not None
    assert held[Place("tickets", 2)] == 3
    assert await asking.reading(held) is None  # ingest has not committed anything there


@pytest.mark.parametrize(
    ("read", "missing"),
    [
        ((10, 10, 10), 0),  # everything
        ((10, 9, 10), 1),  # one record of one partition is missing
        ((0, 0, 0), 30),
        ((10, 10, None), None),  # nothing committed for a partition: unknown
        ((), None),  # a group that nobody has used
        ((10, 11, 10), None),  # beyond the end: this is not the log that ingest has read
    ],
)
async def test_what_ingest_has_read(read: tuple[int | None, ...], missing: int | None) -> None:
    found = await gate(brokers(*read)).reading(dict.fromkeys(PLACES, 10))
    assert (None if found is None else found.missing) == missing


async def test_an_empty_partition_counts_only_once_ingest_has_looked_at_it() -> None:
    assert await gate(brokers(held=0)).reading(dict.fromkeys(PLACES, 0)) is None
    assert await gate(brokers(0, 0, 0, held=0)).reading(dict.fromkeys(PLACES, 0)) == Reading(0, 0)


async def test_ingest_may_have_read_on_since_the_ends_were_asked_for() -> None:
    found = await gate(brokers(15, 10, 12, held=15)).reading({PLACES[0]: 10, PLACES[1]: 10, PLACES[2]: 12})
    assert found == Reading(0, 37)


async def test_what_was_read_beyond_one_end_makes_up_for_no_other() -> None:
    found = await gate(brokers(20, 8, 10, held=20)).reading(dict.fromkeys(PLACES, 10))
    assert found is not None
    assert found.missing == 2


@pytest.mark.parametrize("error", [Unavailable("no broker answers"), Refused("not authorized"), PlazoError("else")])
async def test_an_error_is_no_evidence(error: PlazoError) -> None:
    made = brokers(10, 10, 10)
    made.down = error
    asking = gate(made)
    assert await asking.held(("ticket",)) is None
    assert await asking.reading(dict.fromkeys(PLACES, 10)) is None
    assert await asking.own_ends([0]) is None


async def test_an_end_that_is_missing_from_the_answer_is_no_evidence() -> None:
    class Forgetful(FakeBrokers):
        async def ends(self, places: object) -> dict[Place, int]:
            return {PLACES[0]: 10}

    made = Forgetful(brokers().held)
    assert await gate(made).held(("ticket",)) is None
    assert await gate(made).own_ends([0]) is None


async def test_our_own_ends() -> None:
    assert await gate(brokers()).own_ends([0, 1]) == {0: 10, 1: 10}
    assert await gate(brokers()).own_ends([0, 7]) is None


class Looks:
    """A hold of thirty seconds, and the looks that are taken at it."""

    def __init__(self) -> None:
        self.hold = Hold(30 * SECOND)

    def over(self, at_s: float, progress: int | None) -> bool:
        """Whether it is over at a look."""
        return self.hold.over(round(at_s * SECOND), progress)


@pytest.mark.parametrize(
    ("looks", "over"),
    [
        ([(0, 5)], False),  # it only begins
        ([(0, 5), (29, 5)], False),  # not yet
        ([(0, 5), (29, 5), (30, 5)], True),  # it stood still for that long
        ([(0, 5), (29, 6), (58, 6)], False),  # it advanced in between
        ([(0, 5), (29, 6), (58, 7), (87, 8), (116, 9)], False),  # a backlog is waited for however long
        ([(0, 5), (29, 6), (58, 6), (59, 6)], True),  # it advanced and then stood still
        ([(0, None), (20, None), (30, None)], True),  # nobody answers
        ([(0, None), (29, 5), (58, 5)], False),  # somebody answers at last, which is news
        ([(0, 5), (15, None), (30, 5)], True),  # the same answer as before is none
        ([(0, 5), (29, 4), (58, 4)], False),  # read again from an earlier place: it moves
        ([(0, 5), (31, 5)], False),  # nobody looked for longer than the hold: nothing is known of that time
    ],
)
def test_how_long_missing_evidence_is_waited_for(looks: list[tuple[float, int | None]], over: bool) -> None:
    hold = Looks()
    *before, last = looks
    for at, progress in before:
        assert not hold.over(at, progress)
    assert hold.over(*last) is over


def test_once_nothing_is_missing_the_wait_begins_anew() -> None:
    hold = Looks()
    hold.over(0, 5)
    hold.hold.clear()
    assert not hold.over(30, 5)


def test_a_wait_that_goes_on_is_over_at_once_the_next_time() -> None:
    hold = Looks()
    assert [hold.over(at, 5) for at in (0, 15, 30, 31)] == [False, False, True, True]


def test_a_hold_of_nothing_waits_for_nothing() -> None:
    assert Hold(0).over(0, None)


async def test_where_nothing_is_missing_one_look_is_enough() -> None:
    made = brokers(10, 10, 10)
    asking = gate(made)
    assert await asking.look(("ticket",)) == (dict.fromkeys(PLACES, 10), None)  # what there is was not known before
    assert await asking.look(("ticket",)) == (dict.fromkeys(PLACES, 10), Reading(0, 30))
    made.read[PLACES[0]] = 7
    assert await asking.look(("ticket",)) == (dict.fromkeys(PLACES, 10), Reading(3, 27))


async def test_a_partition_that_is_new_is_looked_at_before_anything_is_taken_for_read() -> None:
    made = brokers(10, 10, 10)
    asking = gate(made)
    await asking.look(("ticket",))
    new = Place(PLACES[0].topic, 1 + max(place.partition for place in made.held if place.topic == PLACES[0].topic))
    made.held[new] = 3
    held, reading = await asking.look(("ticket",))
    assert held is not None
    assert (held[new], reading) == (3, None)
    assert await asking.reading(held) is None  # ingest has not committed anything there


async def test_what_is_held_stays_known_while_the_group_does_not_answer() -> None:
    class Silent(FakeBrokers):
        async def committed(self, _group: str, places: Sequence[Place]) -> dict[Place, int | None]:
            raise Unavailable("the coordinator loads")

    made = Silent(held=brokers().held)
    asking = gate(made)
    await asking.look(("ticket",))
    assert await asking.look(("ticket",)) == (dict.fromkeys(PLACES, 10), None)
    assert await asking.reading(dict.fromkeys(PLACES, 10)) is None
