"""The notifier's HTTP side of receivers that are disabled: which they are, and enabling one again."""

from __future__ import annotations

from datetime import datetime

from fastapi import APIRouter, Path, Response
from pydantic import BaseModel

from services.notifier.endpoint_store import EndpointStore
from shared.callers import Caller
from shared.db import Database
from shared.events import moment
from shared.guard import Asking
from shared.problems import ProblemError


class DisabledView(BaseModel):
    """A receiver that said that it is no more."""

    receiver: str
    reason: str  # what it answered
    disabled_at: datetime
    waiting: int  # deliveries that wait for it, because nobody else could be told


class DisabledReceivers(BaseModel):
    """The receivers to which nothing is sent any more, by name."""

    receivers: list[DisabledView]


def router(database: Database) -> APIRouter:
    """The routes about receivers; they are of the installation, so a caller of one tenant may not ask."""
    routes = APIRouter(tags=["receivers"])
    store = EndpointStore(database)

    @routes.get("/receivers/disabled")
    async def disabled_receivers(asking: Asking) -> DisabledReceivers:
        """The receivers to which nothing is sent any more."""
        _refuse_one_tenant(asking)
        known = await store.disabled()
        waiting = await store.waiting([each.receiver for each in known]) if known else {}
        return DisabledReceivers(
            receivers=[
                DisabledView(
                    receiver=each.receiver,
                    reason=each.reason,
                    disabled_at=moment(each.at),
                    waiting=waiting.get(each.receiver, 0),
                )
                for each in known
            ]
        )

    @routes.post("/receivers/{receiver}/enable", status_code=204)
    async def enable_receiver(asking: Asking, receiver: str = Path(pattern=r"^[^\x00]*$")) -> Response:
        """Enable a receiver again; what waits for it is sent within seconds."""
        _refuse_one_tenant(asking)
        if not await store.enable(receiver):
            raise ProblemError(404, f"No receiver {receiver} is disabled.")
        return Response(status_code=204)

    return routes


def _refuse_one_tenant(asking: Caller) -> None:
    if asking.tenant is not None:
        raise ProblemError(403, "Receivers are the installation's: this needs a credential of every tenant.")
