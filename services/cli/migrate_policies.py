"""`./plazo migrate-policies`: open clocks to another version of the policies, first foreseen, then carried out."""

from __future__ import annotations

import asyncio
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated
from uuid import UUID, uuid4

import typer

from services.cli.migrating import Decision, Wish, carry_out, decide, folded, foresee, office
from services.cli.moved import Format, show_records, sink_of, summary
from services.cli.running import load_here
from services.cli.settings import DatabaseSettings, InstallationSettings
from services.cli.user import user
from services.timer.migration import Selection
from services.timer.migration_store import Progress
from services.timer.migrator import PAGE
from shared.db import Database
from shared.errors import Refused
from shared.events import REASON_LENGTH, Kind
from shared.lifecycle import Signals, run
from shared.logs import configure


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("migrate-policies")(migrate_policies)


def migrate_policies(  # noqa: PLR0913, PLR0917 # one argument for each option of the command
    to: Annotated[
        str | None, typer.Option(help="The version to which open clocks move, or its beginning. Default: the newest.")
    ] = None,
    policies: Annotated[
        Path | None, typer.Option(help="Files in place of a version: a policy file, or a folder of them.")
    ] = None,
    recount_only: Annotated[
        bool, typer.Option("--recount-only", help="Every clock keeps its version; exclusions are counted anew.")
    ] = False,
    tenant: Annotated[str | None, typer.Option(help="Only items of this tenant.")] = None,
    kind: Annotated[Kind | None, typer.Option(help="Only items of this kind.")] = None,
    policy: Annotated[str | None, typer.Option(help="Only items with an open clock under this policy.")] = None,
    form: Annotated[Format, typer.Option("--format", help="How changes, or migrations, are shown.")] = "table",
    apply: Annotated[
        bool, typer.Option("--apply", help="Do it. Without this, only what would change is shown.")
    ] = False,
    reason: Annotated[str | None, typer.Option(help="Why, for the record; --apply needs it.")] = None,
    wait: Annotated[bool, typer.Option("--wait", help="Wait until the timer has folded what was sent.")] = False,
    resume: Annotated[UUID | None, typer.Option(help="Go on with a migration that is not finished.")] = None,
    abandon: Annotated[UUID | None, typer.Option(help="Give up the rest of a migration that is not finished.")] = None,
    history: Annotated[bool, typer.Option("--list", help="Show all migrations, the latest first.")] = False,
    page: Annotated[int, typer.Option(min=1, max=10_000, help="Items read at once.")] = PAGE,
) -> None:
    """Show what another version of the policies would change for open clocks, and with --apply change it.

    Shown is a line for each clock that changes: by what it would breach, move, be cancelled or begin, and which
    published breaches would be taken back; also what a change of time zones, holidays or exclusions does. It needs
    DATABASE_URL, and to change something KAFKA_BOOTSTRAP too, or a `./plazo run` in the same folder.

    \b
    Example:
      ./plazo migrate-policies --policies deploy/local/policies.yaml
      ./plazo migrate-policies --apply --reason 'contract 2026' --wait
    """
    configure("critical", "console", sys.stderr)  # what went wrong is told in one sentence
    wish = Wish(to, policies, recount_only, Selection(tenant, kind, policy), page)
    _refuse_contradictions(wish, apply=apply, reason=reason, others=(resume, abandon, history or None))
    if history or abandon is not None:
        asyncio.run(_records(abandon, form))
    elif apply or resume is not None:
        raise typer.Exit(_change(wish, Work(resume, reason or "", wait)))
    else:
        asyncio.run(_preview(wish, form))


@dataclass(frozen=True, slots=True)
class Work:
    """What is to be carried out."""

    resume: UUID | None  # None: a new migration
    reason: str
    wait: bool


def _refuse_contradictions(wish: Wish, *, apply: bool, reason: str | None, others: tuple[object | None, ...]) -> None:
    if sum(each is not None for each in (wish.to, wish.policies, wish.recount_only or None)) > 1:
        raise typer.BadParameter("expected only one of --to, --policies and --recount-only")
    if sum(each is not None for each in (apply or None, *others)) > 1:
        raise typer.BadParameter("expected only one of --apply, --resume, --abandon and --list")
    if apply and not (reason and reason.strip()):
        raise typer.BadParameter("--apply needs a reason, which is kept for ever", param_hint="--reason")
    if reason is not None and len(reason) > REASON_LENGTH:
        raise typer.BadParameter(f"expected at most {REASON_LENGTH} characters", param_hint="--reason")


async def _preview(wish: Wish, form: Format) -> None:
    database = Database(load_here(DatabaseSettings, os.environ).database_url.get_secret_value())
    async with office(database) as here:
        counts = await foresee(here, wish, Decision(uuid4(), "", ""), sink_of(form, sys.stdout))
    typer.echo(summary(counts) + ".", err=True)


async def _records(abandon: UUID | None, form: Format) -> None:
    database = Database(load_here(DatabaseSettings, os.environ).database_url.get_secret_value())
    async with office(database) as here:
        if abandon is not None:
            found = [await here.store.finished(_unfinished(await here.store.migration(abandon)), abandoned=True)]
        else:
            found = await here.store.migrations()
    show_records(found, form, sys.stdout)


def _change(wish: Wish, work: Work) -> int:
    """Carry a migration out; the exit status, 130 when it was interrupted."""
    settings = load_here(InstallationSettings, os.environ)
    left = False

    async def main(signals: Signals) -> None:
        nonlocal left
        async with office(Database(settings.database_url.get_secret_value())) as here:
            if work.resume is None:
                decision = Decision(uuid4(), work.reason, user())
                progress = await decide(here, wish, decision, signals.stop)
                typer.echo(f"Migration {progress.migration.id} begins.", err=True)
            else:
                progress = _unfinished(await here.store.migration(work.resume))
            progress = await carry_out(here, progress, settings, signals.stop, page=wish.page)
            left = progress.finished_at is None
            typer.echo(summary(progress.counts) + ".", err=True)
            if left:
                typer.echo(f"Not finished: go on with --resume {progress.migration.id}.", err=True)
            elif work.wait:
                await folded(here, settings, signals.stop)

    return run(main) or (130 if left else 0)


def _unfinished(progress: Progress) -> Progress:
    if progress.finished_at is not None:
        raise Refused(f"migration {progress.migration.id} is finished since {progress.finished_at:%Y-%m-%d %H:%M:%S}Z")
    return progress
