"""`./plazo timer`: runs the timer as a process of its own."""

from __future__ import annotations

import os

import typer

from services.timer.__main__ import main


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("timer")(timer)


def timer() -> None:
    """Hold the clocks of every item, and publish what happens to them.

    Several processes share the partitions; each needs a name of its own. Its settings are environment variables.

    \b
    Example:
      KAFKA_BOOTSTRAP=localhost:9092 DATABASE_URL=postgresql://plazo@localhost/plazo \\
      POLICIES=deploy/local/policies.yaml INSTANCE=timer-1 HTTP_PORT=8081 ./plazo timer
    """
    raise typer.Exit(main(os.environ))
