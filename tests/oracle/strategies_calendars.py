"""Calendars as files hold them, around days on which clocks change, and questions to them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final

from hypothesis import strategies as st

Draw = st.DrawFn
Document = dict[str, Any]

# A zone and a day on which something happens there: changes of clocks by an hour, half an hour and two, at night and at
# midnight, for Ramadan, a skipped day; and days on which nothing does.
PLACES: Final = (
    ("UTC", date(2026, 6, 10)),
    ("Europe/Madrid", date(2026, 3, 29)),
    ("Europe/Madrid", date(2026, 10, 25)),
    ("America/New_York", date(2026, 3, 8)),
    ("America/New_York", date(2026, 11, 1)),
    ("Australia/Lord_Howe", date(2026, 4, 5)),
    ("Australia/Lord_Howe", date(2026, 10, 4)),
    ("America/Santiago", date(2026, 4, 5)),
    ("America/Santiago", date(2026, 9, 6)),
    ("Africa/Cairo", date(2026, 4, 24)),
    ("Africa/Cairo", date(2026, 10, 30)),
    ("Africa/Casablanca", date(2026, 2, 15)),
    ("Africa/Casablanca", date(2026, 3, 22)),
    ("Antarctica/Troll", date(2026, 3, 29)),
    ("Antarctica/Troll", date(2026, 10, 25)),
    ("Pacific/Apia", date(2011, 12, 30)),
    ("America/Sao_Paulo", date(2018, 11, 4)),
    ("Asia/Kathmandu", date(2026, 6, 10)),
    ("Europe/Dublin", date(2026, 10, 25)),
    ("Asia/Pyongyang", date(2018, 5, 5)),
)
DAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


def shown_day(day: date) -> str:
    """As files write it."""
    return day.isoformat()


def shown(at: datetime) -> str:
    """RFC 3339 in UTC."""
    return at.isoformat().replace("+00:00", "Z")


@st.composite
def windows(draw: Draw) -> list[str]:
    """The windows of a day in order, some over midnight, some that touch, some with seconds."""
    grain = draw(st.sampled_from((3600, 1800, 900, 1)))
    count = draw(st.sampled_from((1, 1, 2, 3)))
    ticks = st.integers(0, 86400 // grain)
    edges = sorted(draw(st.lists(ticks, min_size=2 * count, max_size=2 * count, unique=True)))
    times = [edge * grain for edge in edges]
    if draw(st.integers(0, 3)) == 0:
        times = [*times[1:], draw(st.integers(0, times[0] // grain)) * grain]
    elif count > 1 and draw(st.booleans()):
        times[2] = times[1]
    return [f"{_time(a)}-{_time(b)}" for a, b in zip(times[::2], times[1::2], strict=True) if a < 86400]


def _time(second: int) -> str:
    minutes, seconds = divmod(second, 60)
    text = f"{minutes // 60:02}:{minutes % 60:02}"
    return f"{text}:{seconds:02}" if seconds else text


@st.composite
def calendars(draw: Draw, zone: str, around: date) -> Document:
    """A calendar that opens every week, with holidays and exceptions around a day."""
    shape = draw(st.sampled_from(("always", "days", "weekdays", "office")))
    if shape == "always":
        return {"time_zone": zone, "hours": {"mon-sun": ["00:00-24:00"]}}
    if shape == "weekdays":
        hours = {"mon-fri": draw(windows()), "sun": draw(windows())}
    elif shape == "office":
        hours = {"mon-thu": ["09:00-14:00", "15:00-18:00"], "fri-sun": ["09:00-15:00"]}
    else:
        hours = {day: draw(windows()) for day in draw(st.sets(st.sampled_from(DAYS), min_size=3))}
    near = st.sampled_from([shown_day(around + timedelta(days=days)) for days in range(-4, 9)])
    document: Document = {"time_zone": zone, "hours": hours}
    if draw(st.booleans()):
        document["holidays"] = draw(st.lists(near, max_size=3, unique=True))
    if draw(st.booleans()):
        document["exceptions"] = draw(st.dictionaries(near, st.one_of(st.just([]), windows()), max_size=3))
    return document


@st.composite
def heirs(draw: Draw, heir_of: str, around: date) -> Document:
    """A calendar that says some things itself, and inherits the rest."""
    near = st.sampled_from([shown_day(around + timedelta(days=days)) for days in range(-4, 9)])
    parts: Document = {
        "time_zone": draw(st.sampled_from(("UTC", "Europe/Madrid", "Asia/Kathmandu"))),
        "hours": draw(st.dictionaries(st.sampled_from(DAYS), st.one_of(st.just([]), windows()), max_size=2)),
        "holidays": draw(st.lists(near, max_size=2, unique=True)),
        "exceptions": draw(st.dictionaries(near, st.one_of(st.just([]), windows()), max_size=2)),
    }
    said = draw(st.sets(st.sampled_from(sorted(parts)), max_size=2))
    return {"extends": heir_of, **{name: parts[name] for name in sorted(said)}}


@st.composite
def families(draw: Draw, names: Sequence[str], zone: str, around: date) -> dict[str, Document]:
    """Calendars by name: the third one in UTC, and some inherit from the first."""
    found: dict[str, Document] = {}
    for number, name in enumerate(names):
        if number and draw(st.booleans()):
            # Not of an heir: two together could close every day.
            found[name] = draw(heirs(names[0], around))
        else:
            found[name] = draw(calendars(zone if number < 2 else "UTC", around))
    return found


@st.composite
def questions(draw: Draw) -> tuple[dict[str, Document], list[Document]]:
    """Calendars by name, and questions to them about instants near the day on which something happens there."""
    zone, day = draw(st.sampled_from(PLACES))
    midnight = datetime(day.year, day.month, day.day, tzinfo=UTC)
    grain = draw(st.sampled_from((3600.0, 900.0, 1.0, 0.25)))
    near = st.integers(-int(4 * 86400 / grain), int(4 * 86400 / grain)).map(
        lambda ticks: shown(midnight + timedelta(seconds=ticks * grain))
    )
    spans = st.integers(0, int(6 * 86400 / grain)).map(lambda ticks: ticks * grain)
    found = draw(families(("c0", "c1")[: draw(st.integers(1, 2))], zone, day))
    calendar = st.sampled_from(sorted(found))
    question = st.one_of(
        st.fixed_dictionaries(
            {"op": st.sampled_from(("add", "subtract")), "calendar": calendar, "start": near, "seconds": spans}
        ),
        st.fixed_dictionaries({"op": st.just("between"), "calendar": calendar, "start": near, "end": near}),
        st.fixed_dictionaries(
            {"op": st.sampled_from(("is_open", "next_open", "next_close")), "calendar": calendar, "at": near}
        ),
    )
    return found, draw(st.lists(question, min_size=1, max_size=8))
