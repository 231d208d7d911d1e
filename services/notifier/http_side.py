"""The whole of the notifier's HTTP side."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from fastapi import APIRouter

from services.notifier import alert_api, api, digest_page, link_page, silences_api
from services.notifier.links import Links
from shared.db import Database
from shared.events import Instant


def router(
    database: Database,
    now: Callable[[], Instant],
    links: Links | None = None,
    silenced: asyncio.Event | None = None,
) -> APIRouter:
    """Every route of the notifier; without *links*, no link opens anything.

    *silenced* is set when there is another silence, or one less.
    """
    routes = APIRouter()
    parts = (
        api.router(database),
        alert_api.router(database, now),
        alert_api.resending(database, now),
        link_page.router(database, now, links),
        digest_page.router(database, now, links),
        silences_api.silences_router(database, now, silenced or asyncio.Event()),
    )
    for part in parts:
        routes.include_router(part)
    return routes
