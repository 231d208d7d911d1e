"""`./plazo alerts`: shows alerts, acknowledges, snoozes and assigns them, and sends messages again."""

from __future__ import annotations

import sys
from functools import partial
from typing import Annotated, Any, Final, TypeVar
from uuid import UUID

import typer
from rich.table import Table
from rich.text import Text

from services.cli.instants import given, present
from services.cli.on_database import on_database
from services.cli.output import console
from services.cli.user import user
from services.notifier.alert_desk import SENT_AGAIN_AT_ONCE, AlertDesk, Change, Range
from services.notifier.alert_log import AlertLog, WantedAlerts
from services.notifier.alert_view import AlertDetails, AlertSummary, details, summary
from services.notifier.alerts.standing import acknowledged, assigned, snoozed
from services.notifier.delivery import AlertStanding, State
from services.notifier.lengths import length_of
from services.notifier.wording import one_line
from shared.db import Database
from shared.errors import Refused
from shared.events import Instant, instant, rfc3339
from shared.logs import configure

Result = TypeVar("Result")
MOST: Final = 1_000
By = Annotated[str | None, typer.Option(help="Who does it; without it, whoever is logged in.")]
Comment = Annotated[str, typer.Option(help="What there is to say about it.")]
Identity = Annotated[UUID, typer.Argument(metavar="ALERT", help="The id, as `list` shows it.")]
AsJson = Annotated[bool, typer.Option("--json", help="As JSON, one object a line.")]


def register(app: typer.Typer) -> None:
    """Add the command."""
    alerts = typer.Typer(no_args_is_help=True, rich_markup_mode=None)
    app.add_typer(alerts, name="alerts")
    alerts.callback()(_alerts)
    alerts.command("list")(show_all)
    alerts.command("show")(show)
    alerts.command("ack")(acknowledge)
    alerts.command("snooze")(snooze)
    alerts.command("assign")(assign)
    alerts.command("resend")(resend)


def _alerts() -> None:
    """Show alerts, acknowledge, snooze and assign them, and send messages again.

    It needs DATABASE_URL.

    \b
    Example:
      ./plazo alerts list --standing open
      ./plazo alerts ack 2a0b7c1e-5d1f-8a3e-9c55-0f6a1c2d3e4f --comment "on it"
    """
    configure("critical", "console", sys.stderr)  # what went wrong is told in one sentence


