"""`./plazo release`: items that were set aside are folded again, with the events that were buried meanwhile."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Collection, Mapping
from typing import Annotated, Final
from uuid import uuid4

import typer

from services.cli.running import load_here
from services.cli.settings import DatabaseSettings, InstallationSettings
from services.cli.user import user
from services.timer.lease_store import LeaseStore
from services.timer.query_store import QueryStore
from shared.db import Database
from shared.deadletters import PREFIX
from shared.errors import Refused
from shared.events import REASON_LENGTH, Event, Instant, Recount
from shared.kafka.connection import Connection, Outgoing, Place, Record
from shared.kafka.offsets import Offsets
from shared.kafka.producer import Producer
from shared.kafka.reader import Reader
from shared.lifecycle import Signals, run
from shared.logs import configure
from shared.recounts import encode_event

SOURCE: Final = "/plazo/release"
_CLIENT: Final = "release"


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("release")(release)


def release(
    items: Annotated[
        list[str] | None, typer.Argument(help="Items, `tenant/kind/id`; none shows which there are.")
    ] = None,
    reason: Annotated[str, typer.Option(help="Why they can be folded now; it is kept with each item.")] = "",
) -> None:
    """Fold items again that were set aside, and with them the events that were buried meanwhile.

    Do it once the cause is mended: an item on which folding fails again is set aside again, and loses nothing. What of
    its events is still among the dead letters is sent to the timer again, in its order; repeats change nothing. It
    needs DATABASE_URL, and to release something KAFKA_BOOTSTRAP too, or a `./plazo run` in the same folder.

    \b
    Example:
      ./plazo release
      ./plazo release default/ticket/42 --reason 'mended in 1.4.1'
    """
    configure("critical", "console", sys.stderr)  # what went wrong is told in one sentence
    if len(reason) > REASON_LENGTH:
        raise typer.BadParameter(f"expected at most {REASON_LENGTH} characters", param_hint="--reason")
    if not items:
        asyncio.run(_list())
        return
    if not reason.strip():
        raise typer.BadParameter("expected why they can be folded now, which is kept for ever", param_hint="--reason")
    settings = load_here(InstallationSettings, os.environ)

    async def main(_signals: Signals) -> None:
        now = await _checked(settings.database_url.get_secret_value(), items)
        buried = await _buried(settings.connection, settings.topics.deadletters, items)
        producer = Producer(settings.connection, _CLIENT)
        try:
            await producer.start()
            for item in items:
                await producer.send(settings.topics.events, [_released(item, now, reason), *buried[item]])
                typer.echo(f"{item}: released, {len(buried[item])} buried events sent again", err=True)
        finally:
            await producer.stop()

    raise typer.Exit(run(main))


async def _list() -> None:
    database = Database(load_here(DatabaseSettings, os.environ).database_url.get_secret_value())
    try:
        found = await QueryStore(database).quarantined()
    finally:
        await database.close()
    for item in found:
        typer.echo(item)
    typer.echo("No item is set aside." if not found else f"{len(found)} set aside.", err=True)


async def _checked(url: str, items: Collection[str]) -> Instant:
    # The present instant, by the installation's clock.
    database = Database(url)
    try:
        there = await QueryStore(database).quarantined()
        if missing := sorted(set(items) - set(there)):
            raise Refused(f"not set aside: {', '.join(missing)} (`./plazo release` shows which items are)")
        return await LeaseStore(database).now()
    finally:
        await database.close()


def _released(item: str, now: Instant, reason: str) -> Outgoing:
    tenant, kind, name = item.split("/", 2)
    key, value, headers = encode_event(
        Event(
            time=now,
            id=str(uuid4()),
            source=SOURCE,
            type=f"{kind}.recounted",
            tenant=tenant,
            kind=kind,  # type: ignore[arg-type]  # the key of an item was made of one
            subject=name,
            recount=Recount(None, reason, user()),
        )
    )
    return Outgoing(key, value, headers)


async def _buried(connection: Connection, topic: str, items: Collection[str]) -> Mapping[str, list[Outgoing]]:
    """The events of each of *items* that the timer buried because the item was set aside, in the order of the topic.

    Raises:
        Unavailable: the brokers do not answer.
    """
    found: dict[str, list[Outgoing]] = {item: [] for item in items}
    keys = {item.encode(): item for item in items}
    offsets, reader = Offsets(connection, _CLIENT), Reader(connection, topic, _CLIENT)
    try:
        await offsets.require([topic])
        places = [Place(topic, number) for number in range(await offsets.partitions(topic))]
        ends = {place.partition: end for place, end in (await offsets.ends(places)).items()}
        await reader.start()
        for place, first in (await offsets.beginnings(places)).items():
            reader.add(place.partition, first)
        while True:
            polled = await reader.poll(200, 10_000)
            for records in polled.values():
                for record in records:
                    item = keys.get(record.key or b"")
                    if item is not None and _was_set_aside(record):
                        found[item].append(_as_it_was(record))
            positions = await reader.positions()
            if all(positions.get(partition, 0) >= end for partition, end in ends.items()):
                return found
    finally:
        await reader.stop()
        await offsets.stop()


def _was_set_aside(letter: Record) -> bool:
    headers = dict(letter.headers)
    return headers.get(f"{PREFIX}stage") == b"timer" and headers.get(f"{PREFIX}reason") == b"quarantined"


def _as_it_was(letter: Record) -> Outgoing:
    headers = [(name, text) for name, text in letter.headers if not name.startswith(PREFIX)]
    return Outgoing(letter.key or b"", letter.value, headers)
