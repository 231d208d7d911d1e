"""The command line: one subcommand a file in `services/cli/`.

Only the module of the command that is asked for is imported, so that `./plazo hours` does not wait for Kafka's client.
A module has a function `register(app)` that adds its command; one line in COMMANDS makes it known.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Final

import typer

from shared.errors import BadDocument, PlazoError

COMMANDS: Final = {  # name, which is the module's name too -> what it does, for the list of commands
    "replay": "Send recorded events to an upstream topic again, at their own pace, faster, or at once.",
    "doctor": "Look at everything that Plazo depends on; each is ok, or it says what to do.",
    "run": "Run the whole system on this machine, until Ctrl-C.",
    "tail": "Show breaches, warnings and corrections as they are published.",
    "lint": "Check policy files and routes, and find what in them cannot be meant.",
    "backtest": "Run recorded events through policies: what each clock would have done.",
    "hours": "Ask a calendar: add business time, measure it, find the next opening.",
    "ingest": "Run ingest: upstream topics and HTTP in, canonical events out.",
    "timer": "Run the timer: the clocks of every item, and what happens to them.",
    "migrate": "Bring the database to this version and create the topics that are missing.",
    "notifier": "Run the notifier: who hears of each breach, and delivering it.",
}


def command_line(arguments: Sequence[str]) -> typer.Typer:
    """The commands, of which the one named first in *arguments* is ready to run and the others are only listed."""
    app = typer.Typer(
        name="plazo",
        help="Plazo detects SLA breaches the instant they happen.",
        no_args_is_help=True,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
    )
    app.callback()(_no_options)
    for name, purpose in COMMANDS.items():
        if name in arguments[:1]:
            import_module(f"services.cli.{name}").register(app)
        else:
            app.command(name, help=purpose)(_no_options)
    return app


def main() -> None:
    """Run the command that the process was started with."""
    try:
        command_line(sys.argv[1:])(prog_name="plazo")
    except BadDocument as exc:
        _fail(str(exc), status=2)
    except PlazoError as exc:
        _fail(str(exc), status=1)


def _no_options() -> None:
    pass


def _fail(message: str, *, status: int) -> None:
    typer.echo(message, err=True)
    sys.exit(status)


if __name__ == "__main__":
    main()
