"""Setting an installation up: its tables, its topics, and the partition count that both agree on for good."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Protocol

from services.cli.topics_file import Topic, missing
from services.timer.lease_store import LeaseStore
from services.timer.query_store import QueryStore
from shared.db import Database, migrate
from shared.errors import Refused, Unavailable
from shared.kafka.admin import Cluster, NewTopic


class Brokers(Protocol):
    """What is needed of a cluster."""

    async def cluster(self) -> Cluster:
        """Who answers."""

    async def partitions(self) -> Mapping[str, int]:
        """topic -> how many partitions it has."""

    async def create(self, topics: Sequence[NewTopic]) -> None:
        """Make topics, and wait until they can be seen."""


async def install_tables(database: Database) -> None:
    """Bring the database's tables to what this program needs; a database that is there already stays as it is.

    Raises:
        Unavailable, Refused: the database does not answer, or refuses a change.
    """
    try:
        await database.check()
    except Unavailable as exc:
        url = database.url
        raise Unavailable(f"PostgreSQL at {url.host}:{url.port or 5432} does not answer: {exc}") from exc
    # The migrations run an event loop of their own, which needs a thread of its own.
    await asyncio.to_thread(migrate, database.url.render_as_string(hide_password=False))


async def install_topics(
    brokers: Brokers, database: Database, wanted: Mapping[str, Topic], events_topic: str
) -> list[NewTopic]:
    """Create the topics that are missing, and freeze the partition count of *events_topic* in the database.

    A topic that exists is never changed; the count of an events topic that somebody else made is taken over. The
    tables must be there.

    Returns:
        What was created.

    Raises:
        Refused: the events topic has another number of partitions than this installation was set up with.
        Unavailable: the brokers or the database did not answer.
    """
    frozen = await QueryStore(database).partitions()
    if frozen:
        wanted = {**wanted, events_topic: wanted[events_topic].model_copy(update={"partitions": frozen})}
    created = missing(wanted, await brokers.partitions(), (await brokers.cluster()).brokers)
    await brokers.create(created)
    there = (await brokers.partitions())[events_topic]
    if frozen and frozen != there:
        raise Refused(
            f"{events_topic} has {there} partitions, and this installation was set up with {frozen}:"
            " changing the number moves items, so it must not"
        )
    await LeaseStore(database).install(there)
    return created
