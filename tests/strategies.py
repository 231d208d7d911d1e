"""Generated calendars and policies for property tests."""

from __future__ import annotations

from datetime import date, timedelta

from hypothesis import strategies as st

from services.timer.opening_times import Day, HoursSpec, Window
from shared.events import SECOND, Instant, Span, parse_instant

QUARTER = 900  # seconds: windows begin and end at quarters, so that they often touch each other and DST changes
ZONES = (
    "UTC",
    "Europe/Madrid",
    "America/New_York",
    "America/Santiago",  # its DST changes at midnight
    "Africa/Cairo",  # so does this one's
    "Australia/Lord_Howe",  # its DST is half an hour
    "Asia/Kathmandu",
)
# Weeks with something in them: the DST changes of the zones above.
BEGINNINGS = tuple(
    parse_instant(f"{day}T00:00:00Z")
    for day in ("2026-03-25", "2026-04-01", "2026-04-22", "2026-09-02", "2026-10-01", "2026-10-26")
)


@st.composite
def days(draw: st.DrawFn) -> Day:
    """The windows of a day, in order, the last of which may run into the next day."""
    marks = draw(st.lists(st.integers(0, 95), max_size=6, unique=True).map(sorted))
    windows = [Window(a * QUARTER, b * QUARTER) for a, b in zip(marks[::2], marks[1::2], strict=False)]
    if len(marks) % 2:
        windows.append(Window(marks[-1] * QUARTER, draw(st.integers(marks[-1] + 1, marks[-1] + 96)) * QUARTER))
    return tuple(windows)


@st.composite
def calendars(draw: st.DrawFn) -> HoursSpec:
    """A calendar that opens every week, with holidays and exceptions near BEGINNINGS."""
    week = tuple(draw(st.tuples(*[days()] * 7).filter(any)))
    start = draw(st.sampled_from(BEGINNINGS))
    near = st.integers(0, 20).map(lambda n: date(1970, 1, 1) + timedelta(days=start // (86_400 * SECOND) + n))
    return HoursSpec(
        time_zone=draw(st.sampled_from(ZONES)),
        week=week,
        holidays=frozenset(draw(st.lists(near, max_size=3))),
        exceptions=draw(st.dictionaries(near, days(), max_size=3)),
    )


def instants() -> st.SearchStrategy[Instant]:
    """Instants in the three weeks after BEGINNINGS: on quarters of an hour, beside them, and anywhere."""
    quarters = st.integers(0, 3 * 7 * 96).map(lambda n: n * QUARTER * SECOND)
    beside = st.sampled_from((-1, 0, 0, 1))
    near = st.tuples(st.sampled_from(BEGINNINGS), quarters, beside).map(sum)
    year = st.integers(parse_instant("2026-01-01T00:00:00Z"), parse_instant("2027-01-01T00:00:00Z"))
    return near | year


def spans() -> st.SearchStrategy[Span]:
    """Business times from nothing to a day, which take a sparse calendar two years."""
    return st.integers(0, 96).map(lambda n: n * QUARTER * SECOND) | st.integers(0, 86_400 * SECOND)
