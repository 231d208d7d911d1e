"""When a delivery is attempted again."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.notifier.delivery import Outcome
from services.notifier.retry import JITTER, LONGEST_WAIT, SCHEDULE, Verdict, judge, retry_after
from shared.events import SECOND, Span, parse_instant

NOW = parse_instant("2026-01-05T12:00:00Z")
HOUR = 3600 * SECOND
FAILED = Outcome("retry", "503")


def test_a_receiver_that_stays_away_is_tried_ten_times_over_three_days() -> None:
    """A virtual clock walks the whole schedule without jitter."""
    now, attempts, waits = NOW, 0, []
    while True:
        attempts += 1
        verdict = judge(FAILED, attempts, now, jitter=0.0)
        if verdict.next_attempt_at is None:
            break
        waits.append((verdict.next_attempt_at - now) // SECOND)
        now = verdict.next_attempt_at
    assert waits == [5, 300, 1800, 7200, 18000, 36000, 50400, 72000, 86400]
    assert verdict == Verdict("failed", gave_up=True)


def test_a_delivery_that_arrived_is_done() -> None:
    assert judge(Outcome("delivered", "200"), 1, NOW, jitter=0.5) == Verdict("delivered")


def test_a_refused_delivery_is_never_repeated() -> None:
    assert judge(Outcome("refused", "410"), 1, NOW, jitter=0.5) == Verdict("failed")


@pytest.mark.parametrize(
    ("attempts", "asked", "expected"),
    [
        (1, None, 5 * SECOND),  # the schedule
        (1, 60 * SECOND, 60 * SECOND),  # longer than the schedule: as asked
        (3, 60 * SECOND, 1800 * SECOND),  # shorter: the schedule, or an outage would use up all attempts
        (1, 48 * HOUR, LONGEST_WAIT),  # bounded
        (1, 0, 5 * SECOND),
    ],
)
def test_a_wait_that_is_asked_for_lengthens_the_schedules(attempts: int, asked: Span | None, expected: Span) -> None:
    assert judge(Outcome("retry", "503", 503, asked), attempts, NOW, jitter=0.0).next_attempt_at == NOW + expected


@given(attempts=st.integers(1, len(SCHEDULE) - 1), jitter=st.floats(0, 1, exclude_max=True))
def test_chance_only_lengthens_a_wait_and_only_a_little(attempts: int, jitter: float) -> None:
    at = judge(FAILED, attempts, NOW, jitter=jitter).next_attempt_at
    assert at is not None
    assert SCHEDULE[attempts] <= at - NOW <= SCHEDULE[attempts] * (1 + JITTER)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (None, None),
        ("120", 120 * SECOND),
        (" 3 ", 3 * SECOND),
        ("0", 0),
        ("Mon, 05 Jan 2026 12:02:00 GMT", 120 * SECOND),
        ("Mon, 05 Jan 2026 11:00:00 GMT", 0),  # a date that has passed
        ("Mon, 05 Jan 2026 12:02:00", 120 * SECOND),  # without a zone it is UTC, as HTTP has it
        ("99999999999999999999", LONGEST_WAIT),
        ("Mon, 05 Jan 2099 12:02:00 GMT", LONGEST_WAIT),
        ("soon", None),
        ("-5", None),
        ("٣", None),  # a digit, but not one of HTTP's
        ("", None),
    ],
)
def test_retry_after_is_read_as_seconds_or_a_date(text: str | None, expected: Span | None) -> None:
    assert retry_after(text, NOW) == expected


@given(st.text())
def test_no_retry_after_can_do_harm(text: str) -> None:
    wait = retry_after(text, NOW)
    assert wait is None or 0 <= wait <= LONGEST_WAIT
