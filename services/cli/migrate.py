"""`./plazo migrate`: sets an installation up, and brings it to what this version needs."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from services.cli.files import read_text
from services.cli.installation import install_tables, install_topics
from services.cli.running import surroundings
from services.cli.settings import DatabaseSettings, InstallationSettings
from services.cli.topics_file import PATH, read
from shared.configuration import load
from shared.db import Database
from shared.kafka.admin import Admin
from shared.logs import configure


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("migrate")(migrate)


def migrate(
    topics: Annotated[Path, typer.Option(help="The topics that should be there.")] = PATH,
    database_only: Annotated[
        bool, typer.Option("--database-only", help="Leave Kafka alone; others create the topics.")
    ] = False,
) -> None:
    """Bring the database's tables to this version, and create the topics that are missing.

    Done again, it changes nothing. Topics that exist stay as they are; `./plazo doctor` tells what differs. It needs
    KAFKA_BOOTSTRAP and DATABASE_URL.

    \b
    Example:
      KAFKA_BOOTSTRAP=localhost:9092 DATABASE_URL=postgresql://plazo@localhost/plazo ./plazo migrate
    """
    configure("critical", "console", sys.stderr)  # what went wrong is told in one sentence
    environment = surroundings(os.environ)
    if database_only:
        asyncio.run(_tables(load(DatabaseSettings, environment).database_url.get_secret_value()))
    else:
        asyncio.run(_everything(load(InstallationSettings, environment), topics))


async def _tables(url: str) -> None:
    database = Database(url)
    try:
        await install_tables(database)
        typer.echo(f"The database is at revision {await database.revision()}.")
    finally:
        await database.close()


async def _everything(settings: InstallationSettings, path: Path) -> None:
    url = settings.database_url.get_secret_value()
    wanted = read(read_text(path), str(path), settings.topic_prefix)
    brokers, database = Admin(settings.connection), Database(url)
    try:
        await brokers.start()
        await _tables(url)
        created = await install_topics(brokers, database, wanted, settings.topics.events)
    finally:
        await brokers.stop()
        await database.close()
    for topic in created:
        typer.echo(f"Created {topic.name} with {topic.partitions} partitions, {topic.replicas} replicas.")
    if not created:
        typer.echo("All topics are there.")
