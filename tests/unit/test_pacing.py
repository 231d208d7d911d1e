"""When recorded events are sent again, and which time they then carry."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.cli.pacing import Recording, Speed, parse_speed, recording, schedule, shift
from services.cli.replay import Due, batches
from shared.events import SECOND, Instant, Span
from shared.kafka.connection import Outgoing

instants = st.integers(0, 7 * 10**15)  # up to the year 2191
histories = st.lists(instants, min_size=1, max_size=50)
speeds = st.sampled_from([Speed(None), Speed(0.5), Speed(1.0), Speed(7.0), Speed(1000.0)])


class VirtualClock:
    """Time that passes only while somebody waits; it ends when *until* is reached."""

    def __init__(self, until: Instant | None = None) -> None:
        self.at: Instant = 1_000 * SECOND
        self._until = until

    def now(self) -> Instant:
        return self.at

    async def sleep(self, span: Span) -> bool:
        self.at += span
        return self._until is None or self.at < self._until


def dues(*afters: Span) -> Iterator[Due]:
    return (Due(after, Outgoing(b"key", str(after).encode())) for after in afters)


@pytest.mark.parametrize(
    ("text", "speed"),
    [
        ("realtime", Speed(1.0)),
        ("max", Speed(None)),
        ("x60", Speed(60.0)),
        ("×60", Speed(60.0)),  # as it is written by hand
        ("x0.5", Speed(0.5)),
    ],
)
def test_a_speed_can_be_named(text: str, speed: Speed) -> None:
    assert parse_speed(text) == speed


@pytest.mark.parametrize("text", ["", "fast", "60", "60x", "x0", "x-1", "x1e3", "X2"])
def test_what_names_no_speed_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="expected realtime, max or a factor like x60"):
        parse_speed(text)


@given(histories)
def test_a_recording_knows_its_first_and_its_last_event(times: list[Instant]) -> None:
    assert recording(times) == Recording(len(times), min(times), max(times))


def test_an_empty_file_is_no_recording() -> None:
    assert recording([]) is None


def test_events_keep_their_distance_at_their_own_pace() -> None:
    assert list(schedule([10, 25, 100], Speed(1.0))) == [0, 15, 90]


def test_events_come_closer_when_it_goes_faster() -> None:
    assert list(schedule([0, 60 * SECOND, 90 * SECOND], Speed(60.0))) == [0, SECOND, SECOND * 3 // 2]


def test_an_event_that_came_late_comes_late_again() -> None:
    assert list(schedule([10, 100, 40, 120], Speed(1.0))) == [0, 90, 90, 110]


@given(histories, speeds)
def test_the_order_of_the_file_is_kept(times: list[Instant], speed: Speed) -> None:
    afters = list(schedule(times, speed))
    assert len(afters) == len(times)
    assert afters == sorted(afters)


@given(histories, speeds, instants)
def test_no_event_is_sent_before_it_happened(times: list[Instant], speed: Speed, start: Instant) -> None:
    recorded = recording(times)
    assert recorded is not None
    moved = shift(recorded, speed, start)
    rounding = len(times)  # a microsecond at most for each division
    for time, after in zip(sorted(times), schedule(sorted(times), speed), strict=True):
        assert time + moved <= start + after + rounding


@given(histories, instants)
def test_at_its_own_pace_every_event_happens_when_it_is_sent(times: list[Instant], start: Instant) -> None:
    times.sort()
    recorded = recording(times)
    assert recorded is not None
    moved = shift(recorded, Speed(1.0), start)
    assert [time + moved for time in times] == [start + after for after in schedule(times, Speed(1.0))]


@given(histories, instants)
def test_all_at_once_the_last_event_happens_now(times: list[Instant], start: Instant) -> None:
    recorded = recording(times)
    assert recorded is not None
    assert recorded.last + shift(recorded, Speed(None), start) == start


async def test_records_leave_when_they_are_due() -> None:
    clock = VirtualClock()
    start = clock.at
    left = [(clock.at - start, [due.after for due in batch]) async for batch in batches(dues(0, 5, 5, 9), clock)]
    assert left == [(0, [0]), (5, [5, 5]), (9, [9])]


async def test_what_is_due_at_once_leaves_in_batches_of_a_thousand() -> None:
    sizes = [len(batch) async for batch in batches(dues(*[0] * 2_500), VirtualClock())]
    assert sizes == [1_000, 1_000, 500]


async def test_nothing_leaves_after_the_wait_was_ended() -> None:
    clock = VirtualClock(until=1_000 * SECOND + 7)
    left = [due.after async for batch in batches(dues(0, 5, 9, 12), clock) for due in batch]
    assert left == [0, 5]
