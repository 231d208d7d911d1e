"""The notifier's HTTP side: alerts, what people do about them, and sending deliveries again."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime
from functools import partial
from typing import Annotated, Final
from uuid import UUID

from fastapi import APIRouter, Header, Query, Request, Response
from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field

from services.notifier.alert_desk import SENT_AGAIN_AT_ONCE, AlertDesk, Change, Range, Stale
from services.notifier.alert_log import AlertLog, WantedAlerts
from services.notifier.alert_view import AlertDetails, AlertPage, details, summary
from services.notifier.alerts.standing import acknowledged, assigned, snoozed
from services.notifier.cursor import cursor_of, read_cursor
from services.notifier.delivery import AlertStanding, State
from services.notifier.wording import one_line
from shared.callers import Caller
from shared.db import Database
from shared.event_data import FIRST_INSTANT, LAST_INSTANT
from shared.events import Instant, instant
from shared.guard import Asking
from shared.problems import ProblemError

NAME_CHARACTERS: Final = 200
COMMENT_CHARACTERS: Final = 2_000
_ETAG: Final = re.compile(r'(?:W/)?"(\d{1,9})"')


def _of_the_calendar(at: datetime) -> datetime:
    if not FIRST_INSTANT <= instant(at) < LAST_INSTANT:
        raise ValueError("expected a time between the years 1900 and 9000")
    return at


At = Annotated[AwareDatetime, AfterValidator(_of_the_calendar)]


def _named(text: str) -> str:
    if not (name := one_line(text)):
        raise ValueError("expected a name")
    return name


Name = Annotated[str, Field(min_length=1, max_length=NAME_CHARACTERS), AfterValidator(_named)]
Comment = Annotated[str, Field(max_length=COMMENT_CHARACTERS), AfterValidator(one_line)]
Text = Annotated[str, Field(pattern=r"^[^\x00]*$")]


class _Said(BaseModel):
    model_config = ConfigDict(extra="forbid")

    by: Name | None = Field(None, description="Who does it; without it, whoever the credential names.")
    comment: Comment = ""


class Acknowledgement(_Said):
    """Somebody takes an alert on."""


class Snooze(_Said):
    """Nothing is told of an alert until an instant; one that has passed ends the snooze."""

    until: At


class Assignment(_Said):
    """An alert is somebody's; null takes it back."""

    assignee: Name | None


class Filter(BaseModel):
    """Which alerts are listed."""

    standing: AlertStanding | None = Field(None, description="Only alerts that stand so.")
    item: Text | None = Field(None, description="Only alerts about this item, `tenant/kind/id`.")
    assignee: Text | None = Field(None, description="Only alerts of this person.")
    limit: int = Field(100, ge=1, le=1000, description="Alerts in a page.")
    cursor: str | None = Field(None, description="The `next_cursor` of the page before.")


class Resend(BaseModel):
    """Which deliveries are to be sent again: those made in `[created_from, created_until)`."""

    model_config = ConfigDict(extra="forbid")

    created_from: At
    created_until: At
    state: State = "failed"
    receiver: Text | None = None


class Resent(BaseModel):
    """How many deliveries are sent again; where it is the most at once, the same request goes on."""

    count: int
    most: int = SENT_AGAIN_AT_ONCE


IfMatch = Annotated[str | None, Header(description="The ETag that was seen; another one is refused with 412.")]


class _Reception:
    """Does what a request asks for."""

    def __init__(self, database: Database, now: Callable[[], Instant]) -> None:
        self.log = AlertLog(database)
        self.desk = AlertDesk(database)
        self.now = now

    async def shown(self, identity: UUID, asking: Caller, response: Response) -> AlertDetails:
        found = await self.log.one(identity, asking.tenant)
        if found is None:
            raise _missing("alert", identity)
        response.headers["ETag"] = f'"{found.fields["version"]}"'
        return details(found.fields, found.deliveries)

    async def changed(self, identity: UUID, asking: Caller, change: Change, seen: str | None) -> None:
        try:
            done = await self.desk.change(identity, change, self.now(), tenant=asking.tenant, seen=_version(seen))
        except Stale as exc:
            raise ProblemError(412, f"{exc}: look at it again.") from exc
        if done is None:
            raise _missing("alert", identity)


