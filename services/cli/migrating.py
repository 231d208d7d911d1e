"""Foreseeing a migration, carrying it out, taking it up again, and waiting until the timer has folded it."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from uuid import UUID

from rich.console import Console
from rich.progress import BarColumn, TextColumn
from rich.progress import Progress as Bar

from services.cli.files import read_texts
from services.cli.moved import Sink
from services.cli.settings import InstallationSettings
from services.timer.lease_store import LeaseStore
from services.timer.migration import Migration, Selection
from services.timer.migration_store import START, MigrationStore, Progress
from services.timer.migrator import Migrator
from services.timer.policy_file import load
from services.timer.policy_versions import PolicyVersions
from services.timer.rulebook import Rulebook
from shared.db import Database
from shared.errors import Refused
from shared.events import SECOND, Instant
from shared.kafka.connection import Place
from shared.kafka.offsets import Offsets
from shared.kafka.producer import Producer
from shared.lifecycle import pause

_CLIENT: Final = "migrate-policies"
LOOK_S: Final = 0.2  # between two looks at how far the timer is


@dataclass(frozen=True, slots=True)
class Wish:
    """What was asked for on the command line."""

    to: str | None  # a version, or the beginning of one; None: the newest
    policies: Path | None  # files in its place
    recount_only: bool
    selection: Selection
    page: int  # items read at once


@dataclass(frozen=True, slots=True)
class Decision:
    """Who wants it, and why."""

    id: UUID
    reason: str
    by: str


@dataclass(frozen=True, slots=True)
class Office:
    """The database of an installation, and what it knows of policies."""

    store: MigrationStore
    rulebook: Rulebook
    now: Instant


@asynccontextmanager
async def office(database: Database) -> AsyncIterator[Office]:
    """The installation of a database, as it is now.

    Raises:
        Unavailable: the database does not answer, or no policies are registered.
    """
    leases = LeaseStore(database)
    try:
        versions = PolicyVersions(leases)
        await versions.look()
        yield Office(MigrationStore(database), versions.rulebook(), await leases.now())
    finally:
        await database.close()


async def foresee(here: Office, wish: Wish, decision: Decision, sink: Sink) -> Mapping[str, int]:
    """Show what the migration would change, and return the counts of it."""
    rulebook, migration = _meant(here, wish, decision)
    migrator = Migrator(here.store, rulebook, page=wish.page)
    counts = Counter[str]()
    with _Told(await here.store.item_count()) as told:
        async for looked in migrator.look(migration, wish.selection, START):
            for each in looked.foreseen:
                sink.show(each)
            counts += looked.counts
            told.show(counts)
    sink.end()
    return counts


async def decide(here: Office, wish: Wish, decision: Decision, stop: asyncio.Event) -> Progress:
    """Record a migration, of which nothing is carried out yet; its version is in force by then.

    Raises:
        Refused: its version is not registered, or another migration is not finished.
    """
    _, migration = _meant(here, wish, decision)
    if migration.version is not None and not here.rulebook.knows(migration.version):
        raise Refused(
            f"version {migration.version} of these files is not registered: give them to the timer first (POLICIES)"
        )
    # A version takes effect a few seconds after it was registered, when every process has seen it.
    await pause((migration.at - here.now) / SECOND, stop)
    return await here.store.begin(migration, wish.selection)


async def carry_out(
    here: Office, progress: Progress, settings: InstallationSettings, stop: asyncio.Event, *, page: int
) -> Progress:
    """Send what the migration has still to send, until it is done or *stop* is set; how far it has come."""
    migrator = Migrator(here.store, here.rulebook, page=page)
    offsets, producer = Offsets(settings.connection, _CLIENT), Producer(settings.connection, _CLIENT)
    try:
        await offsets.require([settings.topics.events])
        await producer.start()
        with _Told(await here.store.item_count()) as told:
            async with aclosing(migrator.carry_out(progress, producer, settings.topics.events)) as steps:
                async for reached in steps:
                    progress = reached
                    told.show(progress.counts)
                    if stop.is_set():
                        break
    finally:
        await producer.stop()
        await offsets.stop()
    return progress


async def folded(here: Office, settings: InstallationSettings, stop: asyncio.Event) -> None:
    """Wait until the timer has folded everything that is on the topic of events by now, or *stop* is set."""
    topic = settings.topics.events
    offsets = Offsets(settings.connection, _CLIENT)
    try:
        count = await offsets.partitions(topic)
        ends = await offsets.ends([Place(topic, number) for number in range(count)])
    finally:
        await offsets.stop()
    while not stop.is_set():
        reached = await here.store.positions()
        if all(reached.get(place.partition, 0) >= end for place, end in ends.items()):
            return
        await pause(LOOK_S, stop)


def _meant(here: Office, wish: Wish, decision: Decision) -> tuple[Rulebook, Migration]:
    rulebook, version, since = _target(here, wish)
    at = here.now if since is None else max(here.now, since)
    return rulebook, Migration(decision.id, at, version, decision.reason, decision.by)


def _target(here: Office, wish: Wish) -> tuple[Rulebook, str | None, Instant | None]:
    """(the rulebook with what is meant in it, the version that is meant, from when on it is in force)."""
    if wish.recount_only:
        return here.rulebook, None, None
    if wish.policies is not None:
        made = load(read_texts(wish.policies), now=here.now)
        is_known = here.rulebook.knows(made.version)
        return here.rulebook if is_known else here.rulebook.adding(here.now, made), made.version, None
    versions = here.rulebook.versions
    found = [each for each in versions if each[1].version.startswith(wish.to)] if wish.to else list(versions[-1:])
    if len({policies.version for _, policies in found}) != 1:
        known = ", ".join(dict.fromkeys(policies.version for _, policies in versions))
        raise Refused(f"expected one of the versions {known}, got {wish.to}")
    return here.rulebook, found[0][1].version, min(since for since, _ in found)


class _Told:
    """How many of the items were looked at, and how many change."""

    def __init__(self, items: int) -> None:
        console = Console(stderr=True)
        columns = (TextColumn("{task.fields[told]} items looked at, {task.fields[events]} change"), BarColumn())
        self._bar = Bar(*columns, console=console, disable=not console.is_terminal)
        self._task = self._bar.add_task("", total=items, told=0, events=0)

    def __enter__(self) -> _Told:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def show(self, counts: Mapping[str, int]) -> None:
        """Show how far it is."""
        told = counts.get("items", 0)
        self._bar.update(self._task, completed=told, told=told, events=counts.get("events", 0))
