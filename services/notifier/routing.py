"""Who hears of a breach, or of a silence: the tree of routes of `notify.yaml`, tried in order. PURE."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from services.notifier.delivery import Notice
from services.notifier.grouping import Grouping
from services.notifier.inhibition import Rule
from services.notifier.matching import Conditions
from services.notifier.receivers import Receiver
from shared.breach_records import PublishedRecord


@dataclass(frozen=True, slots=True)
class Route:
    """What it takes, and who hears of it; the routes within it come first, and it takes what they leave."""

    name: str  # with the names of the routes around it: `acme/urgent`
    takes: Conditions
    receivers: tuple[str, ...]  # none: what it takes alerts nobody, on purpose
    goes_on: bool = False  # whether the routes after it are tried too
    line: int = 1  # in the file
    routes: tuple[Route, ...] = ()
    around: tuple[Conditions, ...] = ()  # what the routes around it take, the outermost first

    @property
    def conditions(self) -> tuple[Conditions, ...]:
        """All that must hold for it."""
        return (*self.around, self.takes)


@dataclass(frozen=True, slots=True)
class Routes:
    """A checked `notify.yaml`: its last route takes everything, and every receiver that a route names exists."""

    file: str
    receivers: Mapping[str, Receiver]
    routes: tuple[Route, ...]
    lines: Mapping[str, int]  # receiver -> its line in the file
    templates: Path | None = None  # the folder of the installation's own
    groupings: Mapping[str, Grouping] = field(default_factory=dict)  # by route; the others group nothing
    inhibit: tuple[Rule, ...] = ()

    def each(self) -> Iterator[Route]:
        """Every route of the tree, in the order of the file."""
        return _each(self.routes)


def route(routes: Routes, record: PublishedRecord) -> list[Notice]:
    """The notices that *record* calls for, in the order of the file, each with its reason.

    A receiver that several routes name hears of it once.
    """
    notices: dict[str, Notice] = {}
    for taker in takers(routes.routes, record):
        for name in taker.receivers:
            channel = routes.receivers[name].channel
            notices.setdefault(name, Notice(taker.name, name, channel, _reason(taker)))
    return list(notices.values())


def takers(routes: Sequence[Route], record: PublishedRecord) -> list[Route]:
    """The routes that take *record*: the first that matches, and, as long as they go on, those after it.

    One that matches hands it to the routes within it, and takes it itself where none of them does.
    """
    found: list[Route] = []
    for candidate in routes:
        if not candidate.takes.hold(record):
            continue
        found += takers(candidate.routes, record) or [candidate]
        if not candidate.goes_on:
            break
    return found


def _each(routes: Sequence[Route]) -> Iterator[Route]:
    for route_ in routes:
        yield route_
        yield from _each(route_.routes)


def _reason(taken_by: Route) -> str:
    said = ", ".join(str(conditions) for conditions in taken_by.conditions if conditions)
    return f"route {taken_by.name}: {said}" if said else f"route {taken_by.name} takes everything"
