"""The whole of the notifier's HTTP side."""

from __future__ import annotations

from collections.abc import Callable

from fastapi import APIRouter

from services.notifier import alert_api, api, link_page
from services.notifier.links import Links
from shared.db import Database
from shared.events import Instant


def router(database: Database, now: Callable[[], Instant], links: Links | None = None) -> APIRouter:
    """Every route of the notifier; without *links*, no link opens anything."""
    routes = APIRouter()
    parts = (
        api.router(database),
        alert_api.router(database, now),
        alert_api.resending(database, now),
        link_page.router(database, now, links),
    )
    for part in parts:
        routes.include_router(part)
    return routes
