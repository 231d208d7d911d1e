"""How much of a topic may be unusable before its reader stops."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.dlq_limit import DlqLimit, DlqMeter, Found
from shared.errors import TooManyDeadLetters

GOOD, BAD = True, False


def read(meter: DlqMeter, *usable: bool, topic: str = "t") -> None:
    meter.keep(meter.weighed([Found(topic, each) for each in usable]))


@pytest.mark.parametrize(
    ("batches", "stops_at"),
    [
        ([[BAD] * 3], 0),  # all of one batch
        ([[BAD], [BAD], [BAD]], 2),  # over batches
        ([[GOOD, BAD], [BAD, BAD, GOOD]], 1),  # in the middle of one
        ([[BAD, BAD, GOOD]] * 3, None),  # one good one begins the count anew
        ([[], [BAD, BAD], [], [GOOD]], None),  # nothing at all changes nothing
    ],
)
def test_so_many_in_a_row_are_too_many(batches: list[list[bool]], stops_at: int | None) -> None:
    meter = DlqMeter(DlqLimit(in_a_row=3, share=1))
    stopped = None
    for number, batch in enumerate(batches):
        try:
            read(meter, *batch)
        except TooManyDeadLetters:
            stopped = number
            break
    assert stopped == stops_at
    assert (meter.stopped is not None and "3 records of t in a row" in meter.stopped) == (stops_at is not None)


def test_a_share_counts_once_the_window_is_full() -> None:
    meter = DlqMeter(DlqLimit(in_a_row=0, share=0.5, window=100))
    read(meter, *[BAD, BAD, GOOD] * 33)
    with pytest.raises(TooManyDeadLetters, match="67 of the last 100 records of t"):
        read(meter, BAD)


def test_what_lies_behind_the_window_is_forgotten() -> None:
    meter = DlqMeter(DlqLimit(in_a_row=0, share=0.5, window=100))
    read(meter, *[BAD] * 40, *[GOOD] * 60)
    for _ in range(50):
        read(meter, GOOD, GOOD)
    assert not meter.suspects
    read(meter, *[BAD] * 40, *[GOOD] * 60)


def test_good_records_from_before_the_first_bad_one_make_no_share_small() -> None:
    meter = DlqMeter(DlqLimit(in_a_row=0, share=0.5, window=100))
    with pytest.raises(TooManyDeadLetters):
        read(meter, *[GOOD] * 10_000, *[BAD] * 100)


def test_each_topic_counts_by_itself() -> None:
    meter = DlqMeter(DlqLimit(in_a_row=3))
    for _ in range(2):
        read(meter, BAD, topic="a")
        read(meter, GOOD, topic="b")
    with pytest.raises(TooManyDeadLetters, match="of a in a row"):
        read(meter, BAD, topic="a")


@pytest.mark.parametrize("limit", [DlqLimit(in_a_row=0, share=1, window=100)])
def test_without_limits_everything_may_be_bad(limit: DlqLimit) -> None:
    meter = DlqMeter(limit)
    read(meter, *[BAD] * 10_000)
    assert (meter.used, meter.stopped) == (0.0, None)


def test_a_batch_that_is_handled_again_counts_once() -> None:
    meter = DlqMeter(DlqLimit(in_a_row=3))
    for _ in range(10):
        meter.weighed([Found("t", BAD)])
    read(meter, BAD, BAD)
    assert meter.used == pytest.approx(2 / 3)


def test_how_near_it_is_shows_before_it_stops() -> None:
    meter = DlqMeter(DlqLimit(in_a_row=4, share=0.5, window=100))
    assert meter.used == 0
    read(meter, BAD, BAD)
    assert meter.used == 0.5
    read(meter, GOOD, *[BAD, GOOD] * 20)
    assert meter.used == pytest.approx(22 / 100 / 0.5)
    with pytest.raises(TooManyDeadLetters):
        read(meter, *[BAD] * 4)
    assert meter.used == 1


@given(st.lists(st.lists(st.booleans(), max_size=30), max_size=40))
def test_the_cut_into_batches_does_not_matter_for_what_comes_in_a_row(batches: list[list[bool]]) -> None:
    def stops(parts: list[list[bool]]) -> bool:
        meter = DlqMeter(DlqLimit(in_a_row=5, share=1))
        try:
            for part in parts:
                read(meter, *part)
        except TooManyDeadLetters:
            return True
        return False

    whole = [usable for batch in batches for usable in batch]
    assert stops(batches) == stops([whole]) == ("00000" in "".join(str(int(usable)) for usable in whole))


@given(st.lists(st.tuples(st.integers(0, 40), st.integers(0, 10)), max_size=60))
def test_no_window_is_longer_than_it_must_be_and_none_keeps_many_pieces(batches: list[tuple[int, int]]) -> None:
    meter = DlqMeter(DlqLimit(in_a_row=0, share=1, window=100))
    for good, bad in batches:
        read(meter, *[GOOD] * good, *[BAD] * bad)
        for standing in meter.weighed([]).values():
            assert len(standing.chunks) <= 101
            assert standing.unusable <= standing.records
            assert standing.records - standing.chunks[0][0] < 100
