"""The notifier's HTTP side: deliveries, read only."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel, Field

from services.notifier import receivers_api
from services.notifier.cursor import cursor_of, read_cursor
from services.notifier.delivery import Result, State
from services.notifier.delivery_log import DeliveryLog, Wanted
from services.notifier.delivery_view import DeliveryView
from shared.db import Database
from shared.guard import Asking
from shared.problems import ProblemError


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
    digest: UUID | None = Field(None, description="Only what this delivery, a digest, tells of.")
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
        after = read_cursor(wanted.cursor)
        which = Wanted(wanted.state, wanted.receiver, asking.tenant, wanted.digest)
        found = await log.page(which, after, wanted.limit)
        cursor = cursor_of(found[-1]) if len(found) == wanted.limit else None
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
