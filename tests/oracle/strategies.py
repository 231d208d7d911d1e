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
# What an event says of an item's attributes: most say nothing, many move the status, some set what policies match.
PATCHES: Final[tuple[Document, ...]] = (
    *({},) * 12,
    *({"status": status} for status in ("open", "pending", "open", "pending", "on_hold", "resolved", None)),
    {"status": "spam"},
    *({"priority": priority} for priority in ("urgent", "low", 1, "1", None)),
    *({"assignee": assignee} for assignee in ("nora", "omar", None, None)),
    *({"customer": customer} for customer in ("acme", "bolt", None)),
    *({"group": group} for group in ("g1", "g2", None)),
    *({"tags": tags} for tags in (["vip"], ["beta", "vip"], [], "beta")),
    *({"vip": vip} for vip in (True, "true", False)),
    {"contact": "u1"},
    {"service": "s1"},
    {"department": "d1"},
)
CONDITIONS: Final[tuple[Document, ...]] = (
    *({},) * 4,
    *({"priority": priority} for priority in ("urgent", ["urgent", "low"], "1", 1)),
    *({"customer": customer} for customer in ("acme", ["acme", "bolt"])),
    *({"group": group} for group in ("g1", ["g1", "g2"])),
    *({"tags": tag} for tag in ("vip", ["vip", "beta"])),
    *({"vip": vip} for vip in (True, "false")),
    *({"status": status} for status in ("open", ["pending", "open"])),
    {"contact": ["u1", "u2"]},
    {"service": "s1"},
    {"department": "d1"},
    {"customer": "acme", "priority": "urgent"},
    {"group": "g1", "vip": True},
)
PAUSES: Final[tuple[Document, ...]] = (
    {"status": "pending"},
    {"status": ["pending", "on_hold"]},
    {"status": ["pending", "open"]},
    {"priority": ["low", 1], "status": ["pending", "open", "on_hold"]},
    {"tags": "vip"},
    {"vip": False},
    {"status": "pending", "assignee": ["nora", "omar"]},
)
_TALK: Final = ("updated", "updated", "agent_replied", "agent_replied", "customer_replied", "customer_replied")
TYPES: Final = {
    "ticket": (*_TALK, *_TALK, "created", "resolved", "resolved", "reopened", "reopened"),
    "chat": (*_TALK, *_TALK, "accepted", "accepted", "ended"),
    "call": ("updated", "updated", "queued", "queued", "answered", "answered", "held", "resumed", "ended", "abandoned"),
}
RARE: Final = {
    "ticket": ("created", "closed", "merged", "deleted"),
    "chat": ("started", "missed", "ended"),
    "call": ("queued", "abandoned", "ended"),
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


OPTIONS: Final[tuple[Document, ...]] = (
    *({},) * 6,
    *({"on_change": what} for what in ("keep", "restart")),
    *({"on_reopen": what} for what in ("restart", "ignore")),
    {"require_reply": True},
    *({"combine": "all"},) * 2,
    {"rank": 1},
    {"rank": 2},
)


@st.composite
def policies(draw: Draw, kind: str, number: int, calendar_names: Sequence[str]) -> Document:
    """One policy of a kind; the first one is wide, so that most items have clocks."""
    wanted = draw(st.sampled_from(CONDITIONS)) if number else {}
    metrics = draw(
        st.sampled_from((METRICS[kind], METRICS[kind], METRICS[kind][1:], METRICS[kind][:2], METRICS[kind][-2:]))
    )
    document: Document = {
        "name": f"{kind}-{number}",
        "applies_to": wanted if draw(st.integers(0, 3)) == 0 else {"kind": kind, **wanted},
        "calendar": draw(st.sampled_from(calendar_names)),
        "targets": {metric: draw(targets()) for metric in metrics},
    }
    if draw(st.integers(0, 2)):
        document["pause_when"] = draw(st.sampled_from(PAUSES))
    return {**document, **draw(st.sampled_from(OPTIONS)), **draw(st.sampled_from(OPTIONS))}


@st.composite
def event(draw: Draw, kind: str, subject: str, at: datetime, name: str, what: str) -> Document:
    """One event, in structured CloudEvents mode."""
    data: Document = {"attributes": {**draw(st.sampled_from(PATCHES)), **draw(st.sampled_from(PATCHES))}}
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
    count = draw(st.sampled_from((1, 2, 3, 5, 8, 10, 12, 15)))
    names = [f"e{number:02}" for number in range(count)]
    if draw(st.booleans()):
        names.reverse()
    found, at = [], start
    for number in range(count):
        create = number == 0 and draw(st.sampled_from((True,) * 9 + (False,)))
        what = CREATIONS[kind] if create else draw(st.sampled_from(TYPES[kind] * 3 + RARE[kind]))
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


@st.composite
def late_cases(draw: Draw) -> tuple[str, list[Document], list[str], str]:
    """As `cases`, with the instants at which the events become known, at or after their own, and an end after all.

    Nothing is deleted: what belongs before a deletion and comes after it is refused, so there the order does count.
    """
    policies_text, events, _ = draw(cases())
    events = [{**each, "type": each["type"].replace("deleted", "merged")} for each in events]
    lags = draw(st.lists(st.sampled_from((0, 0, 0, 1, 30, 900, 3600, 86400, 7 * 86400)), min_size=32, max_size=32))
    times = [datetime.fromisoformat(each["time"]) for each in events]
    known = [at + timedelta(seconds=lag) for at, lag in zip(times, lags, strict=False)]
    until = max(known) + timedelta(seconds=draw(st.sampled_from((1, 3600, 10 * 86400))))
    return policies_text, events, [shown(at) for at in known], shown(until)
