"""`./plazo lint`: what is wrong in policy files and routes, and what in them cannot be meant."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Final, Literal, NamedTuple

import msgspec
import typer

from services.cli.files import read_events, read_texts
from services.cli.notify_file import read_notify
from services.cli.statuses import StatusesOption, status_table
from services.cli.unescalated import unescalated
from services.notifier import routes_file
from services.notifier.templates import template_lint
from services.notifier.templates.folder import shelf
from services.timer.lint.event_lint import coverage
from services.timer.lint.example import Example, Examples
from services.timer.lint.finding import Finding
from services.timer.lint.places import Places
from services.timer.lint.policy_lint import findings
from services.timer.lint.recording import Recording, recording
from services.timer.policy_file import load
from shared.errors import Problem
from shared.events import instant, rfc3339

Format = Literal["text", "jsonl"]
_ABOUT_ITEMS: Final = ("policies", "exclusions")  # a finding about a calendar or a metric is not about an item


class _Located(NamedTuple):
    """A finding with its place; those about routes have a place only."""

    problem: Problem
    finding: Finding | None = None


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("lint")(lint)


def lint(
    policies: Annotated[Path | None, typer.Option(help="A policy file, or a folder of them that make one set.")] = None,
    events: Annotated[
        Path | None,
        typer.Option(help="Recorded events (JSON Lines, gzip allowed): what is not covered, misspelled or left open."),
    ] = None,
    routes: Annotated[Path | None, typer.Option(help="The notifier's routes and receivers, a notify.yaml.")] = None,
    statuses: StatusesOption = None,
    form: Annotated[Format, typer.Option("--format", help="How the findings are shown.")] = "text",
) -> None:
    """Check policy files and routes, and find what in them cannot be meant.

    Each finding comes with its place, an item of which it is true, and a cure. Ends with status 2 when a file has
    mistakes, 1 when something looks wrong, 0 when all is well.

    \b
    Example:
      ./plazo lint --policies deploy/local/policies.yaml --routes deploy/local/notify.yaml
    """
    if policies is None and routes is None:
        raise typer.BadParameter("expected --policies, --routes, or both")
    found: list[_Located] = []
    if policies is not None:
        found += _policy_findings(policies, events, statuses)
    if routes is not None:
        found += _route_findings(routes)
    if policies is not None and routes is not None:
        found += _common_findings(policies, routes)
    for each in found:
        typer.echo(_FORMATS[form](each))
    count = "1 finding" if len(found) == 1 else f"{len(found)} findings"
    typer.echo(count if found else "Nothing looks wrong.", err=True)
    raise typer.Exit(1 if found else 0)


def _route_findings(path: Path) -> list[_Located]:
    checked = read_notify(path)
    found = [*routes_file.findings(checked), *template_lint.findings(shelf(checked.templates))]
    return [_Located(problem) for problem in found]


def _policy_findings(path: Path, events: Path | None, statuses: Path | None) -> list[_Located]:
    now = instant(datetime.now(UTC))
    files = read_texts(path)
    policies, places = load(files, now=now), Places(files)
    seen = Recording(()) if events is None else recording(policies, read_events(events, status_table(statuses)))
    found = findings(policies, now, recorded=seen.examples, inherited=places.inherited)
    return [_Located(places.problem(each), each) for each in found + coverage(policies, seen)]


def _common_findings(policies: Path, routes: Path) -> list[_Located]:
    now = instant(datetime.now(UTC))
    files = read_texts(policies)
    places = Places(files)
    found = unescalated(load(files, now=now), read_notify(routes), Examples(now))
    return [_Located(places.problem(each), each) for each in found]


def _block(found: _Located) -> str:
    if found.finding is None:
        return str(found.problem)
    examples = [f"  example: {example}" for example in found.finding.examples]
    if not examples and found.finding.section in _ABOUT_ITEMS:
        examples = ["  example: none can be made up, because an expression decides; --events may have one"]
    return "\n".join([str(found.problem), *examples, f"  cure: {found.finding.cure}"])


def _line(found: _Located) -> str:
    problem, finding = found
    line = {
        "file": problem.file,
        "line": problem.line,
        "field": problem.field,
        "subject": None if finding is None else finding.subject,
        "message": problem.message if finding is None else finding.message,
        "examples": [] if finding is None else [_plain(example) for example in finding.examples],
        "cure": None if finding is None else finding.cure,
    }
    return msgspec.json.encode(line).decode()


def _plain(example: Example) -> Mapping[str, Any]:
    return {
        "item": example.item,
        "kind": example.kind,
        "attributes": example.attributes,
        "start": rfc3339(example.start),
    }


_FORMATS: Final[Mapping[Format, Callable[[_Located], str]]] = {"text": _block, "jsonl": _line}
