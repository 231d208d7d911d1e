"""The timer's HTTP side: read only."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable
from typing import Annotated, Final

import msgspec
from fastapi import APIRouter, Query
from pydantic import BaseModel

from services.timer.explaining.explanation_api import explanation_router
from services.timer.query_store import Page, QueryStore, StoredItem
from services.timer.view import STATE_BITS, ClockState, ClockView, ItemView, clocks_of, item_view
from shared.db import Database
from shared.events import Instant, Kind, parse_instant
from shared.guard import Asking
from shared.kafka.producer import partition_of
from shared.problems import ProblemError
from shared.web import asked_instant

_PLACE: Final = msgspec.json.Decoder(
    tuple[
        Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)], Annotated[int, msgspec.Meta(ge=0, le=2**31 - 1)], str
    ]
)
_NO_CURSOR: Final = "cursor: expected the next_cursor of another page"


class ClockPage(BaseModel):
    """Clocks, and the cursor of the next page (null on the last)."""

    clocks: list[ClockView]
    next_cursor: str | None


def router(database: Database) -> APIRouter:
    """The routes that show items and clocks."""
    routes = APIRouter(prefix="/v1", tags=["clocks"])
    routes.include_router(explanation_router(database))
    store = QueryStore(database)

    @routes.get("/items/{tenant}/{kind}/{item_id:path}")
    async def item(asking: Asking, tenant: str, kind: Kind, item_id: str) -> ItemView:
        """One item with its clocks, and why each is as it is."""
        key = f"{tenant}/{kind}/{item_id}"
        # No item has a NUL in its key, and no query may. Another tenant's item is as good as none.
        count = await store.partitions() if asking.sees(tenant) and "\0" not in key else 0
        found = await store.item(partition_of(key.encode(), count), key) if count else None
        if found is None:
            raise ProblemError(404, f"There is no item {key}.")
        return item_view(key, found.state, found.ledger, quarantined=found.quarantined)

    @routes.get("/clocks")
    async def clocks(
        asking: Asking,
        state: Annotated[list[ClockState] | None, Query(description="Only clocks in one of these states.")] = None,
        due_before: Annotated[str | None, Query(description="RFC 3339; only with state=running.")] = None,
        limit: Annotated[int, Query(ge=1, le=1000, description="Items in a page.")] = 100,
        cursor: str | None = None,
    ) -> ClockPage:
        """Clocks by state. Running ones come in the order in which their items need attention next, others by item."""
        states = state or list(STATE_BITS)
        bits = sum(STATE_BITS[each] for each in set(states))
        page = Page(_read_cursor(cursor), limit, asking.tenant)
        before = asked_instant("due_before", due_before)
        if states == ["running"]:
            found = await store.due(bits, before, page)
        elif before is not None:
            raise ProblemError(422, "due_before needs state=running: no other clock is due.")
        else:
            found = await store.all(bits, page)
        views = [view for view in _clocks(found, before) if view.state in states]
        return ClockPage(clocks=views, next_cursor=_cursor(found[-1]) if len(found) == limit else None)

    return routes


def _clocks(items: Iterable[StoredItem], before: Instant | None) -> list[ClockView]:
    views = [view for row in items for view in clocks_of(row.key, row.state, row.ledger)]
    if before is None:
        return views
    # What comes next for an item may be a warning, or another clock's.
    return [view for view in views if view.due_at is not None and parse_instant(view.due_at) < before]


def _cursor(row: StoredItem) -> str:
    place = msgspec.json.encode((row.next_due or 0, row.partition, row.key))
    return base64.urlsafe_b64encode(place).decode()


def _read_cursor(cursor: str | None) -> tuple[int, int, str] | None:
    if cursor is None:
        return None
    try:
        place: tuple[int, int, str] = _PLACE.decode(base64.urlsafe_b64decode(cursor))
    except (msgspec.DecodeError, binascii.Error, ValueError) as exc:
        raise ProblemError(422, _NO_CURSOR) from exc
    if "\0" in place[2]:
        raise ProblemError(422, _NO_CURSOR)
    return place
