"""When windows open and close: at every change of clocks of every zone, against a walk through the minutes of UTC."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from functools import cache

import pytest

from services.timer.calendar_file import parse_window
from services.timer.opening_times import DAY, HoursSpec, time_zone, time_zones, zone_rules
from shared.events import SECOND, Instant, parse_instant

MINUTE = 60 * SECOND
SPRING, AUTUMN = "2026-03-29", "2026-10-25"


@pytest.mark.parametrize(
    ("zone", "windows", "day", "expected"),
    [
        # Three hours on the wall, of which the clock skips one.
        ("Europe/Madrid", "01:00-04:00", SPRING, "00:00-02:00"),
        # Wholly inside the gap, each boundary moves forward by it.
        ("Europe/Madrid", "02:15-02:45", SPRING, "01:15-01:45"),
        # The gap itself: nothing is left of it.
        ("Europe/Madrid", "02:00-03:00", SPRING, ""),
        # The start moves behind the end, so that the window is dropped.
        ("Europe/Madrid", "02:30-03:10", SPRING, ""),
        # The end moves behind the start of the next window: one stretch, counted once.
        ("Europe/Madrid", "01:00-02:30 03:00-05:00", SPRING, "00:00-03:00"),
        # Three hours on the wall, of which one comes twice.
        ("Europe/Madrid", "01:00-04:00", AUTUMN, "-1:00-03:00"),
        # A start that comes twice is the first one.
        ("Europe/Madrid", "02:30-03:30", AUTUMN, "00:30-02:30"),
        # An end that comes twice is the first one too.
        ("Europe/Madrid", "01:00-02:30", AUTUMN, "-1:00-00:30"),
        # Lord Howe skips half an hour (02:00 to 02:30, from +10:30 to +11).
        ("Australia/Lord_Howe", "01:00-03:00", "2026-10-04", "-9:30--8:00"),
        # And repeats half an hour (02:00 back to 01:30).
        ("Australia/Lord_Howe", "01:00-03:00", "2026-04-05", "-10:00--7:30"),
        # Cairo has no midnight on this Friday: the day begins at 01:00.
        ("Africa/Cairo", "00:00-02:00", "2026-04-24", "-2:00--1:00"),
        # And Thursday the 29th of October has its last hour twice.
        ("Africa/Cairo", "22:00-24:00", "2026-10-29", "19:00-22:00"),
        # Santiago has no midnight on this Sunday (from -4 to -3).
        ("America/Santiago", "00:30-02:00", "2026-09-06", "04:30-05:00"),
        # And its Saturday before has the last hour twice.
        ("America/Santiago", "23:00-24:00", "2026-04-04", "26:00-28:00"),
        # Sao Paulo's midnight, when it still changed: 24:00 is 01:00, the same instant.
        ("America/Sao_Paulo", "22:00-24:00", "2018-11-03", "25:00-27:00"),
        # Apia had no 30th of December: its hours move forward by the gap, which is a day.
        ("Pacific/Apia", "09:00-17:00", "2011-12-30", "19:00-27:00"),
        # A zone with minutes in its offset.
        ("Asia/Kathmandu", "09:00-17:00", "2026-01-05", "03:15-11:15"),
        # Seconds: the start lies in the gap and moves by it, the end lies behind it.
        ("Europe/Madrid", "02:15:30-03:20:10", SPRING, "01:15:30-01:20:10"),
        # A start in the half hour that Lord Howe skips moves by half an hour, and five seconds are left.
        ("Australia/Lord_Howe", "02:10:05-02:40:10", "2026-10-04", "-8:19:55--8:19:50"),
        # A start in a half hour that comes twice, an end behind it.
        ("Australia/Lord_Howe", "01:45:30-02:00:00", "2026-04-05", "-9:14:30--8:30"),
        # An offset of 44 minutes and 30 seconds, and the night on which it ended.
        ("Africa/Monrovia", "09:00-17:00", "1972-01-06", "09:44:30-17:44:30"),
        ("Africa/Monrovia", "22:00-02:00", "1972-01-06", "22:44:30-26:00"),
        # 24:00 is the midnight that follows, also where that midnight does not exist (Beirut, to 01:00),
        ("Asia/Beirut", "23:00-24:00", "2026-03-28", "21:00-22:00"),
        # and where it comes twice (the Azores): the first time, be it an end or a start.
        ("Atlantic/Azores", "22:00-24:00", "2026-10-24", "22:00-24:00"),
        ("Atlantic/Azores", "00:00-02:00", "2026-10-25", "0:00-3:00"),
        # The whole of a day of 23 hours, and of one of 25.
        ("Europe/Madrid", "00:00-24:00", SPRING, "-1:00-22:00"),
        ("Europe/Madrid", "00:00-24:00", AUTUMN, "-2:00-23:00"),
        # The whole of a day that was skipped: nothing, for its start moves to its end.
        ("Pacific/Apia", "00:00-24:00", "2011-12-30", ""),
        # A window over the skipped day's midnights.
        ("Pacific/Apia", "22:00-06:00", "2011-12-29", "32:00-40:00"),
    ],
)
def test_a_night_on_which_clocks_change(zone: str, windows: str, day: str, expected: str) -> None:
    exceptions = {date.fromisoformat(day): tuple(map(parse_window, windows.split()))}
    midnight = parse_instant(f"{day}T00:00:00Z")
    found = HoursSpec(zone, ((),) * 7, exceptions=exceptions).intervals(midnight - 2 * DAY, midnight + 3 * DAY)
    assert [[(at - midnight) // SECOND for at in pair] for pair in found] == seconds(expected)


def seconds(text: str) -> list[list[int]]:
    """`-1:00-03:00:30` as seconds from midnight: [[-3600, 10830]]."""
    if not text:
        return []
    middle = text.index("-", 1)
    return [[clock(part) for part in (text[:middle], text[middle + 1 :])]]


def clock(text: str) -> int:
    sign = -1 if text.startswith("-") else 1
    hours, minutes, *rest = text.lstrip("-").split(":")
    return sign * (int(hours) * 3600 + int(minutes) * 60 + int(*rest or ["0"]))


def test_every_time_zone_of_the_database_can_be_loaded() -> None:
    assert {time_zone(name).key for name in time_zones()} == time_zones()
    with pytest.raises(KeyError):
        time_zone("Europe/../UTC")


# --- every zone, every transition ---

FIRST, LAST = datetime(2000, 1, 1, tzinfo=UTC), datetime(2041, 1, 1, tzinfo=UTC)
STEP = timedelta(days=2)  # no zone ever changed its clocks there and back within so little
AROUND = timedelta(hours=40)  # more than a day that is skipped
WALKED = timedelta(days=7)
ONE = timedelta(minutes=1)
# Boundaries near every hour at which clocks change, in gaps and folds, at midnight, and windows over midnight.
CALENDARS = (
    ("00:00-00:30", "01:00-02:15", "02:30-03:00", "03:00-03:05", "09:00-17:00", "22:45-24:00"),
    ("00:15-01:30", "01:45-02:30", "04:00-04:01", "12:00-12:30", "23:15-07:00"),
    ("00:00-24:00",),
)
Change = tuple[int, int]  # (minute of UTC from the transition, the offset in minutes from then on)
Shape = tuple[int, int, tuple[Change, ...]]  # (minute of the day in UTC, the offset before all, the changes near it)


def offset_of(name: str, at: datetime) -> int:
    """The offset of a zone, in minutes."""
    return (at.astimezone(time_zone(name)).utcoffset() or timedelta()) // ONE


def transitions(name: str) -> Iterator[datetime]:
    """The first minutes, in UTC, of the offsets of a zone from 2000 to 2040."""
    at, offset = FIRST, offset_of(name, FIRST)
    while at < LAST:
        following = at + STEP
        if offset_of(name, following) != offset:
            before = at
            while following - before > ONE:
                middle = before + (following - before) // ONE // 2 * ONE
                if offset_of(name, middle) == offset:
                    before = middle
                else:
                    following = middle
            yield following
            offset = offset_of(name, following)
        at = following


def shapes(name: str) -> Iterator[tuple[datetime, Shape]]:
    """Every transition of a zone with all that decides about the minutes around it; the same shape, the same hours."""
    found = list(transitions(name))
    for at in found:
        near = [each for each in found if abs(each - at) <= WALKED]
        changes = tuple(((each - at) // ONE, offset_of(name, each)) for each in near)
        yield at, (at.hour * 60 + at.minute, offset_of(name, near[0] - ONE), changes)


@cache
def walked(of: Shape, windows: tuple[str, ...]) -> list[list[int]]:
    """The open minutes from the transition as [open, close), by walking the minutes and looking at the wall clock."""
    minute_of_day, offset, changes = of
    seen: dict[int, int] = {}  # minute on the wall -> first minute of UTC, both from midnight of the transition's day
    reach = WALKED // ONE
    for minute in range(-reach, reach):
        here = next((after for at, after in reversed(changes) if at <= minute), offset)
        seen.setdefault(minute_of_day + minute + here, minute)
    opened = set[int]()
    for day in range(-4, 5):
        for window in map(parse_window, windows):
            start, end = (_first(day * 1440 + each // 60, seen) for each in (window.start, window.end))
            opened |= set(range(start, end))
    around = AROUND // ONE
    return _runs([minute for minute in sorted(opened) if -around <= minute < around])


def _first(wall: int, seen: dict[int, int]) -> int:
    # What never stood on the wall comes as long after the last minute that did as if the clock had not moved.
    shown = wall
    while shown not in seen:
        shown -= 1
    return seen[shown] + wall - shown


def _runs(minutes: list[int]) -> list[list[int]]:
    found: list[list[int]] = []
    for minute in minutes:
        if found and found[-1][1] == minute:
            found[-1][1] = minute + 1
        else:
            found.append([minute, minute + 1])
    return found


@pytest.mark.parametrize("part", range(4))
def test_at_every_transition_of_every_zone_hours_are_those_of_a_walk_through_the_minutes(part: int) -> None:
    by_rules = {zone_rules(name): name for name in sorted(time_zones())}  # many zones are other names of one
    around, count = AROUND // ONE, 0
    for name in sorted(by_rules.values())[part::4]:
        specs = {windows: HoursSpec(name, (tuple(map(parse_window, windows)),) * 7) for windows in CALENDARS}
        for at, near in shapes(name):
            here: Instant = round(at.timestamp()) * SECOND
            for windows, spec in specs.items():
                pairs = spec.intervals(here - around * MINUTE, here + around * MINUTE)
                found = [[(each - here) // MINUTE for each in pair] for pair in pairs]
                assert found == walked(near, windows), (name, at)
            count += 1
    assert count > 1000


def test_the_walk_knows_transitions_of_every_kind() -> None:
    (skipped,) = [at for at in transitions("Pacific/Apia") if at.year == 2011 and at.month == 12]
    assert str(skipped) == "2011-12-30 10:00:00+00:00"  # to the other side of the date line: there was no 30th
    lord_howe = [near for at, near in shapes("Australia/Lord_Howe") if at.year == 2026]
    assert lord_howe == [(900, 660, ((0, 630),)), (930, 630, ((0, 660),))]
    assert not list(transitions("UTC"))
    # 00:00 UTC is 01:00 from now on: what should open at 00:30 opens half an hour after the gap began.
    assert [30, 60] in walked((0, 0, ((0, 60),)), ("00:30-02:00",))
