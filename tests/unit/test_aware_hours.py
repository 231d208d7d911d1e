"""Business hours in datetimes agree with those in instants, to the microsecond and in every zone."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.timer.aware_hours import AwareHours
from services.timer.business_hours import BusinessHours, NoOpenTime
from services.timer.calendars import load_calendars
from services.timer.compiled_hours import FAR, FIRST, LAST
from services.timer.opening_times import HoursSpec, Window
from shared.events import SECOND, Instant, Span, instant, moment
from tests.strategies import calendars, instants, spans

EXACT = settings(max_examples=300, deadline=None)
MADRID = ZoneInfo("Europe/Madrid")


class Unhashable(tzinfo):
    """A zone of a kind that cannot be a key, as some libraries have them; two hours ahead."""

    __hash__ = None  # type: ignore[assignment]  # as said above

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Unhashable)

    def utcoffset(self, _: datetime | None) -> timedelta:
        return timedelta(hours=2)

    def dst(self, _: datetime | None) -> timedelta:
        return timedelta()

    def tzname(self, _: datetime | None) -> str:
        return "made up"


class Equal(tzinfo):
    """A zone that is equal to every other of its kind, whatever its offset."""

    def __init__(self, hours: int) -> None:
        self.hours = hours

    def __hash__(self) -> int:
        return 1

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Equal)

    def utcoffset(self, _: datetime | None) -> timedelta:
        return timedelta(hours=self.hours)

    def dst(self, _: datetime | None) -> timedelta:
        return timedelta()

    def tzname(self, _: datetime | None) -> str:
        return "made up"


ZONES: tuple[tzinfo, ...] = (
    UTC,
    *map(ZoneInfo, ("Europe/Madrid", "America/New_York", "Australia/Lord_Howe", "Pacific/Apia", "Africa/Monrovia")),
    timezone(timedelta(hours=-3, minutes=-30)),
    timezone(timedelta(microseconds=1)),
    Unhashable(),
    Equal(1),
    Equal(-5),
)
OFFICE = load_calendars(
    {
        "f": "calendars: {c: {time_zone: Europe/Madrid, hours: {mon-fri: ['09:00-14:00', '15:00-18:00']},"
        " holidays: {country: ES}, exceptions: {'2026-10-25': '01:30-03:30'}}}"
    }
)["c"]
AWARE = AwareHours(OFFICE)  # one for all examples, as a program would keep it
WHOLE_RANGE = st.integers(FIRST, LAST - 1)
NEAR = st.integers(instant(datetime(2026, 10, 24, tzinfo=UTC)), instant(datetime(2026, 10, 27, tzinfo=UTC)))


def span_of(span: timedelta) -> Span:
    return span // timedelta(microseconds=1)


def outcome(answer: object, *arguments: object) -> object:
    """What a question gives: an instant, a span, or why there is none."""
    try:
        found = answer(*arguments)  # type: ignore[operator]  # a bound method
    except NoOpenTime as exc:
        return str(exc)
    if isinstance(found, datetime):
        return instant(found)
    return span_of(found) if isinstance(found, timedelta) else found


@EXACT
@given(WHOLE_RANGE | NEAR, st.sampled_from(ZONES), st.integers(-(10**14), 10**14) | st.integers(0, 10**11))
def test_adding_and_subtracting_give_the_instants_of_the_other_api(at: Instant, zone: tzinfo, span: Span) -> None:
    start, for_span = moment(at).astimezone(zone), timedelta(microseconds=span)
    assert outcome(AWARE.add, start, for_span) == outcome(OFFICE.add, at, span)
    assert outcome(AWARE.subtract, start, for_span) == outcome(OFFICE.subtract, at, span)


@EXACT
@given(WHOLE_RANGE | NEAR, WHOLE_RANGE | NEAR, st.sampled_from(ZONES), st.sampled_from(ZONES))
def test_measuring_gives_the_span_of_the_other_api(a: Instant, b: Instant, zone: tzinfo, other: tzinfo) -> None:
    found = AWARE.between(moment(a).astimezone(zone), moment(b).astimezone(other))
    assert span_of(found) == OFFICE.between(a, b)


@EXACT
@given(WHOLE_RANGE | NEAR, st.sampled_from(ZONES))
def test_the_next_opening_and_close_are_those_of_the_other_api(at: Instant, zone: tzinfo) -> None:
    asked = moment(at).astimezone(zone)
    assert AWARE.is_open(asked) == OFFICE.is_open(at)
    assert outcome(AWARE.next_open, asked) == outcome(OFFICE.next_open, at)
    assert outcome(AWARE.next_close, asked) == outcome(OFFICE.next_close, at)


@settings(max_examples=50, deadline=None)
@given(calendars(), st.lists(st.tuples(instants(), spans(), st.sampled_from(ZONES)), min_size=1, max_size=5))
def test_every_calendar_gives_the_same_from_the_first_question_on(
    spec: HoursSpec, questions: list[tuple[Instant, Span, tzinfo]]
) -> None:
    aware, hours = AwareHours(BusinessHours(spec)), BusinessHours(spec)
    for at, span, zone in questions:
        start = moment(at).astimezone(zone)
        assert outcome(aware.add, start, timedelta(microseconds=span)) == outcome(hours.add, at, span)
        assert outcome(aware.between, start, moment(at + 9 * span)) == outcome(hours.between, at, at + 9 * span)


def local(text: str, fold: int = 0) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=MADRID, fold=fold)


HALF_AN_HOUR = timedelta(minutes=30)


@pytest.mark.parametrize(
    ("start", "end"),
    [
        # An hour that comes twice, of which the calendar is open from 01:30 on: the first time,
        (local("2026-10-25T02:15"), local("2026-10-25T02:45")),
        # over into the second time,
        (local("2026-10-25T02:45"), local("2026-10-25T02:15", fold=1)),
        # and the second time.
        (local("2026-10-25T02:15", fold=1), local("2026-10-25T02:45", fold=1)),
        # A local time that does not exist is that much after the gap.
        (local("2026-03-29T02:30"), local("2026-03-30T09:30")),
    ],
)
def test_answers_are_in_the_zone_of_the_question_with_its_fold(start: datetime, end: datetime) -> None:
    for _ in range(2):  # the second time the zone is known
        found = AWARE.add(start, HALF_AN_HOUR)
        assert (found.tzinfo, found.replace(tzinfo=None), found.fold) == (MADRID, end.replace(tzinfo=None), end.fold)
        assert AWARE.between(start, end) == HALF_AN_HOUR


def test_an_offset_that_is_made_anew_each_time_is_the_same_zone() -> None:
    for _ in range(3):
        start = datetime(2026, 1, 5, 9, tzinfo=timezone(timedelta(hours=1)))
        assert AWARE.add(start, timedelta(hours=1)) == datetime(2026, 1, 5, 10, tzinfo=MADRID)


def test_any_number_of_offsets_can_be_asked_with() -> None:
    asked = AwareHours(OFFICE)
    for seconds in range(3_000):
        zone = timezone(timedelta(seconds=seconds))
        start = datetime(2026, 1, 5, 8, tzinfo=UTC).astimezone(zone)
        assert asked.add(start, timedelta(hours=1)) == datetime(2026, 1, 5, 9, tzinfo=UTC)


def test_a_datetime_without_a_zone_is_refused() -> None:
    naive, aware, hour = datetime(2026, 1, 5, 9), datetime(2026, 1, 5, 9, tzinfo=UTC), timedelta(hours=1)  # noqa: DTZ001 # on purpose
    questions: list[Callable[[], object]] = [
        lambda: AWARE.add(naive, hour),
        lambda: AWARE.subtract(naive, hour),
        lambda: AWARE.between(naive, aware),
        lambda: AWARE.between(aware, naive),
        lambda: AWARE.is_open(naive),
        lambda: AWARE.next_open(naive),
        lambda: AWARE.next_close(naive),
    ]
    for ask in questions:
        with pytest.raises(ValueError, match="expected a datetime with a zone, got 2026-01-05T09:00:00"):
            ask()


def test_what_does_not_exist_is_told_as_by_the_other_api() -> None:
    start, far = datetime(2026, 1, 5, tzinfo=UTC), timedelta(microseconds=FAR)
    never = AwareHours(BusinessHours(HoursSpec("UTC", ((),) * 7)))
    for _ in range(2):
        with pytest.raises(NoOpenTime):
            never.add(start, timedelta(microseconds=1))
        with pytest.raises(NoOpenTime):
            never.next_open(start)
        assert never.between(start, start + far) == timedelta()
    ever = AwareHours(BusinessHours(HoursSpec("UTC", ((Window(0, 86_400),),) * 7)))
    with pytest.raises(NoOpenTime):
        ever.next_close(start)
    assert ever.add(start, far * 100) == start + far * 100
    assert ever.between(start, start + timedelta(microseconds=1)) == timedelta(microseconds=1)
    assert ever.add(moment(LAST - SECOND), timedelta(seconds=1)) == moment(LAST)
