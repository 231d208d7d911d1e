"""How many messages a receiver gets in a length of time."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.notifier.pace import Pace, pace_of
from shared.events import SECOND, Instant
from tests.factories import DUE

PACES = st.sampled_from([pace_of(text) for text in ("1/s", "10/s", "7/min", "120/min", "1000/h", "3/d")])


def test_a_full_bucket_gives_its_whole_number_at_once_and_then_one_after_the_other() -> None:
    pace = pace_of("120/min")
    assert pace.free(None, DUE) == 120
    empty = pace.taken(120, None, DUE)
    assert pace.free(empty, DUE) == 0
    assert pace.next_free(empty, DUE) == DUE + SECOND // 2
    assert pace.free(empty, DUE + 10 * SECOND) == 20
    assert pace.free(empty, DUE + 60 * SECOND) == 120


@pytest.mark.parametrize("text", ["", "120", "120/minute", "0/min", "-1/s", "1.5/s", "10/0s", 120, None])
def test_a_pace_that_cannot_be_read_is_refused(text: Any) -> None:
    with pytest.raises(ValueError, match="expected a number of messages in a time"):
        pace_of(text)


@given(pace=PACES, asked=st.lists(st.tuples(st.integers(0, 90 * SECOND), st.integers(0, 300)), max_size=30))
def test_no_window_of_time_ever_gets_more_than_the_bucket_holds_and_what_flows_in(
    pace: Pace, asked: list[tuple[int, int]]
) -> None:
    full_at: Instant | None = None
    now, went = DUE, []
    for after, wanted in asked:
        now += after
        number = min(wanted, pace.free(full_at, now))
        full_at = pace.taken(number, full_at, now)
        went.append((now, number))
    for start, (begin, _) in enumerate(went):
        for end in range(start, len(went)):
            allowed = pace.count + Fraction((went[end][0] - begin) * pace.count, pace.per)
            assert sum(number for _, number in went[start : end + 1]) <= allowed


@given(pace=PACES, taken=st.integers(0, 300), after=st.integers(0, 90 * SECOND))
def test_the_next_message_may_go_at_the_first_instant_at_which_one_is_free(pace: Pace, taken: int, after: int) -> None:
    full_at = pace.taken(taken, None, DUE)
    free_at = pace.next_free(full_at, DUE + after)
    assert pace.free(full_at, free_at) >= 1
    assert free_at == DUE + after or pace.free(full_at, free_at - 1) == 0
