"""`./plazo tail`: what happens to clocks and sources, live."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import partial
from typing import Annotated, Final

import msgspec
import typer

from services.cli.following import Start, follow, open_breaches
from services.cli.lines import cloud_event, published_line
from services.cli.running import load_here, runs
from services.cli.terminal import Terminal, drop_output
from shared.breach_records import TYPE_NAMES, PublishedRecord
from shared.configuration import CommonSettings
from shared.events import HEARTBEAT_TENANT
from shared.lifecycle import Signals, run
from shared.logs import configure

_LOOK_S: Final = 0.5
_ENCODER: Final = msgspec.json.Encoder()
_TYPES: Final = {short: full for full, short in TYPE_NAMES.items()}

Show = Callable[[PublishedRecord], None]


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which records are shown."""

    types: frozenset[str] = frozenset()  # full names; none means all
    item: str | None = None  # a pattern with * and ?, of the whole key or of the item's id alone

    def takes(self, record: PublishedRecord) -> bool:
        """Whether *record* is one of them."""
        if self.types and record.type not in self.types:
            return False
        if record.data.tenant == HEARTBEAT_TENANT and HEARTBEAT_TENANT not in (self.item or ""):
            return False  # nobody but who asks for it by its name
        if self.item is None:
            return True
        return fnmatchcase(record.key if "/" in self.item else record.name, self.item)


def wanted_types(names: Sequence[str]) -> frozenset[str]:
    """The types that *names* say, in short (`breached`) or in full (`sla.clock.breached.v1`).

    Raises:
        typer.BadParameter: names one that does not exist.
    """
    found = {_TYPES.get(name, name) for name in names}
    unknown = sorted(found - set(_TYPES.values()))
    if unknown:
        raise typer.BadParameter(f"expected {', '.join(_TYPES)}, got {', '.join(unknown)}", param_hint="--type")
    return frozenset(found)


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("tail")(tail)


def tail(
    json: Annotated[bool, typer.Option("--json", help="One CloudEvent a line, as JSON.")] = False,
    from_beginning: Annotated[
        bool, typer.Option("--from-beginning", help="Begin with what the topic holds already.")
    ] = False,
    types: Annotated[
        list[str] | None,
        typer.Option("--type", help=f"{', '.join(_TYPES)}; may be given several times."),
    ] = None,
    item: Annotated[
        str | None, typer.Option(help="An item's id or its key tenant/kind/id; * and ? stand for anything.")
    ] = None,
) -> None:
    """Show breaches, warnings and corrections as they are published, until Ctrl-C.

    It needs KAFKA_BOOTSTRAP, or a `./plazo run` in the same folder.

    \b
    Example:
      ./plazo tail --type breached --item 'default/ticket/*'
    """
    configure("critical", "console", sys.stderr)  # the client would tell of an outage many times a second
    settings = load_here(CommonSettings, os.environ)
    found = runs() and not {"KAFKA_BOOTSTRAP", "KAFKA_BOOTSTRAP_FILE"} & os.environ.keys()
    wanted = Wanted(wanted_types(types or ()), item)
    show = _show_json if json else partial(_show_line, Terminal())
    start: Start = "beginning" if from_beginning else "end"

    async def main(signals: Signals) -> None:
        reader = await open_breaches(settings.connection, settings.topics.breaches, start)
        watching = asyncio.create_task(_stop_with_the_run(signals.stop)) if found else None
        try:
            await follow(reader, lambda record: show(record) if wanted.takes(record) else None, signals.stop)
        finally:
            if watching:
                watching.cancel()
            await reader.stop()

    try:
        status = run(main)
    except BrokenPipeError:
        drop_output()
        status = 0  # whoever read the lines has seen enough
    raise typer.Exit(status)


async def _stop_with_the_run(stop: asyncio.Event) -> None:
    # The run takes its broker along, and nothing comes from there any more.
    while runs():  # noqa: ASYNC110 # only the lock of its file tells
        await asyncio.sleep(_LOOK_S)
    typer.echo("The `./plazo run` of this folder has ended.", err=True)
    stop.set()


def _show_json(record: PublishedRecord) -> None:
    sys.stdout.write(_ENCODER.encode(cloud_event(record)).decode() + "\n")
    sys.stdout.flush()


def _show_line(console: Terminal, record: PublishedRecord) -> None:
    console.print(published_line(record))
