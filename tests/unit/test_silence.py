"""When a source has been quiet for too long."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.timer.policy_file import load
from services.timer.silence import (
    BREAK,
    HOUR,
    KEPT,
    MINUTE,
    TIMES,
    WEEK,
    Habit,
    Hearing,
    Silence,
    SourceRule,
    counted,
    heard_through,
    rule_of,
    silence,
    spoke,
    spoken,
)
from shared.events import DAY, SECOND, Instant, Span, parse_instant

MONDAY = parse_instant("2026-01-05T00:00:00Z")
LEARNED = SourceRule("*")
MADRID = load(
    {
        "p.yaml": """
calendars: {madrid: {time_zone: Europe/Madrid, hours: {mon-fri: ["09:00-18:00"]}, holidays: ["2026-01-06"]}}
policies: [{name: p, applies_to: {}, calendar: madrid, targets: {resolution: 1h}}]
"""
    }
).calendars["madrid"]


def habit_of(*times: Instant) -> Habit:
    """The habit of a source that spoke then."""
    habit = None
    for at in sorted(times):
        habit = spoke(habit, at)
    assert habit is not None
    return habit


def at_work(day: Instant, *, opens: Span = 8 * HOUR, closes: Span = 17 * HOUR, each: Span = MINUTE) -> list[Instant]:
    """When a help desk speaks on a day."""
    return list(range(day + opens, day + closes, each))


def weeks_of_work(number: int, **hours: Span) -> list[Instant]:
    """The help desk from Monday to Friday."""
    days = [MONDAY + week * WEEK + day * DAY for week in range(number) for day in range(5)]
    return [at for day in days for at in at_work(day, **hours)]


def first_silence(habit: Habit, within: Span, *, rule: SourceRule = LEARNED, step: Span = MINUTE) -> Span | None:
    """After how much quiet a source is first silent, looked at each *step*; None: it is not within that time."""
    for quiet in range(0, within, step):
        if silence(habit, Hearing(habit.latest + quiet), rule) is not None:
            return quiet
    return None


@pytest.mark.parametrize(
    ("each", "known", "expected"),
    [
        (10 * SECOND, HOUR, 10 * MINUTE),  # a minute counts once, however much was said in it
        (10 * SECOND, 16 * DAY, 10 * MINUTE),
        (MINUTE, 11 * MINUTE, 10 * MINUTE),  # from the eleventh minute on
        (MINUTE, 3 * DAY, 10 * MINUTE),  # the days before are compared
        (MINUTE, 16 * DAY, 10 * MINUTE),  # the weeks before
        (5 * MINUTE, 2 * HOUR, 50 * MINUTE),
        (5 * MINUTE, 16 * DAY, 50 * MINUTE),
        (HOUR, DAY, 10 * HOUR),
        (HOUR, 16 * DAY, 10 * HOUR),
        (8 * HOUR, 5 * DAY, 80 * HOUR),
        (8 * HOUR, 18 * DAY, 80 * HOUR),
        (DAY, 27 * DAY, 10 * DAY),  # more than a week of quiet
    ],
)
def test_a_source_is_silent_after_ten_usual_gaps(each: Span, known: Span, expected: Span) -> None:
    habit = habit_of(*range(MONDAY, MONDAY + known, each))
    found = first_silence(habit, 2 * expected, step=MINUTE)
    assert found is not None
    assert expected <= found <= expected * 1.2


def test_it_is_told_what_is_usual() -> None:
    habit = habit_of(*range(MONDAY, MONDAY + HOUR, MINUTE))
    assert silence(habit, Hearing(habit.latest + 11 * MINUTE), LEARNED) == Silence(
        11 * MINUTE, TIMES * MINUTE, usual_gap=MINUTE
    )


def test_a_source_that_rests_each_night_is_told_of_in_the_first_night_only() -> None:
    told = []
    times: list[Instant] = []
    for day in range(5):
        times += at_work(MONDAY + day * DAY)
        told.append(first_silence(habit_of(*times), 15 * HOUR, step=5 * MINUTE) is not None)
    assert told == [True, False, False, False, False]


def test_a_source_that_rests_at_weekends_is_told_of_at_the_first_one_only() -> None:
    first = first_silence(habit_of(*weeks_of_work(1)), 63 * HOUR, step=10 * MINUTE)
    assert first is not None
    assert first > 15 * HOUR  # it is used to its nights by then
    assert first_silence(habit_of(*weeks_of_work(2)), 63 * HOUR, step=10 * MINUTE) is None


@pytest.mark.parametrize("weeks", [2, 3])
def test_a_source_that_does_not_begin_in_the_morning_is_silent_before_noon(weeks: int) -> None:
    found = first_silence(habit_of(*weeks_of_work(weeks)), 4 * DAY, step=10 * MINUTE)
    assert found is not None
    begins = 63 * HOUR + MINUTE  # from Friday's last event to Monday's first
    assert begins + 10 * MINUTE <= found <= begins + 80 * MINUTE


@pytest.mark.parametrize("shift", [-HOUR, HOUR])
def test_a_change_of_local_time_is_no_silence(shift: Span) -> None:
    """Two weeks at one offset from UTC, then the same hours of local time at another one."""
    times = weeks_of_work(2)
    friday = max(times)
    assert first_silence(habit_of(*times), 63 * HOUR + shift, step=10 * MINUTE) is None
    monday = at_work(MONDAY + 2 * WEEK, opens=8 * HOUR + shift, closes=17 * HOUR + shift)
    assert friday < monday[0]
    assert first_silence(habit_of(*times, *monday), 15 * HOUR, step=10 * MINUTE) is None


def test_a_backlog_that_is_caught_up_makes_no_source_fast() -> None:
    """Each hour an event; five hours late they all come within a second."""
    usual = [MONDAY + hour * HOUR for hour in range(40)]
    caught_up = [usual[-1] + 6 * HOUR + n * SECOND // 10 for n in range(6)]
    found = first_silence(habit_of(*usual, *caught_up), DAY, step=10 * MINUTE)
    assert found is not None
    assert found >= 10 * HOUR


def test_what_was_heard_too_seldom_is_not_judged() -> None:
    assert first_silence(habit_of(*(MONDAY + n * HOUR for n in range(10))), 30 * DAY, step=HOUR) is None


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        (SourceRule("*", 15 * MINUTE), 15 * MINUTE),  # a configured time counts from the first event on
        (SourceRule("*", 3 * DAY), 3 * DAY),
        (SourceRule("*", "never"), None),
    ],
)
def test_the_policy_files_decide_where_they_say_something(rule: SourceRule, expected: Span | None) -> None:
    habit = habit_of(*range(MONDAY, MONDAY + HOUR, MINUTE))
    found = first_silence(habit, 4 * DAY, rule=rule)
    assert found == (None if expected is None else expected + MINUTE)  # longer than that, not just as long
    if found is not None:
        assert isinstance(rule.after, int)
        assert silence(habit, Hearing(habit.latest + found), rule) == Silence(found, rule.after, None)


def test_closed_time_is_no_quiet() -> None:
    # Monday 17:50 in Madrid; Tuesday is a holiday, so ten minutes are open before Wednesday 09:00.
    habit = habit_of(parse_instant("2026-01-05T16:50:00Z"))
    rule = SourceRule("*", 15 * MINUTE, hours=MADRID)
    wednesday = parse_instant("2026-01-07T08:05:00Z")
    assert silence(habit, Hearing(wednesday), rule) is None
    assert silence(habit, Hearing(wednesday + SECOND), rule) == Silence(15 * MINUTE + SECOND, 15 * MINUTE, None)


def test_a_holiday_is_no_silence_of_a_source_whose_calendar_has_it() -> None:
    before = [MONDAY - week * WEEK + day * DAY for week in (3, 2, 1) for day in range(5)]
    times = [at for day in (*before, MONDAY) for at in at_work(day)]
    tuesday = first_silence(habit_of(*times), 39 * HOUR, step=10 * MINUTE)
    assert tuesday is not None
    with_calendar = first_silence(habit_of(*times), 39 * HOUR, rule=replace(LEARNED, hours=MADRID), step=10 * MINUTE)
    assert with_calendar is None


def test_time_in_which_nobody_could_hear_is_no_quiet() -> None:
    habit = habit_of(*range(MONDAY, MONDAY + HOUR, MINUTE))
    deaf = (habit.latest + 3 * MINUTE, habit.latest + 3 * HOUR)
    rule = SourceRule("*", 5 * MINUTE)
    for limit, each in ((5 * MINUTE, rule), (10 * MINUTE, LEARNED)):
        still = Hearing(deaf[1] + limit - 4 * MINUTE, (deaf,))
        assert silence(habit, still, each) is None
        found = silence(habit, Hearing(deaf[1] + limit - 2 * MINUTE, (deaf,)), each)
        assert found is not None
        assert found.quiet == limit + MINUTE


def test_before_the_first_proof_nobody_could_hear() -> None:
    hearing = heard_through(None, MONDAY)
    assert counted(MONDAY - HOUR, hearing, None) == []
    later = heard_through(hearing, MONDAY + SECOND)
    assert counted(MONDAY - HOUR, later, None) == [(MONDAY, MONDAY + SECOND)]


def test_a_source_that_speaks_after_a_week_of_quiet_is_learned_anew() -> None:
    habit = habit_of(*range(MONDAY, MONDAY + DAY, MINUTE))
    back = habit.latest + WEEK + SECOND
    assert spoke(habit, back) == Habit(back, back, 1)


def test_the_first_rule_that_matches_counts() -> None:
    rules = [SourceRule("/pbx", "never"), SourceRule("/pbx*", 60 * SECOND), SourceRule("/[a]?", 90 * SECOND)]
    assert rule_of(rules, "/pbx") == rules[0]
    assert rule_of(rules, "/pbx/2") == rules[1]
    assert rule_of(rules, "/[a]b") == rules[2]  # only * and ? stand for others
    assert rule_of(rules, "/ab") == LEARNED


# --- laws ---

SECONDS = st.integers(0, 3 * 86_400).map(lambda seconds: MONDAY + seconds * SECOND)
TIMES_HEARD = st.lists(SECONDS, min_size=1, max_size=60)


@given(times=TIMES_HEARD, start=SECONDS, length=st.integers(0, 2 * 86_400))
def test_minutes_are_counted_as_a_person_would(times: list[Instant], start: Instant, length: int) -> None:
    end = start + length * SECOND
    between = range(start // MINUTE + 1, end // MINUTE)
    assert spoken(habit_of(*times), start, end) == len({at // MINUTE for at in times} & set(between))


@given(times=TIMES_HEARD)
def test_hearing_the_same_or_something_older_again_teaches_nothing(times: list[Instant]) -> None:
    habit = habit_of(*times)
    assert spoke(habit, min(times)) == habit
    assert spoke(habit, max(times)) == habit


@given(times=st.lists(st.integers(0, 60 * 86_400).map(lambda s: MONDAY + s * SECOND), min_size=1, max_size=200))
def test_a_habit_stays_small(times: list[Instant]) -> None:
    habit = habit_of(*times)
    assert habit.minutes.bit_length() <= KEPT // MINUTE
    assert habit.minutes & 1
    assert habit.latest == max(times)


@given(times=TIMES_HEARD, quiet=st.integers(0, 40 * 86_400), more=st.integers(0, 86_400))
def test_no_source_is_silent_before_ten_minutes_or_ten_of_its_gaps(times: list[Instant], quiet: int, more: int) -> None:
    habit = habit_of(*times)
    found = silence(habit, Hearing(habit.latest + quiet * SECOND), LEARNED)
    if found is not None:
        assert found.usual_gap is not None
        assert found.quiet == quiet * SECOND >= TIMES * max(found.usual_gap, MINUTE)


PROOFS = st.lists(st.integers(0, 5_000), min_size=1, max_size=60).map(sorted)


@given(proofs=PROOFS, since=st.integers(0, 5_000))
def test_what_counts_is_what_lies_between_proofs_that_are_close(proofs: list[int], since: int) -> None:
    hearing = None
    for second in proofs:
        hearing = heard_through(hearing, MONDAY + second * SECOND)
    assert hearing is not None
    close = [(left, right) for left, right in pairwise(proofs) if (right - left) * SECOND <= BREAK]
    expected = sum(max(0, right - max(left, since)) for left, right in close) * SECOND
    assert sum(end - start for start, end in counted(MONDAY + since * SECOND, hearing, None)) == expected
