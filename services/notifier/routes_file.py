"""`notify.yaml`: its text as checked routes, or every problem in it. PURE."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import Field

from services.notifier import route_tree
from services.notifier.endpoints.values import Strict
from services.notifier.exposure import exposed
from services.notifier.grouping import GroupingOptions
from services.notifier.inhibition_model import InhibitModel
from services.notifier.receivers import Receiver
from services.notifier.route_lint import unreachable, unused
from services.notifier.route_model import RouteModel
from services.notifier.routing import Routes
from shared.documents import Document, validate
from shared.errors import BadDocument, Problem


class _File(Strict):
    receivers: dict[str, Receiver] = Field(min_length=1)
    routes: tuple[RouteModel, ...]
    templates: str | None = Field(None, min_length=1)
    defaults: GroupingOptions = GroupingOptions()
    inhibit: tuple[InhibitModel, ...] = ()


def parse(text: str, file: str) -> Routes:
    """The routes that *text* describes.

    Raises:
        BadDocument: with every problem, each with file, line, field and what was expected.
    """
    document = Document(text, file)
    checked = validate(document, _File)
    tree = route_tree.planted(checked.routes)
    problems = list(route_tree.problems(document, tree, checked.receivers))
    if problems:
        raise BadDocument(problems)
    lines = {name: document.line(("receivers", name)) for name in checked.receivers}
    # Beside the file that names it, wherever the process was started.
    templates = None if checked.templates is None else Path(file).parent / checked.templates
    return Routes(
        *(file, checked.receivers, route_tree.grown(document, tree), lines, templates),
        groupings=route_tree.groupings(tree, checked.defaults),
        inhibit=tuple(each.rule(at) for at, each in enumerate(checked.inhibit)),
    )


def json_schema() -> dict[str, Any]:
    """The JSON Schema of `notify.yaml`, for editors."""
    return _File.model_json_schema(by_alias=True)


def findings(routes: Routes) -> list[Problem]:
    """What is allowed but hardly meant: receivers never used, routes never reached, secrets in plain sight."""
    return [*unused(routes), *unreachable(routes), *exposed(routes)]
