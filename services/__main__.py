"""The command line: one subcommand a file in `services/cli/`.

Only the module of the command that is asked for is imported, so that `./plazo hours` does not wait for Kafka's client.
A module has a function `register(app)` that adds its command; one line in COMMANDS makes it known.
"""

from __future__ import annotations

import signal
import sys

if __name__ == "__main__":
    # Before the other imports, which take a while. Whoever presses Ctrl-C by then wants no account of it, and has
    # ended `run` as it is meant to end. A command that has more to end takes the signal over.
    signal.signal(signal.SIGINT, lambda *_: sys.exit(0 if sys.argv[1:2] == ["run"] else 130))

from collections.abc import Sequence
from importlib import import_module
from typing import Annotated, Final

import typer

from shared.errors import BadDocument, PlazoError
from shared.version import VERSION

COMMANDS: Final = {  # name, which is the module's name too (with _ for -) -> what it does, for the list of commands
    "run": "Run the whole system on this machine, until Ctrl-C.",
    "tail": "Show breaches, warnings and corrections as they are published.",
    "doctor": "Look at everything that Plazo depends on; each is ok, or it says what to do.",
    "lint": "Check policy files and routes, and find what in them cannot be meant.",
    "routes": "Try the routes of a notify.yaml: who would hear of a breach, when and why.",
    "templates": "Show what each message says, in any language, with your own templates or without.",
    "metrics": "Show the built-in metrics, in the language in which policy files add others.",
    "hours": "Ask a calendar: add business time, measure it, find the next opening.",
    "backtest": "Run recorded events through policies: what each clock would have done.",
    "explain": "Explain every clock of an item: what counted, what did not, and why it is due when it is due.",
    "replay": "Send recorded events to an upstream topic again, at their own pace, faster, or at once.",
    "migrate-policies": "Show what another version of the policies would change for open clocks, and change it.",
    "parked": "Show the records that the brokers did not take, and send them once they would.",
    "resume": "Show the partitions whose log does not hold what was to be read next, and have them read on.",
    "alerts": "Show alerts, acknowledge, snooze and assign them, and send messages again.",
    "keys": "Make, list and revoke the API keys that open the HTTP side.",
    "release": "Fold items again that were set aside, with the events that were buried meanwhile.",
    "receivers": "Show the receivers that said that they are no more, and enable one again.",
    "migrate": "Bring the database to this version and create the topics that are missing.",
    "ingest": "Run ingest: upstream topics and HTTP in, canonical events out.",
    "timer": "Run the timer: the clocks of every item, and what happens to them.",
    "silences": "Make, list and end silences, and show what one would hide.",
    "notifier": "Run the notifier: who hears of each breach, and delivering it.",
}


def command_line(arguments: Sequence[str]) -> typer.Typer:
    """The commands, of which the one named first in *arguments* is ready to run and the others are only listed."""
    app = typer.Typer(
        name="plazo",
        help="Plazo detects SLA breaches the instant they happen.",
        no_args_is_help=True,
        add_completion=False,  # it would complete `plazo`, and what people type is `./plazo`
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
    )
    app.callback()(_anywhere)
    for name, purpose in COMMANDS.items():
        if name in arguments[:1]:
            import_module(f"services.cli.{name.replace('-', '_')}").register(app)
        else:
            app.command(name, help=purpose, short_help=purpose)(_no_options)
    return app


def main() -> None:
    """Run the command that the process was started with."""
    try:
        command_line(sys.argv[1:])(prog_name="plazo")
    except BadDocument as exc:
        _fail(str(exc), status=2)
    except PlazoError as exc:
        _fail(str(exc), status=1)


def _anywhere(
    *,
    version: Annotated[
        bool,
        typer.Option("--version", callback=lambda asked: asked and _tell_version(), help="Show the version and exit."),
    ] = False,
) -> None:
    pass


def _tell_version() -> None:
    typer.echo(f"Plazo {VERSION}")
    raise typer.Exit


def _no_options() -> None:
    pass


def _fail(message: str, *, status: int) -> None:
    typer.echo(message, err=True)
    sys.exit(status)


if __name__ == "__main__":
    main()
