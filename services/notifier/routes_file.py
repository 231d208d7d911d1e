"""`notify.yaml`: its text as checked routes, or every problem in it. PURE."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import Field

from services.notifier import escalation_file, route_tree
from services.notifier.customers import CUSTOMERS
from services.notifier.customers_model import CustomersModel
from services.notifier.endpoints.values import Strict
from services.notifier.escalation_file import EscalationModel
from services.notifier.exposure import exposed
from services.notifier.grouping import GroupingOptions
from services.notifier.heartbeat import HeartbeatModel
from services.notifier.inhibition_model import InhibitModel
from services.notifier.people import directory_file
from services.notifier.people.directory_file import People
from services.notifier.people.directory_model import PersonalKind
from services.notifier.people.opening import SECTION, Doors
from services.notifier.receivers import Receiver
from services.notifier.route_lint import unreachable, unused
from services.notifier.route_model import RouteModel
from services.notifier.route_tree import Planted
from services.notifier.routing import Routes
from shared.documents import Document, validate
from shared.documents import Path as DocumentPath
from shared.errors import BadDocument, Problem


class _File(Strict):
    receivers: dict[str, Receiver] = Field(min_length=1)
    routes: tuple[RouteModel, ...]
    fallback: str | None = None
    templates: str | None = Field(None, min_length=1)
    heartbeat: HeartbeatModel | None = None
    defaults: GroupingOptions = GroupingOptions()
    inhibit: tuple[InhibitModel, ...] = ()
    directory: str | None = Field(None, min_length=1)
    people_channels: dict[PersonalKind, dict[str, Any]] = Field(default_factory=dict)
    escalations: dict[str, EscalationModel] = Field(default_factory=dict)
    customers: CustomersModel | None = None


def files_beside(text: str, file: str) -> tuple[str, ...]:
    """The other files that *text* names, as it writes them: they are read relative to its own.

    Raises:
        BadDocument: *text* is not YAML.
    """
    return _named(text, file, "directory")


def folder_beside(text: str, file: str) -> tuple[str, ...]:
    """The folder of templates that *text* names, if it names one.

    Raises:
        BadDocument: *text* is not YAML.
    """
    return _named(text, file, "templates")


def parse(text: str, file: str, beside: Mapping[str, Document] | None = None) -> Routes:
    """The routes that *text* describes.

    Args:
        text: what stands in the file.
        file: its name, for problems.
        beside: the `files_beside` it, by the names that it gives them.

    Raises:
        BadDocument: with every problem, each with file, line, field and what was expected.
    """
    document = Document(text, file)
    checked = validate(document, _File)
    tree = route_tree.planted(checked.routes)
    people, problems = _people(document, checked, (beside or {}).get(checked.directory or ""))
    receivers = {**checked.receivers, **({} if people is None else people.receivers)}
    problems += _problems(document, checked, tree, receivers)
    if problems:
        raise BadDocument(problems)
    if checked.customers is not None:
        receivers[CUSTOMERS] = checked.customers.receiver
    # Beside the file that names it, wherever the process was started.
    templates = None if checked.templates is None else Path(file).parent / checked.templates
    lines = {name: _line(document, name, each) for name, each in receivers.items()}
    return Routes(
        *(file, receivers, route_tree.grown(document, tree), lines, templates),
        heartbeat=None if checked.heartbeat is None else checked.heartbeat.plain,
        groupings=route_tree.groupings(tree, checked.defaults),
        escalations=escalation_file.built(document, checked.escalations),
        inhibit=tuple(each.rule(at) for at, each in enumerate(checked.inhibit)),
        directory=None if people is None else people.directory,
        customers=None if checked.customers is None else checked.customers.customers,
        fallback=checked.fallback,
    )


def json_schema() -> dict[str, Any]:
    """The JSON Schema of `notify.yaml`, for editors."""
    return _File.model_json_schema(by_alias=True)


def findings(routes: Routes) -> list[Problem]:
    """What is allowed but hardly meant: receivers never used, routes never reached, secrets in plain sight."""
    named = {each.escalation for each in routes.each()}
    unnamed = escalation_file.unused(routes.file, routes.escalations, named)
    return list(dict.fromkeys([*unused(routes), *unreachable(routes), *unnamed, *exposed(routes)]))


def _problems(
    document: Document, checked: _File, tree: Sequence[Planted], receivers: Mapping[str, Receiver]
) -> Iterator[Problem]:
    yield from route_tree.problems(document, tree, receivers)
    if checked.directory is None:
        yield from route_tree.unresolved(document, tree)
        yield from escalation_file.unresolved(document, checked.escalations)
    if checked.customers is not None and CUSTOMERS in receivers:
        yield document.problem((CUSTOMERS,), f"expected no receiver and no person called {CUSTOMERS}")
    yield from route_tree.without_escalation(document, tree, checked.escalations)
    yield from escalation_file.problems(document, checked.escalations, receivers)
    yield from _of_heartbeat(document, checked)
    yield from _stand_in(document, checked)


def _named(text: str, file: str, section: str) -> tuple[str, ...]:
    value = Document(text, file).value
    named = value.get(section) if isinstance(value, dict) else None
    return (named,) if isinstance(named, str) and named else ()


def _of_heartbeat(document: Document, checked: _File) -> list[Problem]:
    if checked.heartbeat is None or checked.heartbeat.receiver in checked.receivers:
        return []
    expected = f"expected one of the receivers {', '.join(checked.receivers)}, got {checked.heartbeat.receiver!r}"
    return [document.problem(("heartbeat", "receiver"), expected)]


def _line(document: Document, name: str, receiver: Receiver) -> int:
    # A person's is where all channels of the kind are described.
    places: tuple[DocumentPath, ...] = (
        ("receivers", name),
        (name,) if name == CUSTOMERS else (SECTION, receiver.channel),
    )
    return next((document.line(place) for place in places if place in document.lines), 1)


def _stand_in(document: Document, checked: _File) -> list[Problem]:
    if checked.fallback is None or checked.fallback in checked.receivers:
        return []
    known = ", ".join(checked.receivers)
    return [document.problem(("fallback",), f"expected one of the receivers {known}, got {checked.fallback!r}")]


def _people(document: Document, checked: _File, directory: Document | None) -> tuple[People | None, list[Problem]]:
    if checked.directory is None:
        return None, []
    if directory is None:
        return None, [document.problem(("directory",), f"expected a file, found none at {checked.directory}")]
    try:
        return directory_file.parse(directory, Doors(document, checked.people_channels, checked.receivers)), []
    except BadDocument as exc:
        return None, exc.problems
