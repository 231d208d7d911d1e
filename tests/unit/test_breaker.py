"""An endpoint that fails again and again is left alone, and tried again one attempt at a time."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from services.notifier.breaker import FAILURES, FIRST_REST, LONGEST_REST, LONGEST_WISH, Breaker
from services.notifier.delivery import Outcome
from services.notifier.retry import SCHEDULE
from shared.events import DAY, SECOND, Instant, Span

FAILED = Outcome("retry", "503", 503)
TAKEN = Outcome("delivered", "204", 204)
REFUSED = Outcome("refused", "400", 400)
START: Instant = 1_000_000 * SECOND


def failing(times: int, at: Instant = START) -> Breaker:
    known = Breaker()
    for _ in range(times):
        known = known.after(FAILED, at, jitter=0.0)
    return known


def test_few_failures_change_nothing() -> None:
    assert failing(FAILURES - 1).room(4, 1, START) == 3


def test_many_in_a_row_let_it_rest() -> None:
    known = failing(FAILURES)
    assert known.room(4, 0, START + FIRST_REST - 1) == 0
    assert known.room(4, 0, START + FIRST_REST) == 1


def test_one_that_succeeds_between_them_begins_the_row_anew() -> None:
    known = failing(FAILURES - 1).after(TAKEN, START, jitter=0.0)
    assert known.after(FAILED, START, jitter=0.0).room(4, 0, START) == 4


def test_after_a_rest_there_is_one_trial_at_a_time() -> None:
    known, later = failing(FAILURES), START + FIRST_REST
    assert (known.room(4, 0, later), known.room(4, 1, later)) == (1, 0)


def test_a_trial_that_succeeds_ends_it_all() -> None:
    assert failing(FAILURES).after(TAKEN, START + FIRST_REST, jitter=0.0) == Breaker()


def test_a_refusal_is_an_answer() -> None:
    assert failing(FAILURES).after(REFUSED, START + FIRST_REST, jitter=0.0) == Breaker()


def test_each_trial_that_fails_doubles_the_rest_up_to_a_limit() -> None:
    known, at, rests = failing(FAILURES), START, []
    for _ in range(8):
        rests.append(known.until - at)
        at = known.until
        known = known.after(FAILED, at, jitter=0.0)
    assert [rest // SECOND for rest in rests] == [10, 20, 40, 80, 160, 300, 300, 300]


def test_what_was_under_way_when_it_began_to_rest_makes_no_rest_longer() -> None:
    known = failing(FAILURES)
    for _ in range(60):
        known = known.after(FAILED, START + SECOND, jitter=0.0)
    assert (known.until, known.rests) == (START + FIRST_REST, 1)


def test_it_is_left_alone_as_long_as_it_asks_but_an_hour_at_most() -> None:
    asked = Breaker().after(Outcome("retry", "429", 429, 30 * SECOND), START, jitter=0.0)
    assert (asked.until, asked.room(4, 0, asked.until)) == (START + 30 * SECOND, 4)
    greedy = Breaker().after(Outcome("retry", "429", 429, 5 * DAY), START, jitter=0.0)
    assert greedy.until == START + LONGEST_WISH


def test_chance_lengthens_a_rest_by_a_tenth_at_most() -> None:
    known = failing(FAILURES - 1).after(FAILED, START, jitter=0.999)
    assert FIRST_REST < known.until - START <= FIRST_REST * 11 // 10


OUTCOMES = st.sampled_from([FAILED, TAKEN, REFUSED, Outcome("retry", "429", 429, 90 * SECOND)])


@given(st.lists(st.tuples(OUTCOMES, st.integers(0, 600 * SECOND), st.floats(0, 0.999)), max_size=60))
def test_an_endpoint_is_always_tried_again_and_never_crowded(steps: list[tuple[Outcome, Span, float]]) -> None:
    known, now = Breaker(), START
    for outcome, passed, jitter in steps:
        now += passed
        known = known.after(outcome, now, jitter=jitter)
        assert known.until <= now + LONGEST_WISH
        assert known.room(8, 0, max(now, known.until)) in (1, 8)
        assert known.room(8, 8, now) == 0


def test_an_outage_of_three_days_costs_each_that_waits_no_more_attempts_than_its_schedule_has() -> None:
    # 100 wait; each trial takes the one that is due first. Without the rests, each would be attempted ten times.
    known, now, end = failing(FAILURES), START, START + sum(SCHEDULE)
    due, attempts = dict.fromkeys(range(100), START), dict.fromkeys(range(100), 0)
    while now < end:
        now = max(now + SECOND, known.until)
        first = min(due, key=lambda each: due[each])
        if known.room(4, 0, now) and due[first] <= now:
            attempts[first] += 1
            due[first] = now + SCHEDULE[min(attempts[first], len(SCHEDULE) - 1)]
            known = known.after(FAILED, now, jitter=0.0)
    assert max(attempts.values()) <= len(SCHEDULE)
    assert sum(attempts.values()) <= sum(SCHEDULE) // LONGEST_REST + 10
