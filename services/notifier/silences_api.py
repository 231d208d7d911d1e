"""The notifier's HTTP side of silences: made, listed, shown, ended, and what one would hide."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID, uuid4

from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel, Field

from services.notifier import message
from services.notifier.cursor import cursor_of, read_cursor
from services.notifier.holding.preview import preview
from services.notifier.holding.silences import Silence, SilenceState
from services.notifier.silence_model import Matched, SilenceModel
from services.notifier.silence_store import Made, SilenceStore, silence_of
from shared.breach_records import PublishedRecord
from shared.callers import Caller
from shared.db import Database
from shared.events import DAY, Instant
from shared.guard import Asking
from shared.problems import ProblemError


class SilenceView(BaseModel):
    """A silence, and how much it hid."""

    id: UUID
    tenant: str | None  # null: of every tenant
    match: dict[str, list[str]]
    regex: dict[str, str]
    when: str | None
    starts_at: datetime = Field(serialization_alias="from")
    ends_at: datetime = Field(serialization_alias="until")
    author: str
    reason: str
    state: SilenceState
    hidden: int  # deliveries
    created_at: datetime
    expired_by: str | None  # who ended it early


class SilencePage(BaseModel):
    """Silences, the newest first, and the cursor of the next page (null on the last)."""

    silences: list[SilenceView]
    next_cursor: str | None


class Example(BaseModel):
    """Something that would be hidden."""

    item: str  # tenant/kind/id; of a silent source tenant/source/name
    headline: str
    time: datetime


class PreviewView(BaseModel):
    """What of the last day and of the open alerts a silence would hide, as if it had been in force."""

    events: int  # of the last day
    deliveries: int  # that those called for
    open_alerts: int
    examples: list[Example]  # the worst, at most 20; open ones first


def silences_router(database: Database, now: Callable[[], Instant], changed: asyncio.Event) -> APIRouter:
    """The routes of silences; *changed* is set when there is another one, or one less."""
    routes = APIRouter(prefix="/v1/silences", tags=["silences"])
    store = SilenceStore(database)
    _add_reading(routes, store, now)

    @routes.post("", status_code=201)
    async def add(asking: Asking, wanted: SilenceModel) -> SilenceView:
        """Silence what matches for a while; what begins while it lasts is told to nobody."""
        made = _silence(wanted, asking, now())
        await store.add(Made(made, wanted.asked), now())
        changed.set()
        return await _one(store, made.id, asking, now())

    @routes.delete("/{silence_id}")
    async def expire(asking: Asking, silence_id: UUID) -> SilenceView:
        """End a silence now; one that is over stays as it is. What it hid and is still open is told."""
        if not await store.expire(silence_id, asking.tenant, asking.name, now()):
            raise ProblemError(404, f"There is no silence {silence_id}.")
        changed.set()
        return await _one(store, silence_id, asking, now())

    return routes


def _add_reading(routes: APIRouter, store: SilenceStore, now: Callable[[], Instant]) -> None:
    @routes.get("")
    async def silences(
        asking: Asking,
        request: Request,
        response: Response,
        limit: Annotated[int, Query(ge=1, le=1000, description="Silences in a page.")] = 100,
        cursor: Annotated[str | None, Query(description="The `next_cursor` of the page before.")] = None,
    ) -> SilencePage:
        """Silences, the newest first: to come, in force and over."""
        found = await store.page(asking.tenant, read_cursor(cursor), limit)
        following = cursor_of(found[-1]) if len(found) == limit else None
        if following is not None:
            response.headers["Link"] = f'<{request.url.include_query_params(cursor=following)}>; rel="next"'
        return SilencePage(silences=[_view(row, now()) for row in found], next_cursor=following)

    @routes.get("/{silence_id}")
    async def silence(asking: Asking, silence_id: UUID) -> SilenceView:
        """One silence, with how much it hid."""
        return await _one(store, silence_id, asking, now())

    @routes.post("/preview")
    async def show(asking: Asking, wanted: Matched) -> PreviewView:
        """What a silence would hide of the last day and of the open alerts; it changes nothing."""
        tenant = _tenant(wanted, asking)
        at = now()
        asked = Silence(uuid4(), tenant, wanted.conditions, at, at + DAY, asking.name, "preview")
        found = preview(asked, await store.late(tenant, at), await store.open_alerts(tenant))
        examples = [_example(each) for each in found.examples]
        return PreviewView(
            events=found.events, deliveries=found.deliveries, open_alerts=found.open_alerts, examples=examples
        )


async def _one(store: SilenceStore, identity: UUID, asking: Caller, now: Instant) -> SilenceView:
    found = await store.one(identity, asking.tenant)
    if found is None:
        raise ProblemError(404, f"There is no silence {identity}.")
    return _view(found, now)


def _silence(wanted: SilenceModel, asking: Caller, now: Instant) -> Silence:
    try:
        return wanted.silence(uuid4(), _tenant(wanted, asking), now)
    except ValueError as exc:
        raise ProblemError(422, str(exc)) from exc


def _tenant(wanted: Matched, asking: Caller) -> str | None:
    if wanted.tenant is not None and not asking.sees(wanted.tenant):
        raise ProblemError(403, "Nobody may silence what is another tenant's.")
    return asking.tenant if wanted.tenant is None else wanted.tenant


def _view(row: Mapping[str, Any], now: Instant) -> SilenceView:
    asked = row["asked"]
    told = {"match": asked.get("match", {}), "regex": asked.get("regex", {}), "when": asked.get("when")}
    return SilenceView(**{**row, **told, "state": silence_of(row).state(now)})


def _example(record: PublishedRecord) -> Example:
    return Example(item=record.key, headline=message.headline(record), time=record.time)
