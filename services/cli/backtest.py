"""`./plazo backtest`: the very functions that the timer runs, under a virtual clock, on a file of events."""

from __future__ import annotations

import csv
import gc
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from operator import attrgetter
from pathlib import Path
from typing import Annotated, Any, Final, Literal, TextIO

import msgspec
import typer
from rich.console import Console
from rich.table import Table

from services.cli.files import decode_line, read_events, read_lines, read_texts
from services.cli.instants import given
from services.cli.statuses import StatusesOption, status_table
from services.ingest.statuses import StatusTable
from services.timer.backtest import Arrival, Row, published, published_of, run
from services.timer.ledger import Output
from services.timer.policy_file import load
from services.timer.rulebook import Rulebook
from shared.errors import BadDocument, Problem
from shared.events import BreachType, Event, Instant, parse_instant, rfc3339, rfc3339_or_none, seconds

Format = Literal["jsonl", "table", "csv"]
_ENCODER: Final = msgspec.json.Encoder()
_COLUMNS: Final = (
    *("item", "metric", "cycle", "policy", "state", "started_at", "due_at", "stopped_at", "breached_at"),
    *("target_s", "elapsed_s", "paused_s"),
)
_TOLD: Final[Mapping[BreachType, str]] = {
    "sla.clock.warning.v1": "warnings",
    "sla.clock.breached.v1": "breaches",
    "sla.breach.stopped.v1": "stopped late",
    "sla.breach.cancelled.v1": "cancelled",
    "sla.breach.retracted.v1": "retractions",
}


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("backtest")(backtest)


def backtest(  # noqa: PLR0913, PLR0917 # one argument for each option of the command
    policies: Annotated[Path, typer.Option(help="A policy file, or a folder of them that make one set.")],
    events: Annotated[
        Path, typer.Option(help="Canonical events, JSON Lines of structured CloudEvents, in any order; gzip allowed.")
    ],
    until: Annotated[str, typer.Option(help="The end of the test, RFC 3339; what happened later does not count.")],
    form: Annotated[Format, typer.Option("--format", help="How the clocks are shown.")] = "jsonl",
    arrival: Annotated[
        str | None,
        typer.Option(help="The field with the time at which each event became known, like data.arrived_at."),
    ] = None,
    outputs: Annotated[Path | None, typer.Option(help="Where to write what would have been published.")] = None,
    statuses: StatusesOption = None,
) -> None:
    """Run recorded events through policies: what each clock would have done.

    Shows one line a clock. With --arrival or --outputs, the number of breaches, retractions and so on that would have
    been published by the end is told on standard error.

    \b
    Example:
      ./plazo backtest --policies deploy/local/policies.yaml --events docs/examples/events.jsonl \\
      --until 2026-01-08T00:00:00Z --format table
    """
    end = given("--until", until)
    rulebook = Rulebook(((0, load(read_texts(policies))),))
    table = status_table(statuses)
    with _without_collecting():
        arrivals = None if arrival is None else _arrivals(events, arrival, end, table)
        known = list(read_events(events, table)) if arrivals is None else [each.event for each in arrivals]
        _FORMATS[form](run(known, rulebook, end), sys.stdout)
        if arrivals is not None or outputs is not None:
            told = _published(known, rulebook, end) if arrivals is None else published_of(arrivals, rulebook, end)
            typer.echo(_summary(told), err=True)
            if outputs is not None:
                _write_outputs(outputs, told)


@contextmanager
def _without_collecting() -> Iterator[None]:
    # Every event stays until the end: looking for garbage among them takes up to a third of the time and finds none.
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def _published(events: list[Event], rulebook: Rulebook, until: Instant) -> list[Output]:
    events.sort(key=attrgetter("order"))
    return published((event for event in events if event.time <= until), rulebook, until)


def _arrivals(path: Path, field: str, until: Instant, table: StatusTable) -> list[Arrival]:
    arrivals = [
        Arrival(_arrived_at(line, field, path, number), table.mapped(event))
        for number, line in read_lines(path)
        if (event := decode_line(line, path, number)).recount is None
    ]
    return sorted((each for each in arrivals if each.at <= until), key=attrgetter("at"))


def _arrived_at(line: bytes, field: str, path: Path, number: int) -> Instant:
    try:
        value = msgspec.json.decode(line)
        for name in field.split("."):
            value = value.get(name) if isinstance(value, dict) else None
        return parse_instant(value if isinstance(value, str) else _ENCODER.encode(value).decode())
    except (ValueError, msgspec.DecodeError, RecursionError) as exc:
        raise BadDocument([Problem(str(path), number, field, str(exc))]) from exc


def shown(row: Row) -> dict[str, Any]:
    """A clock as the object of one line: times as RFC 3339 in UTC, spans as seconds, null where there is nothing."""
    return {
        "item": row.item,
        "metric": row.metric,
        "cycle": row.cycle,
        "policy": row.policy,
        "state": row.state,
        "started_at": rfc3339(row.started_at),
        "due_at": rfc3339_or_none(row.due_at),
        "stopped_at": rfc3339_or_none(row.stopped_at),
        "breached_at": rfc3339_or_none(row.breached_at),
        "target_s": seconds(row.target),
        "elapsed_s": seconds(row.elapsed),
        "paused_s": seconds(row.paused),
    }


def _write_jsonl(rows: list[Row], sink: TextIO) -> None:
    sink.writelines(_ENCODER.encode(shown(row)).decode() + "\n" for row in rows)


def _write_csv(rows: list[Row], sink: TextIO) -> None:
    writer = csv.DictWriter(sink, _COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows({name: harmless(value) for name, value in shown(row).items()} for row in rows)


def harmless(value: Any) -> Any:
    """A value as a cell of a spreadsheet, which shows it and never runs it."""
    # A spreadsheet would run a text that begins like a formula.
    return f"'{value}" if isinstance(value, str) and value.startswith(("=", "+", "-", "@", "\t", "\r")) else value


def _write_table(rows: list[Row], sink: TextIO) -> None:
    table = Table(*_COLUMNS, box=None, pad_edge=False)
    for row in rows:
        table.add_row(*("" if value is None else str(value) for value in shown(row).values()))
    # Tables that go into a file are not cut to the width of some terminal.
    console = Console(file=sink, markup=False, width=None if sink.isatty() else 400)
    console.print(table)


_FORMATS: Final[Mapping[str, Callable[[list[Row], TextIO], None]]] = {
    "jsonl": _write_jsonl,
    "table": _write_table,
    "csv": _write_csv,
}


def _summary(told: list[Output]) -> str:
    counts = Counter(output.type for output in told)
    return ", ".join(f"{counts[kind]} {words}" for kind, words in _TOLD.items())


def _write_outputs(path: Path, told: list[Output]) -> None:
    try:
        with path.open("wb") as sink:
            sink.writelines(_ENCODER.encode(each) + b"\n" for each in _cloud_events(told))
    except OSError as exc:
        raise BadDocument([Problem(str(path), 1, "", f"cannot be written: {exc.strerror}")]) from exc


def _cloud_events(told: list[Output]) -> Iterator[dict[str, Any]]:
    for output in told:
        yield {
            "specversion": "1.0",
            "id": output.event_id,
            "source": "/plazo/timer",
            "type": output.type,
            "subject": output.event.item,
            "time": rfc3339(output.time),
            "tenant": output.event.tenant,
            "datacontenttype": "application/json",
            "data": output.event,
        }
