"""The routes of `notify.yaml` as a tree: each with its whole name and the settings that it inherits. PURE."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from services.notifier.grouping import Grouping, GroupingOptions
from services.notifier.matching import Conditions
from services.notifier.route_model import RouteModel
from services.notifier.routing import Route
from shared.documents import Document, Path, dotted
from shared.errors import Problem


@dataclass(frozen=True, slots=True)
class Planted:
    """A route of the file in its place."""

    place: Path
    name: str
    model: RouteModel  # with what it inherits
    around: tuple[Conditions, ...]
    within: tuple[Planted, ...]


def planted(given: Sequence[RouteModel]) -> tuple[Planted, ...]:
    """The routes that stand in the file outside all others, with those within them."""
    return tuple(_planted(model, ("routes", at), None) for at, model in enumerate(given))


def grown(document: Document, tree: Sequence[Planted]) -> tuple[Route, ...]:
    """The routes as they are tried."""
    return tuple(_route(document, each) for each in tree)


def groupings(tree: Sequence[Planted], defaults: GroupingOptions) -> dict[str, Grouping]:
    """How each route groups that does, by its name."""
    found = {each.name: each.model.grouping(defaults) for each in _all(tree)}
    return {name: grouping for name, grouping in found.items() if grouping is not None}


def without_escalation(document: Document, tree: Sequence[Planted], escalations: Collection[str]) -> Iterator[Problem]:
    """The routes that name an escalation which does not exist."""
    for each in _all(tree):
        name, place = each.model.escalation, (*each.place, "escalation")
        if name is not None and name not in escalations and place in document.lines:  # else it is one's around it
            known = ", ".join(escalations) or "which there are none of"
            yield document.problem(place, f"expected one of the escalations {known}, got {name!r}")


def problems(document: Document, tree: Sequence[Planted], receivers: Collection[str]) -> Iterator[Problem]:
    """What a schema cannot say: names that stand twice, receivers that do not exist, and nobody for what is left."""
    names: set[str] = set()
    for each in _all(tree):
        if each.name in names:
            said = f"another route is named {each.name!r}; names tell deliveries apart"
            yield document.problem((*each.place, "name"), said)
        names.add(each.name)
        yield from _unheard(document, each, receivers)
    if not any(not each.model.conditions and not each.model.goes_on for each in tree):
        yield document.problem(
            ("routes",),
            "expected a last route without match, which takes everything else (receivers: [] alerts nobody)",
        )


def unresolved(document: Document, tree: Sequence[Planted]) -> Iterator[Problem]:
    """The audiences of a file that names no directory to find them in."""
    for each in _all(tree):
        if (*each.place, "audience") in document.lines and each.model.audience:
            said = "expected a `directory` in this file, to find people in"
            yield document.problem((*each.place, "audience"), said)


@dataclass(frozen=True, slots=True)
class _Around:
    name: str
    model: RouteModel
    conditions: tuple[Conditions, ...]


def _planted(given: RouteModel, place: Path, around: _Around | None) -> Planted:
    own = given.name or (f"number {int(place[-1]) + 1}" if given.conditions else "default")
    name = own if around is None else f"{around.name}/{own}"
    model = given.within(None if around is None else around.model)
    outside = () if around is None else around.conditions
    here = _Around(name, model, (*outside, given.conditions))
    within = tuple(_planted(each, (*place, "routes", at), here) for at, each in enumerate(given.routes))
    return Planted(place, name, model, outside, within)


def _route(document: Document, each: Planted) -> Route:
    return Route(
        name=each.name,
        takes=each.model.conditions,
        receivers=each.model.receivers or (),
        audience=each.model.audience,
        goes_on=each.model.goes_on,
        line=document.line(each.place),
        routes=grown(document, each.within),
        around=each.around,
        escalation=each.model.escalation,
    )


def _all(tree: Sequence[Planted]) -> Iterator[Planted]:
    for each in tree:
        yield each
        yield from _all(each.within)


def _unheard(document: Document, each: Planted, receivers: Collection[str]) -> Iterator[Problem]:
    if each.model.receivers is None and not each.model.audience:
        said = "is required, here or in a route around it ([] alerts nobody)"
        yield Problem(document.file, document.line(each.place), dotted((*each.place, "receivers")), said)
    for at, receiver in enumerate(each.model.receivers or ()):
        place: Path = (*each.place, "receivers", at)
        if receiver not in receivers and place in document.lines:  # else it is the mistake of a route around it
            known = ", ".join(receivers)
            yield document.problem(place, f"expected one of the receivers {known}, got {receiver!r}")
