"""`./plazo lint`: what is wrong in policy files and routes, and what in them cannot be meant."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from services.cli.files import read_events, read_text, read_texts
from services.cli.statuses import StatusesOption, status_table
from services.notifier import routes_file
from services.timer.policy_file import load
from services.timer.policy_lint import Finding, coverage, findings
from shared.errors import Problem
from shared.events import instant


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("lint")(lint)


def lint(
    policies: Annotated[Path | None, typer.Option(help="A policy file, or a folder of them that make one set.")] = None,
    events: Annotated[
        Path | None, typer.Option(help="Recorded events (JSON Lines, gzip allowed): which items no policy covers.")
    ] = None,
    routes: Annotated[Path | None, typer.Option(help="The notifier's routes and receivers, a notify.yaml.")] = None,
    statuses: StatusesOption = None,
) -> None:
    """Check policy files and routes, and find what in them cannot be meant.

    Ends with status 2 when a file has mistakes, 1 when something looks wrong, 0 when all is well.

    \b
    Example:
      ./plazo lint --policies deploy/local/policies.yaml --routes deploy/local/notify.yaml
    """
    if policies is None and routes is None:
        raise typer.BadParameter("expected --policies, --routes, or both")
    found: list[Finding | Problem] = []
    if policies is not None:
        found += _policy_findings(policies, events, statuses)
    if routes is not None:
        found += _route_findings(routes)
    for finding in found:
        typer.echo(finding)
    typer.echo(f"{len(found)} findings" if found else "Nothing looks wrong.", err=True)
    raise typer.Exit(1 if found else 0)


def _route_findings(path: Path) -> list[Problem]:
    return routes_file.findings(routes_file.parse(read_text(path), str(path)))


def _policy_findings(path: Path, events: Path | None, statuses: Path | None) -> list[Finding]:
    now = instant(datetime.now(UTC))
    policies = load(read_texts(path), now=now)
    found = findings(policies, now)
    return found + (coverage(policies, read_events(events, status_table(statuses))) if events else [])
