"""`./plazo parked`: shows the records that the brokers did not take, and sends them once they would."""

from __future__ import annotations

import asyncio
import os
import sys
from typing import Annotated, Final

import typer

from services.cli.running import surroundings
from services.cli.settings import InstallationSettings
from services.timer.parked_store import ParkedRow, ParkedStore
from services.timer.write_set import unpack_headers
from shared.configuration import load
from shared.db import Database
from shared.errors import TooLarge
from shared.kafka.connection import Outgoing
from shared.kafka.producer import Producer
from shared.logs import configure

_MOST: Final = 1_000  # records looked at in one call


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("parked")(parked)


def parked(
    send: Annotated[bool, typer.Option("--send", help="Send them to their topics, and forget what arrived.")] = False,
) -> None:
    """Show the records that the brokers did not take, and why; with --send, send them once the reason is gone.

    They keep their ids: whoever has heard of one already drops the repeat. Ends with status 1 while some are parked.
    It needs KAFKA_BOOTSTRAP and DATABASE_URL.

    \b
    Example:
      KAFKA_BOOTSTRAP=localhost:9092 DATABASE_URL=postgresql://plazo@localhost/plazo ./plazo parked --send
    """
    configure("critical", "console", sys.stderr)  # what went wrong is told in one sentence
    left = asyncio.run(_parked(load(InstallationSettings, surroundings(os.environ)), send=send))
    raise typer.Exit(1 if left else 0)


async def _parked(settings: InstallationSettings, *, send: bool) -> int:
    database = Database(settings.database_url.get_secret_value(), size=1)
    store, producer = ParkedStore(database), Producer(settings.connection, "parked")
    try:
        found = await store.parked(_MOST)
        if send and found:
            await producer.start()
            found = await _sent(found, store, producer)
    finally:
        await producer.stop()
        await database.close()
    for row, reason in found:
        typer.echo(f"{row.topic}  {row.key.decode(errors='replace')}  {len(row.value or b'')} bytes  {reason}")
    typer.echo(f"{len(found)} records are parked." if len(found) < _MOST else f"{_MOST} or more records are parked.")
    return len(found)


async def _sent(found: list[ParkedRow], store: ParkedStore, producer: Producer) -> list[ParkedRow]:
    """Send records one by one, in order; what is still too large."""
    left = []
    for each in found:
        row = each.row
        try:
            await producer.send(row.topic, [Outgoing(row.key, row.value, unpack_headers(row.headers))])
        except TooLarge as exc:
            left.append(ParkedRow(row, str(exc)))
        else:
            await store.forget([row])
    return left