def show_all(
    standing: Annotated[AlertStanding | None, typer.Option(help="Only those that stand so.")] = None,
    item: Annotated[str | None, typer.Option(help="Only those about this item, `tenant/kind/id`.")] = None,
    assignee: Annotated[str | None, typer.Option(help="Only those of this person.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=MOST, help="How many at most.")] = 100,
    json: AsJson = False,
) -> None:
    """List alerts, the newest first.

    \b
    Example:
      ./plazo alerts list --standing open --assignee ana
    """
    wanted = WantedAlerts(standing, item, assignee)
    found = [summary(row) for row in on_database(lambda database: AlertLog(database).page(wanted, None, limit))]
    if json:
        for each in found:
            typer.echo(each.model_dump_json())
    else:
        _print(found)


def show(alert: Identity, json: AsJson = False) -> None:
    """Show one alert: how it stands, what happened to it, and who heard of it.

    \b
    Example:
      ./plazo alerts show 2a0b7c1e-5d1f-8a3e-9c55-0f6a1c2d3e4f
    """
    found = on_database(lambda database: AlertLog(database).one(alert))
    if found is None:
        raise _missing(alert)
    shown = details(found.fields, found.deliveries)
    if json:
        typer.echo(shown.model_dump_json())
    else:
        _print_one(shown)


def acknowledge(alert: Identity, comment: Comment = "", by: By = None) -> None:
    """Take an alert on: its escalation goes no further.

    \b
    Example:
      ./plazo alerts ack 2a0b7c1e-5d1f-8a3e-9c55-0f6a1c2d3e4f --comment "on it"
    """
    change = partial(acknowledged, by=_name(by), comment=one_line(comment), now=present())
    _change(alert, change, f"{alert} is {_name(by)}'s now.")


def snooze(
    alert: Identity,
    until: Annotated[str, typer.Argument(help="When it ends: `2h` from now, an instant in RFC 3339, or `now`.")],
    comment: Comment = "",
    by: By = None,
) -> None:
    """Let nothing be told of an alert for a while.

    \b
    Example:
      ./plazo alerts snooze 2a0b7c1e-5d1f-8a3e-9c55-0f6a1c2d3e4f 2h
    """
    now = present()
    end = _end(until, now)
    change = partial(snoozed, by=_name(by), comment=one_line(comment), until=end, now=now)
    _change(alert, change, f"{alert} is snoozed until {rfc3339(end)}." if end > now else f"{alert} is awake.")


def assign(
    alert: Identity,
    assignee: Annotated[str | None, typer.Argument(help="Whose it is; without it, nobody's.")] = None,
    comment: Comment = "",
    by: By = None,
) -> None:
    """Say whose an alert is.

    \b
    Example:
      ./plazo alerts assign 2a0b7c1e-5d1f-8a3e-9c55-0f6a1c2d3e4f ana
    """
    whose = one_line(assignee or "") or None
    change = partial(assigned, by=_name(by), comment=one_line(comment), assignee=whose, now=present())
    _change(alert, change, f"{alert} is {whose or 'nobody'}'s.")


def resend(
    delivery: Annotated[UUID | None, typer.Argument(help="One delivery, as `show` names it.")] = None,
    since: Annotated[str | None, typer.Option("--from", help="Those made from this instant on.")] = None,
    until: Annotated[str | None, typer.Option(help="And before this one; without it, now.")] = None,
    state: Annotated[State, typer.Option(help="Those in this state.")] = "failed",
    receiver: Annotated[str | None, typer.Option(help="Those to this receiver.")] = None,
) -> None:
    """Send one delivery again, or those of a time, under their ids: a receiver knows what it has got already.

    \b
    Example:
      ./plazo alerts resend --from 2026-01-05T08:00:00Z --until 2026-01-05T12:00:00Z --receiver on-call
    """
    now = present()
    if (delivery is None) == (since is None):
        raise typer.BadParameter("expected a delivery, or --from")
    if delivery is not None:
        done = on_database(lambda database: AlertDesk(database).send_again(delivery, now))
        if not done:
            raise Refused(f"there is no delivery {delivery}" if done is None else f"{delivery} is being sent just now")
        count = 1
    else:
        wanted = Range(given("--from", since or ""), now if until is None else given("--until", until), state, receiver)
        count = on_database(partial(_send_all_again, wanted=wanted, now=now))
    typer.echo(f"{count} deliveries are sent again." if count != 1 else "1 delivery is sent again.")


async def _send_all_again(database: Database, wanted: Range, now: Instant) -> int:
    desk, count = AlertDesk(database), 0
    while some := await desk.send_all_again(wanted, now):
        count += some
        # Of those that wait already, one round is all: they are in the same state afterwards.
        if some < SENT_AGAIN_AT_ONCE or wanted.state == "pending":
            break
    return count


def _change(alert: UUID, change: Change, said: str) -> None:
    if on_database(lambda database: AlertDesk(database).change(alert, change, present())) is None:
        raise _missing(alert)
    typer.echo(said)


def _missing(alert: UUID) -> Refused:
    return Refused(f"there is no alert {alert}: `./plazo alerts list` shows them")


def _name(by: str | None) -> str:
    return one_line(by or "") or user()


def _end(text: str, now: Instant) -> Instant:
    if text == "now":
        return now
    try:
        return now + length_of(text)
    except ValueError:
        return given("UNTIL", text)


def _print(found: list[AlertSummary]) -> None:
    table = Table("id", "standing", "item", "promise", "due", "by", "assignee", box=None, pad_edge=False)
    for each in found:
        cells = (
            str(each.id),
            each.standing,
            each.item,
            each.metric,
            _at(each.due_at),
            each.acknowledged_by,
            each.assignee,
        )
        table.add_row(*(Text(one_line(cell or "")) for cell in cells))
    console().print(table)


def _print_one(alert: AlertDetails) -> None:
    _print([alert])
    history = Table("when", "what", "by", "comment", box=None, pad_edge=False)
    for each in alert.history:
        history.add_row(*(Text(one_line(cell)) for cell in (_at(each.at), each.what, each.by or "", each.comment)))
    told = Table("delivery", "receiver", "state", "attempts", "answer", box=None, pad_edge=False)
    for one in alert.deliveries:
        cells = (str(one.id), one.receiver, one.state, str(one.attempts), one.why or one.last_answer or "")
        told.add_row(*(Text(one_line(cell)) for cell in cells))
    shown = console()
    for part in ("", history, "", told):
        shown.print(part)


def _at(moment: Any) -> str:
    return "" if moment is None else rfc3339(instant(moment))
