"""`./plazo ingest`: runs ingest as a process of its own."""

from __future__ import annotations

import os

import typer

from services.ingest.__main__ import main


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("ingest")(ingest)


def ingest() -> None:
    """Read the upstream topics, and forward their events keyed by item.

    It takes the same events over HTTP, at `POST /v1/events`. Its settings are environment variables.

    \b
    Example:
      KAFKA_BOOTSTRAP=localhost:9092 UPSTREAM_TOPICS=helpdesk.tickets,pbx.calls:canonical HTTP_PORT=8080 \\
      ./plazo ingest
    """
    raise typer.Exit(main(os.environ))
