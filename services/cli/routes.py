"""`./plazo routes`: who would hear of a breach, when and why, by the routes of a `notify.yaml`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer
from rich.table import Table
from rich.text import Text

from services.cli.files import read_lines
from services.cli.instants import given, present
from services.cli.notify_file import read_notify
from services.cli.output import console
from services.notifier.forecast import Foretold, foretold
from services.notifier.message import line as told_in_a_line
from services.notifier.routing import Routes
from services.notifier.trial import Tried, made_up, tried
from services.notifier.wording import one_line
from shared.breach_records import PublishedRecord
from shared.errors import BadDocument, BadRecord, Problem
from shared.events import Instant, rfc3339


@dataclass(frozen=True, slots=True)
class Answer:
    """What becomes of one event."""

    record: PublishedRecord
    tried: Sequence[Tried]
    foretold: Sequence[Foretold]


def register(app: typer.Typer) -> None:
    """Add the command."""
    routes = typer.Typer(no_args_is_help=True, rich_markup_mode=None)
    app.add_typer(routes, name="routes")
    routes.callback()(_routes)
    routes.command("test")(try_out)


def _routes() -> None:
    """Try the routes of a notify.yaml: who would hear of a breach, when and why.

    \b
    Example:
      echo '{"severity": "critical", "attributes": {"customer": "acme"}}' |
        ./plazo routes test --routes deploy/local/notify.yaml --event -
    """


def try_out(
    event: Annotated[
        Path,
        typer.Option(
            help="The events, one JSON object a line (gzip allowed; - for standard input): CloudEvents as on the "
            'topic, or only what matters, like {"type": "warning", "severity": "high"}; the rest is made up.'
        ),
    ],
    routes: Annotated[Path, typer.Option(envvar="NOTIFY_ROUTES", help="The routes and receivers, a notify.yaml.")],
    at: Annotated[str | None, typer.Option(help="When it is told, RFC 3339; without it, now.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object an event.")] = False,  # an option
) -> None:
    """Show which routes are looked at for an event, why each takes it or does not, and who would hear of it when.

    Also what waits for quiet hours or others of its group, and each step of the escalation if nobody takes the alert
    on. Silences and what is open just now are not known here. Nothing is sent.

    Ends with status 2 when a file has mistakes.

    \b
    Examples:
      ./plazo routes test --routes deploy/local/notify.yaml --event breach.json
      ./plazo tail --json | ./plazo routes test --routes notify.yaml --event - --json
    """
    found = read_notify(routes)
    now = _instant(at)
    for answer in answers(found, event, now):
        typer.echo(msgspec.json.encode(plain(answer, now)).decode()) if as_json else show(answer, now)


def answers(routes: Routes, file: Path, now: Instant) -> Iterator[Answer]:
    """What becomes at *now* of each event in a file, in its order.

    Raises:
        BadDocument: the file cannot be read, or a line is no event; names line and field.
    """
    source = Path("/dev/stdin") if str(file) == "-" else file
    for number, line in read_lines(source):
        try:
            record = made_up(line)
        except BadRecord as exc:
            raise BadDocument([Problem(str(file), number, exc.field or "", str(exc))]) from exc
        yield Answer(record, tuple(tried(routes.routes, record)), tuple(foretold(routes, record, now)))


def plain(answer: Answer, now: Instant) -> dict[str, Any]:
    """An answer as JSON has it."""
    record = answer.record
    return {
        "event": {"id": record.id, "type": record.type, "about": record.key},
        "at": rfc3339(now),
        "tried": [
            {
                "route": each.route.name,
                "line": each.route.line,
                "takes": not each.objections,
                "decides": each.decides,
                "because": each.objections,
            }
            for each in answer.tried
        ],
        "told": [_told(each) for each in answer.foretold],
    }


def show(answer: Answer, now: Instant) -> None:
    """Print an answer for a person."""
    looked = Table("route", "line", "takes it", "because", box=None, pad_edge=False)
    for each in answer.tried:
        takes = "no" if each.objections else "yes" if each.decides else "its routes do"
        why = "; ".join(each.objections) or str(each.route.takes) or "it takes everything"
        looked.add_row(*map(_cell, (each.route.name, str(each.route.line), takes, why)))
    told = Table("receiver", "channel", "when", "why", box=None, pad_edge=False)
    for coming in answer.foretold:
        notice = coming.notice
        told.add_row(*map(_cell, (notice.receiver, notice.channel, _when(coming, now), notice.reason)))
    shown = console()
    shown.print(Text(told_in_a_line(answer.record), "bold"))
    shown.print(looked)
    shown.print(told if answer.foretold else Text("nobody hears of it", "yellow"))
    shown.print()


def _told(each: Foretold) -> dict[str, Any]:
    notice = each.notice
    return {
        "receiver": notice.receiver,
        "channel": notice.channel,
        "route": notice.route,
        "state": notice.state,
        "step": notice.step,
        "due": None if each.due is None else rfc3339(each.due),
        "reason": notice.reason,
        "why": notice.why,
    }


def _cell(text: str) -> Text:
    return Text(one_line(text))


def _when(each: Foretold, now: Instant) -> str:
    state, why = each.notice.state, each.notice.why
    if each.due is None:
        return f"{state}: {why}"
    at = "at once" if each.due <= now else rfc3339(each.due)
    return f"{at}, {why}" if why else at


def _instant(text: str | None) -> Instant:
    return present() if text is None else given("--at", text)
