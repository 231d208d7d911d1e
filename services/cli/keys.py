"""`./plazo keys`: makes, lists and revokes the API keys that open the HTTP side."""

from __future__ import annotations

import re
import secrets
import time
from pathlib import Path
from typing import Annotated, Final

import typer
from pydantic import ValidationError
from rich.table import Table
from rich.text import Text

from services.cli.key_store import changed, kept
from services.cli.output import console
from shared.api_keys import ApiKey, KeyFile, fresh, hash_of
from shared.callers import SCOPES
from shared.errors import Refused
from shared.events import SECOND, Instant, Span, rfc3339

_DAYS: Final = re.compile(r"([1-9][0-9]{0,4})d")
_DAY: Final[Span] = 86_400 * SECOND

File = Annotated[Path, typer.Option(envvar="API_KEYS_FILE", help="The file of keys.")]


def register(app: typer.Typer) -> None:
    """Add the command."""
    keys = typer.Typer(no_args_is_help=True, rich_markup_mode=None)
    app.add_typer(keys, name="keys")
    keys.callback()(_keys)
    keys.command("new")(new)
    keys.command("list")(show)
    keys.command("revoke")(revoke)


def _keys() -> None:
    """Make, list and revoke the API keys that open the HTTP side.

    \b
    Example:
      ./plazo keys new --file api_keys.yaml --name help-desk --tenant acme --scopes write
      ./plazo keys list --file api_keys.yaml
      ./plazo keys revoke qkzvwxmp --file api_keys.yaml
    """


def new(
    file: File,
    name: Annotated[str, typer.Option(help="Who will have it, and what for.")],
    tenant: Annotated[str, typer.Option(help="Whose items it shows and speaks for; '*' for all.")],
    scopes: Annotated[str, typer.Option(help=f"What it may do, some of {','.join(SCOPES)}; admin is all of it.")],
    expires: Annotated[str | None, typer.Option(help="After how long it ends, `90d`; without it, never.")] = None,
) -> None:
    """Make a key, and print it: this is the only time that anybody sees it. The file keeps its hash.

    Running services take it within a second.

    \b
    Example:
      ./plazo keys new --file api_keys.yaml --name prometheus --tenant '*' --scopes metrics > metrics_key
    """
    now = _now()
    ends = None if expires is None else now + _span(expires)
    identity, key = fresh(secrets.token_bytes)
    fields = {"id": identity, "name": name, "tenant": tenant, "scopes": scopes.split(","), "hash": hash_of(key)}
    try:
        made = ApiKey.model_validate({**fields, "created": now, "expires": ends})
    except ValidationError as exc:
        raise typer.BadParameter("; ".join(_told(error["loc"], error["msg"]) for error in exc.errors())) from exc
    with changed(file) as keys:
        keys.append(made)
    typer.echo(key)


def show(file: File) -> None:
    """Show the keys of a file: whose they are, what they may do, and whether they still open anything.

    \b
    Example:
      ./plazo keys list --file api_keys.yaml
    """
    _print(kept(file), _now())


def revoke(
    identity: Annotated[str, typer.Argument(metavar="ID", help="As `list` shows it: the middle of the key.")],
    file: File,
) -> None:
    """End a key. Running services refuse it within a second; its entry stays, to tell whose it was.

    \b
    Example:
      ./plazo keys revoke qkzvwxmp --file api_keys.yaml
    """
    with changed(file) as keys:
        found = [position for position, key in enumerate(keys) if key.id == identity]
        if not found:
            raise Refused(f"{file} has no key {identity}: `./plazo keys list` shows them")
        for position in found:
            keys[position] = keys[position].model_copy(update={"revoked": keys[position].revoked or _now()})


def _now() -> Instant:
    return round(time.time()) * SECOND


def _span(text: str) -> Span:
    found = _DAYS.fullmatch(text)
    if found is None:
        raise typer.BadParameter(f"--expires: expected days like 90d, got {text!r}")
    return int(found[1]) * _DAY


def _told(place: tuple[int | str, ...], message: str) -> str:
    option = f"--{place[0]}: " if place else ""
    return option + message.removeprefix("Value error, ").replace("Input should be", "expected")


def _print(keys: KeyFile, now: Instant) -> None:
    table = Table("id", "tenant", "scopes", "made", "state", "name", box=None, pad_edge=False)
    for key in keys.keys:
        until = f"until {rfc3339(key.expires)}" if key.expires else "open"
        cells = [key.id, key.tenant, " ".join(key.scopes), rfc3339(key.created), key.ended(now) or until, key.name]
        table.add_row(*(Text(cell) for cell in cells))
    console().print(table)
