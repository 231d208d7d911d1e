"""The route that explains an item."""

from __future__ import annotations

import asyncio
from typing import Annotated

from fastapi import APIRouter, Query, Response

from services.timer.explaining.explainer import Explainer, Forgotten
from services.timer.explaining.explanation import Explanation
from services.timer.explaining.explanation_model import ExplanationView
from services.timer.explaining.explanation_view import explanation_view, page
from shared.db import Database
from shared.events import Instant, Kind
from shared.guard import Asking
from shared.problems import ProblemError
from shared.web import asked_instant


def explanation_router(database: Database) -> APIRouter:
    """The route that explains an item; it must come before that of the item, whose id may have slashes."""
    routes = APIRouter()
    explainer = Explainer(database)

    @routes.get("/items/{tenant}/{kind}/{item_id:path}/explanation", response_model=ExplanationView)
    async def explanation(  # noqa: PLR0913, PLR0917 # one argument for each parameter of the request
        asking: Asking,
        tenant: str,
        kind: Kind,
        item_id: str,
        at: Annotated[str | None, Query(description="RFC 3339; by default now.")] = None,
        since: Annotated[str | None, Query(description="The next_since of another page, with that page's at.")] = None,
        limit: Annotated[int, Query(ge=1, le=10_000, description="About how many entries make a page.")] = 1000,
    ) -> Response:
        """Why the clocks of an item are as they are: policies, spans, due times, and the events that made them so."""
        key = f"{tenant}/{kind}/{item_id}"
        as_of, begins = asked_instant("at", at), asked_instant("since", since)
        try:
            found = await explainer.explain(key, as_of) if asking.sees(tenant) else None
        except Forgotten as exc:
            raise ProblemError(410, str(exc)) from exc
        if found is None:
            raise ProblemError(404, f"There is no item {key}.")
        # A page of a long life takes tens of milliseconds, for which no deadline is to wait.
        return Response(await asyncio.to_thread(_page, found, begins, limit), media_type="application/json")

    return routes


def _page(found: Explanation, since: Instant | None, limit: int) -> str:
    return explanation_view(found, page(found, since, limit)).model_dump_json()
