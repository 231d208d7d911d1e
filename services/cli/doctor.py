"""`./plazo doctor`: looks at everything that Plazo depends on, and says what to do."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, TypeVar

import msgspec
import typer
from pydantic_settings import BaseSettings
from rich.table import Table
from rich.text import Text

from services.cli import checks
from services.cli.checks import Finding
from services.cli.files import read_text, read_texts
from services.cli.instants import present
from services.cli.notify_file import read_notify
from services.cli.output import console
from services.cli.running import surroundings
from services.cli.settings import DatabaseSettings
from services.cli.topics_file import PATH, read
from services.timer.lease_store import LeaseStore
from services.timer.policy_file import load as load_policies
from services.timer.query_store import QueryStore
from shared.configuration import CommonSettings, load
from shared.db import Database, newest_revision
from shared.errors import BadDocument, PlazoError, Refused
from shared.events import instant
from shared.kafka.admin import Admin
from shared.logs import configure
from shared.version import TZDATA

Settings = TypeVar("Settings", bound=BaseSettings)


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("doctor")(doctor)


def doctor(
    json: Annotated[bool, typer.Option("--json", help="The findings as JSON, for a program.")] = False,
    topics: Annotated[Path, typer.Option(help="What the topics should be like.")] = PATH,
) -> None:
    """Look at Kafka, PostgreSQL, topics, clocks, time zones and files; each is ok, or it says what to do.

    Its settings are those of the services. Ends with status 1 unless everything is ok.

    \b
    Example:
      KAFKA_BOOTSTRAP=localhost:9092 DATABASE_URL=postgresql://plazo@localhost/plazo \\
      POLICIES=deploy/local/policies.yaml NOTIFY_ROUTES=deploy/local/notify.yaml ./plazo doctor
    """
    configure("critical", "console", sys.stderr)  # what went wrong stands in the findings
    findings = asyncio.run(_examine(surroundings(os.environ), topics))
    _print_json(findings) if json else _print_table(findings)
    raise typer.Exit(0 if all(finding.ok for finding in findings) else 1)


async def _examine(environment: Mapping[str, str], topics: Path) -> list[Finding]:
    partitions, kafka = await _kafka(environment, topics)
    return [
        *kafka,
        *await _database(environment, partitions),
        checks.time_zones_finding(TZDATA, datetime.now(UTC).date()),
        _file("policies", environment.get("POLICIES"), _load_policies),
        _file("routes", environment.get("NOTIFY_ROUTES"), read_notify),
    ]


async def _kafka(environment: Mapping[str, str], path: Path) -> tuple[tuple[str, int] | None, list[Finding]]:
    """(the events topic and its partitions, None when unknown; what was found)."""
    settings, trouble = _loaded(CommonSettings, environment, "kafka")
    if settings is None:
        return None, [trouble]
    admin = Admin(settings.connection)
    try:
        wanted = read(read_text(path), str(path), settings.topic_prefix)
        await admin.start()
        cluster, there = await admin.cluster(), await admin.partitions()
        told = await admin.settings([topic for topic in wanted if topic in there], ["cleanup.policy", "retention.ms"])
    except BadDocument as exc:
        return None, [checks.document_finding("topics", exc)]
    except PlazoError as exc:
        return None, [Finding("kafka", str(exc), "start it, or set KAFKA_BOOTSTRAP to where it is")]
    finally:
        await admin.stop()
    found = Finding("kafka", f"{settings.kafka_bootstrap}, cluster {cluster.id}, brokers: {cluster.brokers}")
    upstream = checks.upstream_findings([each.topic for each in settings.upstream_topics], there)
    events = settings.topics.events
    return (events, there.get(events, 0)), [found, *checks.topic_findings(wanted, there, told), *upstream]


async def _database(environment: Mapping[str, str], partitions: tuple[str, int] | None) -> list[Finding]:
    settings, trouble = _loaded(DatabaseSettings, environment, "postgresql")
    if settings is None:
        return [trouble]
    try:
        database = Database(settings.database_url.get_secret_value())
    except Refused as exc:
        return [Finding("postgresql", str(exc), "set DATABASE_URL to where it is")]
    found: list[Finding] = []
    try:
        await _about_database(database, partitions, found)
    except PlazoError as exc:
        found.append(Finding("postgresql", str(exc), "start it, or set DATABASE_URL to where it is"))
    finally:
        await database.close()
    return found


async def _about_database(database: Database, partitions: tuple[str, int] | None, found: list[Finding]) -> None:
    revision = await database.revision()
    url = database.url
    found.append(Finding("postgresql", f"{url.host}:{url.port or 5432}/{url.database}"))
    tables = checks.revision_finding(revision, newest_revision())
    found += [tables, checks.clock_finding(await _clock_offset(LeaseStore(database).now))]
    if tables.ok and partitions is not None:
        found.append(checks.partitions_finding(*partitions, await QueryStore(database).partitions()))


async def _clock_offset(there: Callable[[], Awaitable[int]]) -> int:
    # The second answer comes over an open connection, so half of its way there and back is short.
    await there()
    before = present()
    answer = await there()
    after = present()
    return (before + after) // 2 - answer


def _loaded(kind: type[Settings], environment: Mapping[str, str], name: str) -> tuple[Settings | None, Finding]:
    try:
        return load(kind, environment), Finding(name, "")
    except Refused as exc:
        return None, Finding(name, " ".join(str(exc).split()), "set it, or start `./plazo run` in this folder")


def _file(name: str, path: str | None, check: Callable[[Path], Any]) -> Finding:
    variable = {"policies": "POLICIES", "routes": "NOTIFY_ROUTES"}[name]
    if path is None:
        return Finding(name, f"{variable} is not set", f"set {variable} to the file")
    try:
        check(Path(path))
    except BadDocument as exc:
        return checks.document_finding(name, exc)
    return Finding(name, path)


def _load_policies(path: Path) -> None:
    load_policies(read_texts(path), now=instant(datetime.now(UTC)))


def _print_json(findings: list[Finding]) -> None:
    rows = [{"name": each.name, "ok": each.ok, "found": each.found, "advice": each.advice} for each in findings]
    typer.echo(msgspec.json.format(msgspec.json.encode(rows)).decode())


def _print_table(findings: list[Finding]) -> None:
    table = Table(box=None, pad_edge=False, show_header=False)
    for each in findings:
        mark, style = ("ok", "green") if each.ok else ("!!", "bold red")
        told = each.found if each.ok else f"{each.found}\n→ {each.advice}"
        table.add_row(Text(mark, style), Text(each.name), Text(told))  # as texts, because they may hold brackets
    console().print(table)