def router(database: Database, now: Callable[[], Instant]) -> APIRouter:
    """The routes that show and change alerts."""
    routes = APIRouter(prefix="/v1/alerts", tags=["alerts"])
    here = _Reception(database, now)

    @routes.get("")
    async def alerts(
        asking: Asking, request: Request, response: Response, wanted: Annotated[Filter, Query()]
    ) -> AlertPage:
        """Alerts, the newest first."""
        chosen = WantedAlerts(wanted.standing, wanted.item, wanted.assignee, asking.tenant)
        found = await here.log.page(chosen, read_cursor(wanted.cursor), wanted.limit)
        cursor = cursor_of(found[-1]) if len(found) == wanted.limit else None
        if cursor is not None:
            response.headers["Link"] = f'<{request.url.include_query_params(cursor=cursor)}>; rel="next"'
        return AlertPage(alerts=[summary(row) for row in found], next_cursor=cursor)

    @routes.get("/{alert_id}")
    async def alert(asking: Asking, alert_id: UUID, response: Response) -> AlertDetails:
        """One alert with its history and its deliveries."""
        return await here.shown(alert_id, asking, response)

    _add_deeds(routes, here)
    return routes


def _add_deeds(routes: APIRouter, here: _Reception) -> None:
    @routes.post("/{alert_id}/acknowledgement")
    async def acknowledge(
        asking: Asking, alert_id: UUID, said: Acknowledgement, response: Response, if_match: IfMatch = None
    ) -> AlertDetails:
        """Take an alert on: its escalation goes no further."""
        change = partial(acknowledged, by=said.by or asking.name, comment=said.comment, now=here.now())
        await here.changed(alert_id, asking, change, if_match)
        return await here.shown(alert_id, asking, response)

    @routes.post("/{alert_id}/snooze")
    async def snooze(
        asking: Asking, alert_id: UUID, said: Snooze, response: Response, if_match: IfMatch = None
    ) -> AlertDetails:
        """Hold what is told of an alert until an instant."""
        until, by = instant(said.until), said.by or asking.name
        change = partial(snoozed, by=by, comment=said.comment, until=until, now=here.now())
        await here.changed(alert_id, asking, change, if_match)
        return await here.shown(alert_id, asking, response)

    @routes.post("/{alert_id}/assignment")
    async def assign(
        asking: Asking, alert_id: UUID, said: Assignment, response: Response, if_match: IfMatch = None
    ) -> AlertDetails:
        """Say whose an alert is."""
        by = said.by or asking.name
        change = partial(assigned, by=by, comment=said.comment, assignee=said.assignee, now=here.now())
        await here.changed(alert_id, asking, change, if_match)
        return await here.shown(alert_id, asking, response)


def resending(database: Database, now: Callable[[], Instant]) -> APIRouter:
    """The routes that have deliveries sent again."""
    routes = APIRouter(prefix="/v1/deliveries", tags=["deliveries"])
    desk = AlertDesk(database)

    @routes.post("/{delivery_id}/resend", status_code=202)
    async def resend(asking: Asking, delivery_id: UUID) -> Resent:
        """Send one delivery again, under its id, whatever became of it."""
        done = await desk.send_again(delivery_id, now(), tenant=asking.tenant)
        if done is None:
            raise _missing("delivery", delivery_id)
        if not done:
            raise ProblemError(409, "It is being sent at this moment.")
        return Resent(count=1)

    @routes.post("/resend", status_code=202)
    async def resend_range(asking: Asking, wanted: Resend) -> Resent:
        """Send deliveries again that were made in a time, the oldest first."""
        span = Range(instant(wanted.created_from), instant(wanted.created_until), wanted.state, wanted.receiver)
        return Resent(count=await desk.send_all_again(span, now(), tenant=asking.tenant))

    return routes


def _missing(what: str, identity: UUID) -> ProblemError:
    return ProblemError(404, f"There is no {what} {identity}.")


def _version(etag: str | None) -> int | None:
    if etag is None or etag.strip() == "*":
        return None
    found = _ETAG.fullmatch(etag.strip())
    return -1 if found is None else int(found[1])  # what was never given out is no version
