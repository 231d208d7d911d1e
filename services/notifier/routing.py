"""Who hears of a breach, or of a silence: the tree of routes of `notify.yaml`, tried in order. PURE."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from services.notifier.alerts.deciding import Chosen
from services.notifier.alerts.escalation import Escalation
from services.notifier.customers import CUSTOMERS, Customers, notice
from services.notifier.delivery import Notice
from services.notifier.grouping import Grouping
from services.notifier.heartbeat import Heartbeat, is_heartbeat
from services.notifier.inhibition import Rule
from services.notifier.matching import Conditions
from services.notifier.people.audience import Audience, resolve
from services.notifier.people.directory import Directory
from services.notifier.receivers import Receiver
from shared.breach_records import PublishedRecord
from shared.errors import Problem
from shared.events import Instant


@dataclass(frozen=True, slots=True)
class Route:
    """What it takes, and who hears of it; the routes within it come first, and it takes what they leave."""

    name: str  # with the names of the routes around it: `acme/urgent`
    takes: Conditions
    receivers: tuple[str, ...]  # none: what it takes alerts nobody, on purpose
    goes_on: bool = False  # whether the routes after it are tried too
    line: int = 1  # in the file
    routes: tuple[Route, ...] = ()
    audience: Audience = ()  # who hears of it beside the receivers, by the item
    around: tuple[Conditions, ...] = ()  # what the routes around it take, the outermost first
    escalation: str | None = None  # of what it takes

    @property
    def conditions(self) -> tuple[Conditions, ...]:
        """All that must hold for it."""
        return (*self.around, self.takes)


@dataclass(frozen=True, slots=True)
class Routes:
    """A checked `notify.yaml`: its last route takes everything, and every receiver that a route names exists."""

    file: str
    receivers: Mapping[str, Receiver]  # with those of the people in the directory
    routes: tuple[Route, ...]
    lines: Mapping[str, int]  # receiver -> its line in the file
    templates: Path | None = None  # the folder of the installation's own
    heartbeat: Heartbeat | None = None
    groupings: Mapping[str, Grouping] = field(default_factory=dict)  # by route; the others group nothing
    inhibit: tuple[Rule, ...] = ()
    escalations: Mapping[str, Escalation] = field(default_factory=dict)  # every one that a route names is there
    directory: Directory | None = None  # there is one where a route has an audience
    customers: Customers | None = None  # who are told only where this says so
    fallback: str | None = None  # who is told in the place of a receiver that is no more

    def problem(self, receiver: str, message: str) -> Problem:
        """A problem with the channel of *receiver*; of a person's it is one of all channels of the kind."""
        channel = self.receivers[receiver].channel
        if self.customers is not None and receiver == CUSTOMERS:
            place = CUSTOMERS
        else:
            place = f"people_channels.{channel}" if receiver in self.people else f"receivers.{receiver}.{channel}"
        return Problem(self.file, self.lines[receiver], place, message)

    @property
    def people(self) -> frozenset[str]:
        """The receivers that are people's."""
        return frozenset() if self.directory is None else frozenset(self.directory.reached.values())

    def each(self) -> Iterator[Route]:
        """Every route of the tree, in the order of the file."""
        return _each(self.routes)


def route(routes: Routes, record: PublishedRecord, at: Instant) -> list[Notice]:
    """The notices that *record* calls for at *at*, in the order of the file, each with its reason.

    A receiver that several routes name hears of it once.
    """
    if is_heartbeat(record):  # in no route, whatever that takes
        heart = routes.heartbeat
        return [] if heart is None else heart.notices(record, routes.receivers[heart.receiver].channel)
    notices: dict[str, Notice] = {}
    for taker in takers(routes.routes, record):
        for name, reason in _told(routes, taker, record, at):
            notices.setdefault(name, Notice(taker.name, name, routes.receivers[name].channel, reason))
    to_customer = None if routes.customers is None else notice(routes.customers, record)
    return [*notices.values(), *([] if to_customer is None else [to_customer])]


def escalation_of(routes: Routes, record: PublishedRecord) -> Chosen | None:
    """The escalation of *record*: that of the first route which takes it and names one."""
    named = ((taker.name, taker.escalation) for taker in takers(routes.routes, record))
    return next((Chosen(name, escalation) for name, escalation in named if escalation is not None), None)


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


def _told(routes: Routes, taker: Route, record: PublishedRecord, at: Instant) -> Iterator[tuple[str, str]]:
    reason = _reason(taker)
    for name in taker.receivers:
        yield name, reason
    if taker.audience and routes.directory is not None:
        found = resolve(routes.directory, taker.audience, record, at)
        for name in found.receivers:
            yield name, f"{reason}; to {found.how}"


def _each(routes: Sequence[Route]) -> Iterator[Route]:
    for route_ in routes:
        yield route_
        yield from _each(route_.routes)


def _reason(taken_by: Route) -> str:
    said = ", ".join(str(conditions) for conditions in taken_by.conditions if conditions)
    return f"route {taken_by.name}: {said}" if said else f"route {taken_by.name} takes everything"
