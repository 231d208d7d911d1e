"""Calendars, policies and histories as files hold them: small, so that boundaries, dues and events often coincide."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final

from hypothesis import strategies as st

from tests.oracle.expressions import EXPRESSIONS
from tests.oracle.strategies_calendars import PLACES, Document, Draw, families, shown, shown_day

Case = tuple[str, list[Document], str]

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


@st.composite
def calendar_choices(draw: Draw, names: Sequence[str]) -> Any:
    """The name of a calendar, or names by attributes."""
    name = st.sampled_from(names)
    if draw(st.integers(0, 3)):
        return draw(name)
    by = {"priority": draw(st.dictionaries(st.sampled_from(("urgent", "low", "1")), name, min_size=1))}
    return {"default": draw(name), "by": by}


@st.composite
def validities(draw: Draw, around: date) -> Document:
    """A time that begins or ends near a day, as dates or as instants."""
    first, last = sorted(draw(st.lists(st.integers(-3, 4), min_size=2, max_size=2, unique=True)))
    days = {"from": around + timedelta(days=first), "until": around + timedelta(days=last)}
    said = draw(st.sampled_from((("from",), ("until",), ("from", "until"))))
    suffix = draw(st.sampled_from(("", "T00:00:20Z", "T08:00:00+02:00")))
    return {name: f"{shown_day(days[name])}{suffix}" for name in said}


@st.composite
def exclusions(draw: Draw, number: int, around: date) -> Document:
    """A span of up to three days near a day, for every item or for some."""
    begin = datetime(around.year, around.month, around.day, tzinfo=UTC) + timedelta(hours=draw(st.integers(-48, 72)))
    until = begin + timedelta(seconds=draw(st.sampled_from((1, 20, 900, 3600, 8 * 3600, 86400, 3 * 86400))))
    document: Document = {"name": f"x{number}", "from": shown(begin), "until": shown(until), "reason": "maintenance"}
    if draw(st.booleans()):
        document["applies_to"] = draw(st.sampled_from(CONDITIONS))
    if draw(st.integers(0, 3)) == 0:
        document["when"] = draw(st.sampled_from(sorted(EXPRESSIONS)))
    return document


@st.composite
def targets(draw: Draw, calendar_names: Sequence[str]) -> Any:
    """A duration, or options with `by`, warnings, a calendar and pauses of its own."""
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
    if draw(st.integers(0, 5)) == 0:
        options["calendar"] = draw(calendar_choices(calendar_names))
    if draw(st.integers(0, 5)) == 0:
        options["pause_when"] = draw(st.sampled_from(({}, *PAUSES)))
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
def policies(draw: Draw, kind: str, number: int, calendar_names: Sequence[str], around: date) -> Document:
    """One policy of a kind; the first one is wide, so that most items have clocks."""
    wanted = draw(st.sampled_from(CONDITIONS)) if number else {}
    metrics = draw(
        st.sampled_from((METRICS[kind], METRICS[kind], METRICS[kind][1:], METRICS[kind][:2], METRICS[kind][-2:]))
    )
    document: Document = {
        "name": f"{kind}-{number}",
        "applies_to": wanted if draw(st.integers(0, 3)) == 0 else {"kind": kind, **wanted},
        "calendar": draw(calendar_choices(calendar_names)),
        "targets": {metric: draw(targets(calendar_names)) for metric in metrics},
    }
    if number and draw(st.integers(0, 4)) == 0:
        document["when"] = draw(st.sampled_from(sorted(EXPRESSIONS)))
    if draw(st.integers(0, 4)) == 0:
        document["valid"] = draw(validities(around))
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
    document: Document = {
        "calendars": draw(families(calendar_names, zone, day)),
        "policies": [
            draw(policies(kind, number, calendar_names, day))
            for kind in kinds
            for number in range(draw(st.integers(1, 4)))
        ],
    }
    if draw(st.integers(0, 2)) == 0:
        document["exclusions"] = [draw(exclusions(number, day)) for number in range(draw(st.integers(1, 2)))]
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
