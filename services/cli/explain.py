"""`./plazo explain`: why the clocks of an item are as they are, out of the database or out of a file of events."""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Annotated, Final, Literal, TextIO, get_args

import typer
from rich.console import Console

from services.cli.explained import explained
from services.cli.files import read_events, read_texts
from services.cli.instants import given
from services.cli.on_database import on_database
from services.cli.statuses import StatusesOption, status_table
from services.cli.story import name_of
from services.ingest.statuses import StatusTable
from services.timer.explaining.explainer import Explainer
from services.timer.explaining.explanation import Explanation, explain
from services.timer.explaining.explanation_view import explanation_view
from services.timer.policy_file import load
from services.timer.rulebook import Rulebook
from shared.db import Database
from shared.errors import BadDocument, Problem, Refused
from shared.events import Event, Instant, Kind, instant
from shared.logs import configure

Format = Literal["text", "json"]
_KINDS: Final = get_args(Kind)
_FILE_WIDTH: Final = 120  # of what goes into a file, which has no width of its own


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("explain")(explain_item)


def explain_item(  # noqa: PLR0913, PLR0917 # one argument for each option of the command
    item: Annotated[
        str, typer.Argument(help="The item: tenant/kind/id, kind/id of the tenant default, or only its id.")
    ],
    at: Annotated[
        str | None,
        typer.Option(
            "--at", "--until", help="As of when, RFC 3339: only events with a time up to it count. Default: now."
        ),
    ] = None,
    events: Annotated[
        Path | None,
        typer.Option(help="Take the item's events from this file (JSON Lines, gzip allowed), not from the database."),
    ] = None,
    policies: Annotated[
        Path | None, typer.Option(help="With --events: a policy file, or a folder of them that make one set.")
    ] = None,
    statuses: StatusesOption = None,
    clock: Annotated[
        str | None, typer.Option(help="Only the clocks of this metric, or one of them: METRIC or METRIC#CYCLE.")
    ] = None,
    form: Annotated[Format, typer.Option("--format", help="A timeline for people, or everything as JSON.")] = "text",
) -> None:
    """Explain every clock of an item: which policy, what counted and what did not, why it is due when it is due.

    Without --events it needs DATABASE_URL, or a `./plazo run` in the same folder.

    \b
    Example:
      ./plazo explain ticket/42 --policies deploy/local/policies.yaml --events docs/examples/events.jsonl \\
      --at 2026-01-08T00:00:00Z
    """
    if (events is None) != (policies is None):
        raise typer.BadParameter("--events and --policies belong together")
    instant_asked = None if at is None else given("--at", at)
    if events is not None and policies is not None:
        found = _from_files(item, events, policies, at=instant_asked, table=status_table(statuses))
    else:
        configure("critical", "console", sys.stderr)  # what went wrong is told in one sentence
        found = on_database(partial(_from_database, item=item, at=instant_asked))
    _FORMATS[form](found if clock is None else _only(found, clock), sys.stdout)


def _only(found: Explanation, clock: str) -> Explanation:
    chosen = [each for each in found.clocks if clock in (each.clock.metric, name_of(each.clock))]
    if not chosen:
        names = ", ".join(name_of(each.clock) for each in found.clocks)
        raise typer.BadParameter(f"expected one of {names or 'no clock at all'}", param_hint="--clock")
    return replace(found, clocks=chosen)


def _from_files(item: str, events: Path, policies: Path, *, at: Instant | None, table: StatusTable) -> Explanation:
    rulebook = Rulebook(((0, load(read_texts(policies))),))
    keys = _keys(item)
    histories: dict[str, list[Event]] = defaultdict(list)
    for event in read_events(events, table):
        if event.item in keys or event.subject == item:
            histories[event.item].append(event)
    if len(histories) != 1:
        raise BadDocument([Problem(str(events), 1, "", _not_one(item, list(histories)))])
    ((key, history),) = histories.items()
    return explain(key, history, rulebook, instant(datetime.now(UTC)) if at is None else at)


async def _from_database(database: Database, item: str, at: Instant | None) -> Explanation:
    explainer = Explainer(database)
    found = [each for key in _keys(item) if (each := await explainer.explain(key, at)) is not None]
    if len(found) != 1:
        raise Refused(_not_one(item, [each.item for each in found]))
    return found[0]


def _keys(item: str) -> list[str]:
    """The keys that a name can mean: in full, of the tenant `default`, or of any kind."""
    parts = item.split("/", 2)
    if len(parts) == 3 and parts[1] in _KINDS:
        return [item]
    if parts[0] in _KINDS and len(parts) > 1:
        return [f"default/{item}"]
    return [f"default/{kind}/{item}" for kind in _KINDS]


def _not_one(item: str, keys: list[str]) -> str:
    if keys:
        return f"several items are called {item}: expected one of {', '.join(sorted(keys))}"
    return f"there is no item {item}: expected tenant/kind/id, like default/ticket/{item.rpartition('/')[2]}"


def _write_text(found: Explanation, sink: TextIO) -> None:
    console = Console(file=sink, highlight=False, markup=False, width=None if sink.isatty() else _FILE_WIDTH)
    with console.capture() as capture:
        console.print(explained(found))
    sink.writelines(line.rstrip() + "\n" for line in capture.get().splitlines())


def _write_json(found: Explanation, sink: TextIO) -> None:
    sink.write(explanation_view(found).model_dump_json(indent=2) + "\n")


_FORMATS: Final[Mapping[Format, Callable[[Explanation, TextIO], None]]] = {"text": _write_text, "json": _write_json}
