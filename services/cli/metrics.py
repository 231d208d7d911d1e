"""`./plazo metrics`: the built-in metrics, to be read and copied."""

from __future__ import annotations

import typer

from services.timer.metric_file import built_in_text


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("metrics")(metrics)


def metrics() -> None:
    """Show the built-in metrics, in the language in which policy files add others under `metrics:`.

    \b
    Example:
      ./plazo metrics > metrics.yaml
    """
    typer.echo(built_in_text(), nl=False)
