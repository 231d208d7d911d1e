"""What a migration would do, shown: a line for each clock that changes, and the sum of it. PURE."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, Literal, Protocol, TextIO, get_args

import msgspec
from rich.console import Console
from rich.table import Table

from services.cli.backtest import harmless
from services.timer.clock import Clock
from services.timer.migration import Change, Effect, Foreseen
from services.timer.migration_store import Progress
from shared.events import rfc3339, rfc3339_or_none, seconds

Format = Literal["table", "jsonl", "csv"]
MOST_ROWS: Final = 1_000  # of a table, which is laid out as a whole and so kept in memory
_ENCODER: Final = msgspec.json.Encoder()
_FIELDS: Final[Mapping[str, Callable[[Clock], Any]]] = {
    "policy": lambda clock: clock.policy,
    "version": lambda clock: clock.version,
    "state": lambda clock: clock.state,
    "target_s": lambda clock: seconds(clock.target),
    "due_at": lambda clock: rfc3339_or_none(clock.due_at),
    "breached_at": lambda clock: rfc3339_or_none(clock.breached_at),
}
_COLUMNS: Final = (
    "item",
    "metric",
    "cycle",
    "effect",
    *(f"{name}_{end}" for name in _FIELDS for end in ("from", "to")),
)
_WORDS: Final[Mapping[Effect, str]] = {
    "breaches": "breach by it",
    "breaches_otherwise": "breach otherwise",
    "taken_back": "taken back",
    "moves": "move",
    "cancelled": "cancelled",
    "begins": "begin",
    "goes": "go",
    "same_terms": "keep their terms",
}


class Sink(Protocol):
    """Where changes are shown."""

    def show(self, foreseen: Foreseen) -> None:
        """Show what changes of one item."""

    def end(self) -> None:
        """Show what was kept back."""


def sink_of(form: Format, output: TextIO) -> Sink:
    """What shows changes in a format."""
    match form:
        case "table":
            return _TableSink(output)
        case "jsonl":
            return _JsonSink(output)
        case "csv":
            return _CsvSink(output)


def rows(foreseen: Foreseen) -> Iterator[dict[str, Any]]:
    """One object for each clock that changes; times are RFC 3339 in UTC, null where there is nothing."""
    for change in foreseen.changes:
        clock = _present(change)
        row = {"item": foreseen.item, "metric": clock.metric, "cycle": clock.number, "effect": change.effect}
        for name, read in _FIELDS.items():
            row[f"{name}_from"] = None if change.before is None else read(change.before)
            row[f"{name}_to"] = None if change.after is None else read(change.after)
        yield row


def summary(counts: Mapping[str, int]) -> str:
    """How many items were looked at, how many change, and what becomes of their clocks."""
    effects = [f"{counts[effect]} {_WORDS[effect]}" for effect in get_args(Effect) if counts.get(effect)]
    told = f"{counts.get('items', 0)} items looked at, {counts.get('events', 0)} change"
    clocks = f"; of their clocks {', '.join(effects)}" if effects else ""
    aside = counts.get("quarantined", 0)
    return f"{told}{clocks}" + (f"; {aside} quarantined items are left alone" if aside else "")


def record(progress: Progress) -> dict[str, Any]:
    """A migration as an object: who decided what, why and when, how far it has come, and what it did."""
    migration = progress.migration
    return {
        "id": str(migration.id),
        "state": _state(progress),
        "at": rfc3339(migration.at),
        "version": migration.version,
        "by": migration.by,
        "reason": migration.reason,
        "tenant": progress.selection.tenant,
        "kind": progress.selection.kind,
        "policy": progress.selection.policy,
        "started_at": progress.started_at.isoformat(),
        "finished_at": None if progress.finished_at is None else progress.finished_at.isoformat(),
        "counts": dict(progress.counts),
    }


def show_records(found: list[Progress], form: Format, output: TextIO) -> None:
    """Show migrations in a format."""
    records = [record(progress) for progress in found]
    if form == "jsonl":
        output.writelines(_ENCODER.encode(each).decode() + "\n" for each in records)
        return
    flat = [{**each, "counts": summary(each["counts"])} for each in records]
    names = list(flat[0]) if flat else ["id"]
    if form == "csv":
        writer = csv.DictWriter(output, names, lineterminator="\n")
        writer.writeheader()
        writer.writerows({name: harmless(value) for name, value in each.items()} for each in flat)
    else:
        _print_table(names, flat, output)


def _state(progress: Progress) -> str:
    if progress.finished_at is None:
        return "unfinished"
    return "abandoned" if progress.abandoned else "done"


class _JsonSink:
    def __init__(self, output: TextIO) -> None:
        self._output = output

    def show(self, foreseen: Foreseen) -> None:
        self._output.writelines(_ENCODER.encode(row).decode() + "\n" for row in rows(foreseen))

    def end(self) -> None:
        self._output.flush()


class _CsvSink:
    def __init__(self, output: TextIO) -> None:
        self._writer = csv.DictWriter(output, _COLUMNS, lineterminator="\n")
        self._writer.writeheader()

    def show(self, foreseen: Foreseen) -> None:
        self._writer.writerows({name: harmless(value) for name, value in row.items()} for row in rows(foreseen))

    def end(self) -> None:
        """Nothing is kept back."""


class _TableSink:
    def __init__(self, output: TextIO) -> None:
        self._output = output
        self._rows: list[dict[str, Any]] = []
        self._more = 0

    def show(self, foreseen: Foreseen) -> None:
        for row in rows(foreseen):
            if len(self._rows) < MOST_ROWS:
                self._rows.append(_short(row))
            else:
                self._more += 1

    def end(self) -> None:
        if self._rows:
            _print_table(list(self._rows[0]), self._rows, self._output)
        if self._more:
            self._output.write(f"… and {self._more} more: --format jsonl or csv shows all of them\n")


def _short(row: Mapping[str, Any]) -> dict[str, Any]:
    pairs = {name: _pair(row[f"{name}_from"], row[f"{name}_to"]) for name in _FIELDS}
    return {**{name: row[name] for name in ("item", "metric", "cycle", "effect")}, **pairs}


def _pair(before: Any, after: Any) -> Any:
    return after if before == after else f"{'–' if before is None else before} → {'–' if after is None else after}"


def _print_table(names: list[str], found: list[dict[str, Any]], output: TextIO) -> None:
    table = Table(*names, box=None, pad_edge=False)
    for row in found:
        table.add_row(*("" if value is None else str(value) for value in row.values()))
    # Tables that go into a file are not cut to the width of some terminal.
    Console(file=output, markup=False, width=None if output.isatty() else 400).print(table)


def _present(change: Change) -> Clock:
    clock = change.after or change.before
    if clock is None:
        raise ValueError("a change is of some clock")
    return clock
