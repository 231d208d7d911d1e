"""`./plazo receivers`: shows the receivers that are disabled, and enables one again."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable
from typing import Annotated, TypeVar

import typer

from services.cli.on_database import on_database
from services.notifier.endpoint_store import EndpointStore
from shared.errors import Refused
from shared.events import rfc3339
from shared.logs import configure

Result = TypeVar("Result")


def register(app: typer.Typer) -> None:
    """Add the command."""
    receivers = typer.Typer(no_args_is_help=True, rich_markup_mode=None)
    app.add_typer(receivers, name="receivers")
    receivers.callback()(_receivers)
    receivers.command("list")(show)
    receivers.command("enable")(enable)


def _receivers() -> None:
    """Show the receivers that said that they are no more, and enable one again.

    \b
    Example:
      ./plazo receivers list
      ./plazo receivers enable on-call
    """


def show() -> None:
    """Show the receivers that are disabled, why, and how much waits for each.

    Ends with status 1 while there are any. It needs DATABASE_URL.

    \b
    Example:
      ./plazo receivers list
    """
    raise typer.Exit(1 if _with_store(_listed) else 0)


def enable(receiver: Annotated[str, typer.Argument(help="Its name in notify.yaml.")]) -> None:
    """Send to a receiver again; what waits for it follows within seconds.

    \b
    Example:
      ./plazo receivers enable on-call
    """

    async def enabled(store: EndpointStore) -> bool:
        return await store.enable(receiver)

    if not _with_store(enabled):
        raise Refused(f"No receiver {receiver} is disabled; `./plazo receivers list` shows those that are.")
    typer.echo(f"{receiver} is enabled.")


async def _listed(store: EndpointStore) -> int:
    known = await store.disabled()
    waiting = await store.waiting([each.receiver for each in known]) if known else {}
    for each in known:
        count = waiting.get(each.receiver, 0)
        typer.echo(f"{each.receiver}  since {rfc3339(each.at)}  {each.reason}  ({count} deliveries wait)")
    typer.echo("1 receiver is disabled." if len(known) == 1 else f"{len(known)} receivers are disabled.")
    return len(known)


def _with_store(work: Callable[[EndpointStore], Awaitable[Result]]) -> Result:
    configure("critical", "console", sys.stderr)  # what went wrong is told in one sentence
    return on_database(lambda database: work(EndpointStore(database)))
