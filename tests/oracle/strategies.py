"""Calendars, policies and histories as files hold them: small, so that boundaries, dues and events often coincide."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final

from hypothesis import strategies as st

Draw = st.DrawFn
Document = dict[str, Any]
Case = tuple[str, list[Document], str]

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
DURATIONS: Final = ("5s", "20s", "45s", "90s", "15m", "30m", "1h", "1h30m", "4h", "8h", "16h", "2d")
# A time left must lie within the shortest target.
WARNINGS: Final = ("50%", "80%", "99%", "1%", "4s_left", "1s_left")
STEPS_S: Final = (0, 0, 1, 5, 15, 20, 45, 60, 450, 900, 1800, 3600, 5400, 4 * 3600, 8 * 3600, 86400, 3 * 86400)
ATTRIBUTES: Final[dict[str, Sequence[Any]]] = {
    "priority": ("urgent", "low", 1, "1"),
    "contact": ("u1", "u2"),
    "customer": ("acme", "bolt"),
    "service": ("s1", "s2"),
    "department": ("d1",),
    "group": ("g1", "g2"),
    "tags": (["vip"], ["vip", "beta"], [], "beta"),
    "vip": (True, "true", False),
    "status": ("open", "pending", "on_hold", "spam", "resolved"),
    "assignee": ("nora", "omar"),
}
_TICKET: Final = ("created", "updated", "agent_replied", "customer_replied", "resolved", "reopened", "closed")
TYPES: Final = {
    "ticket": (*_TICKET, "updated", "agent_replied", "customer_replied", "reopened", "resolved", "merged", "deleted"),
    "chat": ("started", "accepted", "agent_replied", "customer_replied", "missed", "ended", "updated", "updated"),
    "call": ("queued", "queued", "answered", "held", "resumed", "abandoned", "ended", "updated", "updated"),
}
CREATIONS: Final = {"ticket": "created", "chat": "started", "call": "queued"}
METRICS: Final = {
    "ticket": ("first_response", "next_response", "periodic_update", "resolution", "assignment"),
    "chat": ("first_response", "next_response", "periodic_update", "resolution", "pickup", "assignment", "handling"),
    "call": ("answer", "handling", "resolution", "assignment", "periodic_update"),
}


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
def questions(draw: Draw) -> tuple[Document, list[Document]]:
    """A calendar, and questions to it about instants near the day on which something happens there."""
    zone, day = draw(st.sampled_from(PLACES))
    midnight = datetime(day.year, day.month, day.day, tzinfo=UTC)
    grain = draw(st.sampled_from((3600.0, 900.0, 1.0, 0.25)))
    near = st.integers(-int(4 * 86400 / grain), int(4 * 86400 / grain)).map(
        lambda ticks: shown(midnight + timedelta(seconds=ticks * grain))
    )
    spans = st.integers(0, int(6 * 86400 / grain)).map(lambda ticks: ticks * grain)
    question = st.one_of(
        st.fixed_dictionaries({"op": st.sampled_from(("add", "subtract")), "start": near, "seconds": spans}),
        st.fixed_dictionaries({"op": st.just("between"), "start": near, "end": near}),
        st.fixed_dictionaries({"op": st.sampled_from(("is_open", "next_open", "next_close")), "at": near}),
    )
    return draw(calendars(zone, day)), draw(st.lists(question, min_size=1, max_size=8))


@st.composite
def conditions(draw: Draw, keys: Sequence[str], *, at_most: int = 2) -> Document:
    """Attributes to one value or a list of them."""
    chosen = draw(st.lists(st.sampled_from(keys), max_size=at_most, unique=True))
    return {key: draw(_wanted(key)) for key in chosen}


def _wanted(key: str) -> st.SearchStrategy[Any]:
    flat = [value for each in ATTRIBUTES[key] for value in (each if isinstance(each, list) else [each])]
    return st.one_of(st.sampled_from(flat), st.lists(st.sampled_from(flat), min_size=1, max_size=2))


@st.composite
def targets(draw: Draw) -> Any:
    """A duration, or options with `by` and warnings."""
    duration = st.sampled_from(DURATIONS)
    if draw(st.booleans()):
        return draw(duration)
    options: Document = {"within": draw(duration)}
    if draw(st.booleans()):
        priorities = st.dictionaries(st.sampled_from(("urgent", "low", "1")), duration, min_size=1)
        groups = st.dictionaries(st.sampled_from(("g1", "g2")), duration, min_size=1)
        by: Document = {}
        if draw(st.booleans()):
            by["group"] = draw(groups)
        by["priority"] = draw(priorities)
        options["by"] = by
        if draw(st.booleans()):
            del options["within"]
    if draw(st.booleans()):
        options["warn_at"] = draw(st.lists(st.sampled_from(WARNINGS), min_size=1, max_size=3, unique=True))
    return options


@st.composite
def policies(draw: Draw, kind: str, number: int, calendar_names: Sequence[str]) -> Document:
    """One policy of a kind; the first ones are wide, so that most items have clocks."""
    metrics = draw(st.lists(st.sampled_from(METRICS[kind]), min_size=1, unique=True))
    wanted = draw(conditions(tuple(ATTRIBUTES), at_most=2)) if number else {}
    if draw(st.integers(0, 4)):
        wanted = {"kind": kind, **wanted}
    document: Document = {
        "name": f"{kind}-{number}",
        "applies_to": wanted,
        "calendar": draw(st.sampled_from(calendar_names)),
        "targets": {metric: draw(targets()) for metric in metrics},
    }
    if draw(st.booleans()):
        document["pause_when"] = draw(conditions(("status", "status", "priority", "tags"), at_most=2)) or {
            "status": "pending"
        }
    options: Sequence[tuple[str, Sequence[Any]]] = (
        ("on_change", ("recompute", "keep", "restart")),
        ("on_reopen", ("resume", "restart", "ignore")),
        ("require_reply", (True, False)),
        ("combine", ("all",)),
        ("rank", (1, 2)),
        ("grace", ("1m",)),
    )
    for name, choices in options:
        if draw(st.integers(0, 3)) == 0:
            document[name] = draw(st.sampled_from(choices))
    return document


@st.composite
def patches(draw: Draw) -> Document:
    """Some attributes, some of them removed."""
    if draw(st.booleans()):
        return {}
    names = draw(st.lists(st.sampled_from((*ATTRIBUTES, "status", "assignee", "priority")), max_size=3, unique=True))
    return {name: draw(st.one_of(st.none(), st.sampled_from(ATTRIBUTES[name]))) for name in names}


@st.composite
def event(draw: Draw, kind: str, subject: str, at: datetime, name: str, what: str) -> Document:
    """One event, in structured CloudEvents mode."""
    data: Document = {"attributes": draw(patches())}
    if what.endswith("replied") and draw(st.integers(0, 3)) == 0:
        data["author"] = draw(st.sampled_from(("agent", "customer", "bot", "system")))
        data["public"] = draw(st.booleans())
    document: Document = {
        "specversion": "1.0",
        "id": name,
        "source": draw(st.sampled_from(("/a", "/b"))),
        "type": f"{kind}.{what}",
        "subject": subject,
        "time": shown(at),
        "data": data,
    }
    if draw(st.integers(0, 5)) == 0:
        document["sequence"] = draw(st.integers(0, 3))
    return document


@st.composite
def histories(draw: Draw, kind: str, subject: str, start: datetime) -> list[Document]:
    """The events of one item, in order of time; names at the same instant are in no order."""
    count = draw(st.integers(1, 12))
    names = draw(st.permutations([f"e{number:02}" for number in range(count)]))
    found, at = [], start
    for number in range(count):
        create = number == 0 and draw(st.integers(0, 9)) > 0
        what = CREATIONS[kind] if create else draw(st.sampled_from(TYPES[kind]))
        found.append(draw(event(kind, subject, at, names[number], what)))
        at += timedelta(seconds=draw(st.sampled_from(STEPS_S)))
    return found


@st.composite
def cases(draw: Draw) -> Case:
    """A policy file's text, events in any order and with repeats, and the end."""
    zone, day = draw(st.sampled_from(PLACES))
    kinds = draw(st.sampled_from((("ticket",), ("ticket",), ("chat",), ("call",), ("ticket", "call"))))
    calendar_names = ("c0", "c1", "c2")[: draw(st.integers(1, 3))]
    document = {
        "calendars": {name: draw(calendars(zone if n < 2 else "UTC", day)) for n, name in enumerate(calendar_names)},
        "policies": [
            draw(policies(kind, number, calendar_names)) for kind in kinds for number in range(draw(st.integers(1, 4)))
        ],
    }
    start = datetime(day.year, day.month, day.day, tzinfo=UTC) + timedelta(hours=draw(st.integers(-48, 24)))
    events: list[Document] = []
    for kind in kinds:
        events += draw(histories(kind, "1", start))
    if draw(st.booleans()):
        events = list(draw(st.permutations([*events, draw(st.sampled_from(events))])))
    last = max(datetime.fromisoformat(each["time"]) for each in events)
    until = last + timedelta(seconds=draw(st.sampled_from((*STEPS_S, -3600, 14 * 86400))))
    return json.dumps(document), events, shown(max(until, start))
