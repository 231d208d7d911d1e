"""The page that the link in a digest opens: all that the digest tells of."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from fastapi import APIRouter, Response

from services.notifier.delivery_log import DeliveryLog, Wanted
from services.notifier.link_page import GONE, Page
from services.notifier.links import DIGESTS, Links
from services.notifier.wording import one_line
from shared.breach_records import TYPE_NAMES
from shared.db import Database
from shared.errors import Denied
from shared.events import Instant

MOST: Final = 1_000  # of them are listed; the API has the others


def router(database: Database, now: Callable[[], Instant], links: Links | None) -> APIRouter:
    """The route of the links; without *links* there are none of ours."""
    routes = APIRouter(include_in_schema=False)
    log = DeliveryLog(database)

    @routes.get(DIGESTS + "{token}")
    async def listed(token: str) -> Response:
        """List what the digest tells of."""
        if links is None:
            return GONE.answer(404)
        try:
            digest = links.digest_in(token, now())
        except Denied:
            return GONE.answer(404)
        found = await log.page(Wanted(digest=digest), None, MOST)
        return _page(found).answer() if found else GONE.answer(404)

    return routes


def _page(found: list[dict[str, Any]]) -> Page:
    more = " or more" if len(found) == MOST else ""
    return Page(f"{len(found)}{more} alerts told together", [(one_line(each["item"]), _what(each)) for each in found])


def _what(told: Mapping[str, Any]) -> str:
    metric = (told["metric"] or "").replace("_", " ")
    return one_line(f"{TYPE_NAMES[told['type']]} {metric}".strip())
