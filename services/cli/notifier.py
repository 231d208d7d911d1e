"""`./plazo notifier`: runs the notifier as a process of its own."""

from __future__ import annotations

import os

import typer

from services.notifier.__main__ import main


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("notifier")(notifier)


def notifier() -> None:
    """Read breaches, choose who hears of each, and deliver.

    Its settings are environment variables.

    \b
    Example:
      KAFKA_BOOTSTRAP=localhost:9092 DATABASE_URL=postgresql://plazo@localhost/plazo \\
      NOTIFY_ROUTES=deploy/local/notify.yaml ./plazo notifier
    """
    raise typer.Exit(main(os.environ))
