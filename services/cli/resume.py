"""`./plazo resume`: has partitions read on whose log does not hold what was to be read next."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Collection
from typing import Annotated, Literal, NamedTuple

import typer

from services.cli.running import surroundings
from services.cli.settings import InstallationSettings
from services.timer.lease_store import LeaseStore
from shared.configuration import load
from shared.db import Database
from shared.errors import Refused
from shared.kafka.connection import Place
from shared.kafka.offsets import Offsets
from shared.logs import configure

Where = Literal["earliest", "latest"]


class Log(NamedTuple):
    """A partition's log, and where the timer wants to read on."""

    partition: int
    next_offset: int | None
    beginning: int
    end: int

    @property
    def is_lost(self) -> bool:
        """Whether it does not hold that place."""
        return self.next_offset is not None and not self.beginning <= self.next_offset <= self.end


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("resume")(resume)


def resume(
    where: Annotated[
        Where | None,
        typer.Option("--from", help="Where to read on: with what the log holds, or with what comes."),
    ] = None,
    partition: Annotated[
        list[int] | None,
        typer.Option(help="Only this one, and also if nothing seems to be lost; may be given several times."),
    ] = None,
) -> None:
    """Show the partitions of sla.events.v1 whose log does not hold what was to be read next; with --from, read them on.

    What was lost is lost: a clock that was open by then may have ended in it, so what is told of it from then on says
    `late_evidence_possible: true`. Running timers take the new place at once. Ends with status 1 while partitions are
    not read. It needs KAFKA_BOOTSTRAP and DATABASE_URL.

    \b
    Example:
      KAFKA_BOOTSTRAP=localhost:9092 DATABASE_URL=postgresql://plazo@localhost/plazo ./plazo resume --from earliest
    """
    configure("critical", "console", sys.stderr)  # what went wrong is told in one sentence
    left = asyncio.run(_resume(load(InstallationSettings, surroundings(os.environ)), where, frozenset(partition or ())))
    raise typer.Exit(1 if left else 0)


async def _resume(settings: InstallationSettings, where: Where | None, chosen: Collection[int]) -> int:
    database = Database(settings.database_url.get_secret_value(), size=1)
    brokers, store = Offsets(settings.connection, "resume"), LeaseStore(database)
    try:
        logs = await _logs(store, brokers, settings.topics.events)
        unknown = sorted(set(chosen) - {log.partition for log in logs})
        if unknown:
            raise Refused(f"--partition: expected one of 0 to {len(logs) - 1}, got {', '.join(map(str, unknown))}")
        wanted = [log for log in logs if (log.partition in chosen if chosen else log.is_lost)]
        for log in wanted:
            typer.echo(f"partition {log.partition}: next {log.next_offset}, the log holds {log.beginning} to {log.end}")
            if where is not None:
                await store.resume(log.partition, log.beginning if where == "earliest" else log.end)
    finally:
        await brokers.stop()
        await database.close()
    done = "are read on" if where else "are not read"
    typer.echo(f"{len(wanted)} partitions {done}." if wanted else "Nothing is lost.")
    return 0 if where else sum(log.is_lost for log in wanted)


async def _logs(store: LeaseStore, brokers: Offsets, topic: str) -> list[Log]:
    leases = await store.leases()
    places = [Place(topic, lease.partition) for lease in leases]
    beginnings, ends = await brokers.beginnings(places), await brokers.ends(places)
    return [
        Log(lease.partition, lease.next_offset, beginnings[place], ends[place])
        for lease, place in zip(leases, places, strict=True)
    ]
