"""Who hears of a breach, or of a silence: the routes of `notify.yaml`, tried in order. PURE."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from services.notifier.delivery import Notice
from services.notifier.receivers import Receiver
from shared.breach_records import BreachRecord, PublishedRecord, PublishedType
from shared.events import BreachEvent, SourceSilence

TYPE_NAMES: Final[Mapping[PublishedType, str]] = {
    "sla.clock.warning.v1": "warning",
    "sla.clock.breached.v1": "breached",
    "sla.breach.stopped.v1": "stopped",
    "sla.breach.cancelled.v1": "cancelled",
    "sla.breach.retracted.v1": "retracted",
    "sla.source.silent.v1": "silent",
}
FIELDS: Final = frozenset(BreachEvent.__struct_fields__) - {"attributes", "explanation"}
FIELDS_OF_SILENCE: Final = frozenset(SourceSilence.__struct_fields__)
NOTHING: Final = "null"  # how an absent value is written in a match

Match = Mapping[str, frozenset[str]]  # field or attribute -> the texts of which any one matches


@dataclass(frozen=True, slots=True)
class Route:
    """What it takes, and who hears of it."""

    name: str
    match: Match  # all must match; empty takes everything
    receivers: tuple[str, ...]  # none: what it takes alerts nobody, on purpose
    goes_on: bool = False  # whether the routes after it are tried too
    line: int = 1  # in the file


@dataclass(frozen=True, slots=True)
class Routes:
    """A checked `notify.yaml`: its last route takes everything, and every receiver that a route names exists."""

    file: str
    receivers: Mapping[str, Receiver]
    routes: tuple[Route, ...]
    lines: Mapping[str, int]  # receiver -> its line in the file


def route(routes: Routes, record: PublishedRecord) -> list[Notice]:
    """The notices that *record* calls for, in the order of the file, each with its reason.

    The first route that matches decides, unless it goes on. A receiver that several routes name hears of it once.
    """
    notices: dict[str, Notice] = {}
    for candidate in routes.routes:
        if not matches(candidate.match, record):
            continue
        for name in candidate.receivers:
            channel = routes.receivers[name].channel
            notices.setdefault(name, Notice(candidate.name, name, channel, _reason(candidate)))
        if not candidate.goes_on:
            break
    return list(notices.values())


def matches(match: Match, record: PublishedRecord) -> bool:
    """Whether every field of *match* has one of its values in *record*; a list has those of its members."""
    return all(not allowed.isdisjoint(_texts(_value(record, name))) for name, allowed in match.items())


def covers(wider: Match, narrower: Match) -> bool:
    """Whether whatever matches *narrower* also matches *wider*."""
    return all(name in narrower and narrower[name] <= allowed for name, allowed in wider.items())


def _value(record: PublishedRecord, name: str) -> Any:
    if name == "type":
        return TYPE_NAMES[record.type]
    if not isinstance(record, BreachRecord):  # it has no item, so what is asked of one is absent
        return getattr(record.data, name) if name in FIELDS_OF_SILENCE else None
    if name.startswith("attributes."):
        return record.data.attributes.get(name.removeprefix("attributes."))
    return getattr(record.data, name) if name in FIELDS else record.data.attributes.get(name)


def _texts(value: Any) -> frozenset[str]:
    # Compared as they are written in the file, as policies do it; what is absent or an empty list matches null.
    if isinstance(value, bool):
        return frozenset(("true" if value else "false",))
    if isinstance(value, float) and value.is_integer():
        return frozenset((str(int(value)),))
    if isinstance(value, str | int | float):
        return frozenset((str(value),))
    if isinstance(value, list) and value:
        return frozenset().union(*(_texts(member) for member in value))
    return frozenset((NOTHING,))


def _reason(taken_by: Route) -> str:
    if not taken_by.match:
        return f"route {taken_by.name} takes everything"
    parts = (f"{name} is {' or '.join(sorted(allowed))}" for name, allowed in taken_by.match.items())
    return f"route {taken_by.name}: {', '.join(parts)}"
