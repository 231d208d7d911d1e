"""When a wall clock somewhere shows a time: found by looking at that wall clock every quarter of an hour."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import cache
from itertools import pairwise
from typing import Final
from zoneinfo import ZoneInfo

DAY_S: Final = 86400
# No zone has ever changed its clocks there and back within a quarter of an hour.
_QUARTER_S: Final = 900
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def _look(zone: ZoneInfo, second: int) -> int:
    """How many seconds the wall clock is ahead of UTC at a second since 1970."""
    offset = (_EPOCH + timedelta(seconds=second)).astimezone(zone).utcoffset()
    assert offset is not None
    return int(offset.total_seconds())


@cache
def stretches(zone: str, day: int) -> list[tuple[int, int, int]]:
    """(from, until, offset) of a UTC day, in seconds since 1970: one stretch, and one for each change of clocks."""
    there = ZoneInfo(zone)
    found: list[tuple[int, int, int]] = []
    begin, offset = day * DAY_S, _look(there, day * DAY_S)
    for quarter in range(day * DAY_S, (day + 1) * DAY_S, _QUARTER_S):
        if _look(there, quarter + _QUARTER_S - 1) == offset:
            continue
        for second in range(quarter, quarter + _QUARTER_S):
            if _look(there, second) != offset:
                found.append((begin, second, offset))
                begin, offset = second, _look(there, second)
    return [*found, (begin, (day + 1) * DAY_S, offset)]


@cache
def when(zone: str, reading: int) -> int:
    """The second since 1970 at which the wall clock shows *reading* (seconds since 1970 on that wall clock).

    Shown twice, it is the first time. Never shown, it moves forward by the gap: as long after the gap's end as it lies
    after the gap's begin.
    """
    around = [each for day in range(reading // DAY_S - 2, reading // DAY_S + 3) for each in stretches(zone, day)]
    for begin, until, offset in around:
        if begin + offset <= reading < until + offset:
            return reading - offset
    for (_, jump, before), (_, _, after) in pairwise(around):
        if jump + before <= reading < jump + after:
            into_the_gap = reading - (jump + before)
            return jump + into_the_gap
    raise AssertionError(f"{zone} neither shows nor skips {reading}")
