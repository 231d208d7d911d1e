"""`./plazo silences`: makes, lists and ends silences, and shows what one would hide."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Annotated, Any, Final, TypeVar
from uuid import UUID, uuid4

import typer
from pydantic import ValidationError
from rich.table import Table
from rich.text import Text

from services.cli.instants import given, present
from services.cli.on_database import on_database
from services.cli.output import console
from services.cli.user import user
from services.notifier import message
from services.notifier.holding.preview import preview as previewed
from services.notifier.holding.silences import Silence
from services.notifier.lengths import length_of
from services.notifier.silence_model import Matched, SilenceModel
from services.notifier.silence_store import Made, SilenceStore, silence_of
from services.notifier.wording import one_line
from shared.errors import Refused
from shared.events import DAY, Instant, rfc3339
from shared.logs import configure

Result = TypeVar("Result")
MOST: Final = 1_000  # listed

Match = Annotated[list[str] | None, typer.Option(help="FIELD=VALUE,…: the field has one of the values; all must hold.")]
Regex = Annotated[list[str] | None, typer.Option(help="FIELD=PATTERN: the field matches a regular expression.")]
When = Annotated[str | None, typer.Option(help="An expression that must hold.")]
Tenant = Annotated[str | None, typer.Option(help="Only of this tenant; without it, of all.")]


def register(app: typer.Typer) -> None:
    """Add the command."""
    silences = typer.Typer(no_args_is_help=True, rich_markup_mode=None)
    app.add_typer(silences, name="silences")
    silences.callback()(_silences)
    silences.command("add")(add)
    silences.command("list")(show_all)
    silences.command("expire")(expire)
    silences.command("preview")(preview)


def _silences() -> None:
    """Make, list and end silences, and show what one would hide.

    It needs DATABASE_URL.

    \b
    Example:
      ./plazo silences add --match customer=acme --for 4h --reason "move of the data center"
      ./plazo silences list
    """
    configure("critical", "console", sys.stderr)  # what went wrong is told in one sentence


def add(  # noqa: PLR0913 # one parameter an option
    *,
    reason: Annotated[str, typer.Option(help="Why nobody should hear of it.")],
    match: Match = None,
    regex: Regex = None,
    when: When = None,
    starts: Annotated[str | None, typer.Option("--from", help="RFC 3339; without it, now.")] = None,
    until: Annotated[str | None, typer.Option(help="RFC 3339: when it ends.")] = None,
    lasts: Annotated[str | None, typer.Option("--for", help="How long it lasts, `4h`, in place of --until.")] = None,
    author: Annotated[str | None, typer.Option(help="Who wants it; without it, whoever is logged in.")] = None,
    tenant: Tenant = None,
) -> None:
    """Silence what matches for a while, and print the silence's id.

    \b
    Example:
      ./plazo silences add --match customer=acme --match severity=low,medium --for 4h --reason "move"
    """
    now = present()
    begin = now if starts is None else given("--from", starts)
    if (until is None) == (lasts is None):
        raise typer.BadParameter("expected --until or --for")
    end = given("--until", until) if until is not None else begin + _length(lasts or "")
    times = {"from": rfc3339(begin), "until": rfc3339(end)}
    said = {"author": one_line(author or "") or user(), "reason": one_line(reason)}
    wanted = _model(SilenceModel, {**_asked(match, regex, when, tenant), **times, **said})
    try:
        made = wanted.silence(uuid4(), tenant, now)
    except ValueError as exc:
        raise typer.BadParameter(str(exc)) from exc
    _with(lambda store: store.add(Made(made, wanted.asked), now))
    typer.echo(str(made.id))


def show_all(tenant: Tenant = None) -> None:
    """List silences, the newest first: to come, in force and over, and how much each hid.

    \b
    Example:
      ./plazo silences list
    """
    found = _with(lambda store: store.page(tenant, None, MOST))
    table = Table("id", "state", "from", "until", "hidden", "author", "what", "reason", box=None, pad_edge=False)
    for row in found:
        silence = silence_of(row)
        cells = (
            *(str(silence.id), silence.state(present()), rfc3339(silence.starts_at), rfc3339(silence.ends_at)),
            *(str(row["hidden"]), silence.author, _what(silence), silence.reason),
        )
        table.add_row(*(Text(one_line(cell)) for cell in cells))
    console().print(table)


def expire(silence: Annotated[UUID, typer.Argument(metavar="SILENCE", help="The id, as `list` shows it.")]) -> None:
    """End a silence now. What it hid and is still open is told.

    \b
    Example:
      ./plazo silences expire 0f0c2d1f-6a11-4c7e-9b63-5d0d7f0a4c7e
    """
    if not _with(lambda store: store.expire(silence, None, user(), present())):
        raise Refused(f"there is no silence {silence}: `./plazo silences list` shows them")
    typer.echo(f"{silence} is over.")


def preview(match: Match = None, regex: Regex = None, when: When = None, tenant: Tenant = None) -> None:
    """Show what of the last day and of the open alerts a silence would hide. It changes nothing.

    \b
    Example:
      ./plazo silences preview --match customer=acme
    """
    wanted = _model(Matched, _asked(match, regex, when, tenant))
    now = present()
    asked = Silence(uuid4(), tenant, wanted.conditions, now, now + DAY, user(), "preview")

    async def look(store: SilenceStore) -> Any:
        return previewed(asked, await store.late(tenant, now), await store.open_alerts(tenant))

    found = _with(look)
    typer.echo(f"Of the last day it would have hidden {found.events} events and {found.deliveries} deliveries;")
    typer.echo(f"of the open alerts it would hide {found.open_alerts}.")
    for record in found.examples:
        typer.echo(f"  {message.line(record)}")


def _with(work: Callable[[SilenceStore], Awaitable[Result]]) -> Result:
    return on_database(lambda database: work(SilenceStore(database)))


def _asked(match: list[str] | None, regex: list[str] | None, when: str | None, tenant: str | None) -> dict[str, Any]:
    split = partial(_pairs, "--match")
    found: dict[str, Any] = {"match": {name: text.split(",") for name, text in split(match or [])}}
    found["regex"] = dict(_pairs("--regex", regex or []))
    return found | ({} if when is None else {"when": when}) | ({} if tenant is None else {"tenant": tenant})


def _pairs(option: str, given: list[str]) -> list[tuple[str, str]]:
    pairs = []
    for text in given:
        name, equals, value = text.partition("=")
        if not name or not equals:
            raise typer.BadParameter(f"{option}: expected FIELD=VALUE, got {text!r:.60}")
        pairs.append((name, value))
    return pairs


Model = TypeVar("Model", bound=Matched)


def _model(model: type[Model], fields: dict[str, Any]) -> Model:
    try:
        return model.model_validate(fields)
    except ValidationError as exc:
        said = (f"{'.'.join(map(str, each['loc']))}: {each['msg']}".lstrip(": ") for each in exc.errors())
        raise typer.BadParameter("; ".join(text.replace("Value error, ", "") for text in said)) from exc


def _what(silence: Silence) -> str:
    return str(silence.asked) if silence.tenant is None else f"tenant {silence.tenant}: {silence.asked}"


def _length(text: str) -> Instant:
    try:
        return length_of(text)
    except ValueError as exc:
        raise typer.BadParameter(f"--for: {exc}") from exc
