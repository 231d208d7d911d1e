"""What `notify.yaml` allows and is hardly meant: routes never reached, receivers never used. PURE."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from services.notifier.customers import CUSTOMERS
from services.notifier.matching import covers, exclude
from services.notifier.routing import Route, Routes
from shared.documents import Path, dotted
from shared.errors import Problem


def unused(routes: Routes) -> Iterator[Problem]:
    """Receivers that nobody would ever hear of."""
    used = {name for each in routes.each() for name in each.receivers} | _asked(routes) | routes.people | {CUSTOMERS}
    used |= {routes.fallback} if routes.fallback is not None else set()
    used |= {name for each in routes.escalations.values() for step in each.steps for name in step.receivers}
    used |= set() if routes.heartbeat is None else {routes.heartbeat.receiver}
    for name, line in routes.lines.items():
        if name not in used:
            yield Problem(routes.file, line, f"receivers.{name}", "no route names this receiver")


def unreachable(routes: Routes) -> Iterator[Problem]:
    """Routes that nothing comes to: others take all of it before, or those around them never let it through."""
    for place, each, before in _placed(routes.routes, (), ()):
        hiding = next((one for one in before if not one.goes_on and covers(one.takes, each.conditions)), None)
        at_odds = exclude(each.conditions)
        if at_odds is not None:
            said = f"never reached: what the routes around it take never has this {at_odds}"
        elif hiding is not None:
            said = f"never reached: route {hiding.name} takes all of it before"
        else:
            continue
        yield Problem(routes.file, each.line, dotted(place), said)


def _placed(
    routes: Sequence[Route], around: Path, before: tuple[Route, ...]
) -> Iterator[tuple[Path, Route, tuple[Route, ...]]]:
    # Each with the routes that are tried before it: those in front of it, and in front of the routes around it.
    for at, each in enumerate(routes):
        place: Path = (*around, "routes", at)
        earlier = (*before, *routes[:at])
        yield place, each, earlier
        yield from _placed(each.routes, place, earlier)


def _asked(routes: Routes) -> frozenset[str]:
    # Those that an audience can come to, beside people.
    directory = routes.directory
    if directory is None or not any(each.audience for each in routes.each()):
        return frozenset()
    channels = {group.channel for group in directory.groups.values() if group.channel is not None}
    return frozenset(channels | set(directory.fallback))
