"""`./plazo run`: the whole system on this machine, until Ctrl-C."""

from __future__ import annotations

import gc
import os
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from types import FrameType
from typing import Annotated, Final

import typer

from services.cli.running import FOLDER
from shared.version import VERSION

_LOCAL: Final = Path(__file__).resolve().parents[2] / "deploy" / "local"
_OWN_MACHINE: Final = {"WEBHOOK_ALLOW": "127.0.0.0/8,::1,localhost"}  # who tries things out has receivers here


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("run")(run)


def run(
    port: Annotated[
        int, typer.Option(envvar="HTTP_PORT", min=0, max=65535, help="Of the HTTP side; 0 takes a free one.")
    ] = 8080,
    folder: Annotated[Path, typer.Option(help="Where data and logs are kept.")] = FOLDER,
    policies: Annotated[
        Path | None,
        typer.Option(envvar="POLICIES", help="A policy file or a folder of them; without it, that of the traffic."),
    ] = None,
    routes: Annotated[Path, typer.Option(envvar="NOTIFY_ROUTES", help="Who hears of what: a notify.yaml.")] = _LOCAL
    / "notify.yaml",
    traffic: Annotated[
        bool | None,
        typer.Option(
            "--traffic/--no-traffic", help="Whether a made-up support desk sends events; not to a Kafka of your own."
        ),
    ] = None,
) -> None:
    """Run ingest, timer and notifier in one process, with everything that they need, until Ctrl-C.

    Without KAFKA_BOOTSTRAP it brings a broker along, whose topics live in memory; without DATABASE_URL a PostgreSQL,
    whose data stay in the folder.

    \b
    Example:
      ./plazo run --port 8080
      KAFKA_BOOTSTRAP=localhost:9092 UPSTREAM_TOPICS=helpdesk.tickets ./plazo run \\
      --policies deploy/local/policies.yaml
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _leave)
    own = os.environ.get("KAFKA_BOOTSTRAP") or os.environ.get("KAFKA_BOOTSTRAP_FILE")
    busy = not own if traffic is None else traffic
    chosen = policies or _LOCAL / ("demo_policies.yaml" if busy else "policies.yaml")
    typer.echo(_first_line(own))
    own_machine = {} if "WEBHOOK_ALLOW_FILE" in os.environ else _OWN_MACHINE
    environment = {**own_machine, **os.environ, "POLICIES": str(chosen), "NOTIFY_ROUTES": str(routes)}
    raise typer.Exit(_run(environment, port, folder, busy=busy))


def _run(environment: Mapping[str, str], port: int, folder: Path, *, busy: bool) -> int:
    # Imported here, because all of it takes a second or two, in which the first line stands on screen already. What is
    # imported stays, so looking for garbage among it is a sixth of that time, and finds none.
    gc.disable()
    from services.cli.all_in_one import Plan, main  # noqa: PLC0415
    from services.cli.folder import claimed  # noqa: PLC0415
    from services.cli.terminal import Terminal  # noqa: PLC0415
    from shared.configuration import load  # noqa: PLC0415
    from shared.http_settings import HttpSettings  # noqa: PLC0415
    from shared.web import listen  # noqa: PLC0415

    sock = listen(load(HttpSettings, {**environment, "HTTP_PORT": str(port)}))
    with sock, claimed(folder) as log:
        return main(Plan(environment, folder, sock, busy), log, Terminal())


def _first_line(own: str | None) -> str:
    if own:
        return f"Plazo {VERSION} on a Kafka of your own."
    return f"Plazo {VERSION}. The embedded Kafka broker keeps its topics in memory: each start begins with empty ones."


def _leave(_number: int, _frame: FrameType | None) -> None:
    # Nothing is started yet; later, the event loop takes the signals.
    sys.exit(0)
