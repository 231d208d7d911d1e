"""`./plazo templates`: shows what each message says, for who writes templates or chooses a language."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final

import typer

from services.cli.files import read_text
from services.notifier.reader import FALLBACK, Reader
from services.notifier.templates.folder import shelf
from services.notifier.templates.library import PARTS, Library, Part
from services.notifier.templates.samples import sample_of, samples
from services.notifier.templates.view import KINDS, TemplateKind, kind_of, view
from services.notifier.trial import made_up
from shared.breach_records import PublishedRecord
from shared.errors import BadDocument, BadRecord, Problem

_USUAL: Final[TemplateKind] = "breached"


def register(app: typer.Typer) -> None:
    """Add the command."""
    templates = typer.Typer(no_args_is_help=True, rich_markup_mode=None)
    app.add_typer(templates, name="templates")
    templates.callback()(_templates)
    templates.command("render")(render)


def _templates() -> None:
    """Show what messages say, in any language and time zone, with the installation's own templates or without.

    \b
    Example:
      ./plazo templates render --language es --zone Europe/Madrid
      ./plazo templates render --templates ./templates --kind digest --part html > digest.html
    """


def render(  # noqa: PLR0913, PLR0917 # one argument for each option of the command
    event: Annotated[
        Path | None,
        typer.Option(help="A breach or a silence in JSON, whole or only some of its fields; without it, a sample."),
    ] = None,
    language: Annotated[str, typer.Option(help="The reader's language, `es` or `es-MX`.")] = FALLBACK,
    zone: Annotated[str, typer.Option(help="The reader's time zone, `Europe/Madrid`.")] = "UTC",
    templates: Annotated[Path | None, typer.Option(help="The folder that notify.yaml names as `templates`.")] = None,
    kind: Annotated[TemplateKind | None, typer.Option(help="Only messages of this kind.")] = None,
    part: Annotated[Part | None, typer.Option(help="Only this part.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="Messages of every kind, each about a sample.")] = False,
) -> None:
    """Show each message for a sample breach, or for one of yours.

    Ends with status 1 when a template fails: people would get the built-in form then, with the error named in it.

    \b
    Example:
      ./plazo templates render --language es --zone Europe/Madrid --all
    """
    record = None if event is None else _record(event)
    kinds = KINDS if everything else (kind or _kind_of(record),)
    renderer = _Renderer(Library(shelf(templates)), _reader(language, zone), record)
    names = [(each, one) for each in kinds for one in (PARTS if part is None else (part,))]
    failed = [renderer.show(each, one, named=len(names) > 1) for each, one in names].count(False)
    raise typer.Exit(1 if failed else 0)


class _Renderer:
    """Shows messages about *record*, or about samples where there is none."""

    def __init__(self, library: Library, reader: Reader, record: PublishedRecord | None) -> None:
        self._library, self._reader, self._record = library, reader, record

    def show(self, kind: TemplateKind, part: Part, *, named: bool) -> bool:
        """Print *part* of a message of *kind*, below its name if it is to be *named*; whether it could be written."""
        delivery = samples(kind)[0] if self._record is None else sample_of(self._record, kind)
        if named:
            typer.echo(f"--- {kind}.{part}")
        try:
            typer.echo(self._library.render(part, kind, self._reader, view(delivery, kind, self._reader)).strip("\n"))
        except BadDocument as exc:
            typer.echo(str(exc), err=True)
            return False
        return True


def _reader(language: str, zone: str) -> Reader:
    try:
        return Reader(language, zone)
    except ValueError as exc:
        raise typer.BadParameter(str(exc)) from exc


def _kind_of(record: PublishedRecord | None) -> TemplateKind:
    return _USUAL if record is None else kind_of(sample_of(record, _USUAL))


def _record(file: Path) -> PublishedRecord:
    try:
        return made_up(read_text(file).encode())
    except BadRecord as exc:
        raise BadDocument([Problem(str(file), 1, exc.field or "", str(exc))]) from exc
