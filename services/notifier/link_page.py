"""The page that a link in a message opens: it shows the alert, and a button that acknowledges it.

Opening a link changes nothing, because scanners of mails open every link. The button posts to the link itself, whose
token is the only credential: no cookie is involved, so no other page can press it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final
from urllib.parse import parse_qs

import structlog
from fastapi import APIRouter, Request, Response
from jinja2 import Environment, StrictUndefined

from services.notifier.alert_desk import AlertDesk
from services.notifier.alert_log import AlertLog, FoundAlert
from services.notifier.alerts.standing import acknowledged, unpack
from services.notifier.links import PATH, Invitation, Links
from services.notifier.wording import full_time, one_line
from shared.db import Database
from shared.errors import Denied
from shared.events import Instant, rfc3339

log = structlog.get_logger(__name__)
NAME_CHARACTERS: Final = 100
COMMENT_CHARACTERS: Final = 500
FORM_BYTES: Final = 8_192
_HEADERS: Final = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'"
    ),
    "Referrer-Policy": "no-referrer",  # the address is the credential
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "X-Robots-Tag": "noindex",
}
_PAGE: Final = Environment(autoescape=True, undefined=StrictUndefined).from_string(
    """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{ title }} · Plazo</title>
<style>:root{color-scheme:light dark}body{font:16px/1.5 sans-serif;max-width:36em;margin:2em auto;padding:0 1em}
h1{font-size:1.4em}td{padding:0 1em .2em 0;vertical-align:top;overflow-wrap:anywhere}td+td{min-width:9em}
label{display:block}input,button{font:inherit;padding:.5em;margin:.2em 0 .8em;width:100%;box-sizing:border-box}</style>
</head>
<body><h1>{{ title }}</h1>
{% if rows %}<table>{% for name, value in rows %}<tr><td>{{ name }}</td><td>{{ value }}</td></tr>
{% endfor %}</table>{% endif %}
{% if asks %}<form method="post"><p>
<label>Your name <input name="by" maxlength="{{ name_characters }}" autocomplete="name"></label>
<label>Comment <input name="comment" maxlength="{{ comment_characters }}"></label>
<button>Acknowledge</button></p></form>{% endif %}
</body></html>
"""
)


@dataclass(frozen=True, slots=True)
class Page:
    """What a page says."""

    title: str
    rows: list[tuple[str, str]] = field(default_factory=list)
    asks: bool = False

    def answer(self, status: int = 200) -> Response:
        """The page as an answer."""
        characters = {"name_characters": NAME_CHARACTERS, "comment_characters": COMMENT_CHARACTERS}
        text = _PAGE.render(title=self.title, rows=self.rows, asks=self.asks, **characters)
        return Response(text, status, headers=_HEADERS, media_type="text/html; charset=utf-8")


GONE: Final = Page("This link is not one of ours, or has expired.")
_TOO_LONG: Final = Page("That is too long.")


def router(database: Database, now: Callable[[], Instant], links: Links | None) -> APIRouter:
    """The routes of the links; without *links* there are none of ours."""
    routes = APIRouter(include_in_schema=False)
    log_of_alerts, desk = AlertLog(database), AlertDesk(database)

    async def found(token: str) -> tuple[Invitation, FoundAlert] | None:
        if links is None:
            return None
        try:
            invitation = links.read(token, now())
        except Denied:
            return None
        alert = await log_of_alerts.one(invitation.alert)
        return None if alert is None else (invitation, alert)

    @routes.get(PATH + "{token}")
    async def look(token: str) -> Response:
        """Show the alert, and ask whether it is to be acknowledged."""
        known = await found(token)
        return GONE.answer(404) if known is None else _shown(known[1]).answer()

    @routes.post(PATH + "{token}")
    async def acknowledge(token: str, request: Request) -> Response:
        """Acknowledge the alert."""
        known = await found(token)
        if known is None:
            return GONE.answer(404)
        form = await _form(request)
        if form is None:
            return _TOO_LONG.answer(413)
        invitation, _ = known
        by = form.get("by") or f"receiver {invitation.receiver}"
        change = partial(acknowledged, by=by, comment=form.get("comment", ""), now=now())
        await desk.change(invitation.alert, change, now())
        log.info("acknowledged by a link", alert=str(invitation.alert), receiver=invitation.receiver, by=by)
        changed = await found(token)
        return GONE.answer(404) if changed is None else _shown(changed[1]).answer()

    return routes


def _shown(alert: FoundAlert) -> Page:
    row, state = alert.fields, unpack(alert.fields["state"])
    asks = state.acknowledged_by is None and state.standing in ("warning", "open")
    rows = [
        ("Item", one_line(row["item"])),
        ("Promise", one_line((row["metric"] or "").replace("_", " "))),
        ("Policy", one_line(f"{row['policy'] or ''} ({row['severity'] or ''})")),
        ("Due", full_time(None if state.due_at is None else rfc3339(state.due_at))),
        ("Stands", state.standing),
        ("Acknowledged by", one_line(state.acknowledged_by or "")),
    ]
    return Page("Acknowledge this alert?" if asks else "Alert", [each for each in rows if each[1]], asks)


async def _form(request: Request) -> dict[str, str] | None:
    # Its fields, each in one line; None where there is more than a form of ours can hold.
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > FORM_BYTES:
            return None
    fields: dict[str, Any] = parse_qs(body.decode(errors="replace"), max_num_fields=10)
    by, comment = (one_line(fields.get(name, [""])[0]).replace("\\x00", "") for name in ("by", "comment"))
    return {"by": by[:NAME_CHARACTERS].strip(), "comment": comment[:COMMENT_CHARACTERS]}
