"""The notifier's HTTP side: read only."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

import msgspec
from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel, Field

from services.notifier import receivers_api
from services.notifier.delivery import ChannelName, Result, State
from services.notifier.delivery_log import DeliveryLog, Place, Wanted
from shared.breach_records import PublishedType
from shared.db import Database
from shared.events import instant, moment
from shared.guard import Asking
from shared.problems import ProblemError


class DeliveryView(BaseModel):
    """One notice on its way to one receiver."""

    id: UUID
    event_id: str  # the CloudEvent's
    type: PublishedType
    item: str  # tenant/kind/id; of a silent source tenant/source/name
    metric: str | None  # null of a silent source
    breach_id: str | None
    alert_id: UUID | None  # null of a silent source
    route: str
    receiver: str
    channel: ChannelName
    reason: str  # why this receiver hears of it
    state: State
    why: str  # what holds it, or what became of it without an attempt; empty of most
    step: str | None  # which step of an escalation it is
    digest_id: UUID | None  # the delivery that tells of it among others
    count: int  # of a digest: how many it tells of
    attempts: int
    created_at: datetime
    next_attempt_at: datetime | None
    finished_at: datetime | None
    last_answer: str | None


class AttemptView(BaseModel):
    """What came of one attempt."""

    number: int
    started_at: datetime
    duration_s: float
    result: Result
    status: int | None
    answer: str


class DeliveryDetails(DeliveryView):
    """A delivery with its attempts, in their order."""

    attempts_made: list[AttemptView]


class DeliveryPage(BaseModel):
    """Deliveries, the newest first, and the cursor of the next page (null on the last)."""

    deliveries: list[DeliveryView]
    next_cursor: str | None


class Filter(BaseModel):
    """Which deliveries are listed."""

    state: State | None = Field(None, description="Only deliveries in this state.")
    receiver: str | None = Field(None, pattern=r"^[^\x00]*$", description="Only deliveries to this receiver.")
    limit: int = Field(100, ge=1, le=1000, description="Deliveries in a page.")
    cursor: str | None = Field(None, description="The `next_cursor` of the page before.")


def router(database: Database) -> APIRouter:
    """All routes of the notifier."""
    routes = APIRouter(prefix="/v1")
    routes.include_router(_deliveries(database))
    routes.include_router(receivers_api.router(database))
    return routes


def _deliveries(database: Database) -> APIRouter:
    routes = APIRouter(tags=["deliveries"])
    log = DeliveryLog(database)

    @routes.get("/deliveries")
    async def deliveries(
        asking: Asking,
        request: Request,
        response: Response,
        wanted: Annotated[Filter, Query()],
    ) -> DeliveryPage:
        """Deliveries, the newest first."""
        after = _read_cursor(wanted.cursor)
        found = await log.page(Wanted(wanted.state, wanted.receiver, asking.tenant), after, wanted.limit)
        cursor = _cursor(found[-1]) if len(found) == wanted.limit else None
        if cursor is not None:
            response.headers["Link"] = f'<{request.url.include_query_params(cursor=cursor)}>; rel="next"'
        return DeliveryPage(deliveries=[DeliveryView(**row) for row in found], next_cursor=cursor)

    @routes.get("/deliveries/{delivery_id}")
    async def delivery(asking: Asking, delivery_id: UUID) -> DeliveryDetails:
        """One delivery with its attempts."""
        found = await log.one(delivery_id, asking.tenant)
        if found is None:
            raise ProblemError(404, f"There is no delivery {delivery_id}.")
        row, attempts = found
        return DeliveryDetails(**row, attempts_made=[_attempt(each) for each in attempts])

    return routes


def _attempt(row: Mapping[str, Any]) -> AttemptView:
    return AttemptView(duration_s=row["duration"].total_seconds(), **row)


def _cursor(row: Mapping[str, Any]) -> str:
    return base64.urlsafe_b64encode(msgspec.json.encode((instant(row["created_at"]), row["id"]))).decode()


def _read_cursor(cursor: str | None) -> Place | None:
    if cursor is None:
        return None
    try:
        place: Place = msgspec.json.decode(base64.urlsafe_b64decode(cursor), type=tuple[int, UUID])
        moment(place[0])  # what is no instant of the calendar's was never given out
    except (msgspec.DecodeError, binascii.Error, ValueError, OverflowError) as exc:
        raise ProblemError(422, "cursor: expected the next_cursor of another page") from exc
    return place
