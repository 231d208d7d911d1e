"""The HTTP side of all services at once, and every operation that its OpenAPI document names."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from fastapi import APIRouter, FastAPI

from services.ingest.__main__ import build as build_ingest
from services.ingest.settings import Settings as IngestSettings
from services.notifier.http_side import router as notifier_router
from services.timer.api import router as timer_router
from shared.callers import Caller, Scope
from shared.configuration import load
from shared.db import Database
from shared.errors import Denied
from shared.guard import Credentials
from shared.metrics import Metrics
from shared.web import Health, application

NOWHERE = {"KAFKA_BOOTSTRAP": "localhost:1", "DATABASE_URL": "postgresql://plazo@localhost:1/plazo"}


class Operation(NamedTuple):
    """One thing that can be asked for."""

    method: str
    path: str  # with its parameters in braces
    needed: Scope | None  # which scope, as the document says


class Ring:
    """Credentials like `read write@acme`: their scopes, and their tenant, without one all of them."""

    async def caller(self, credential: str) -> Caller:
        """Who shows it."""
        scopes, at, tenant = credential.partition("@")
        if not scopes:
            raise Denied("There is no such credential.")
        return Caller(credential, frozenset(scopes.split("+")), tenant if at else None)  # type: ignore[arg-type]


def showing(credential: str) -> dict[str, str]:
    """The header of a request that shows a credential of `Ring`."""
    return {"authorization": f"Bearer {credential}"}


def unconnected() -> list[APIRouter]:
    """The routes of every service, connected to nothing."""
    database = Database(NOWHERE["DATABASE_URL"])
    ingest = build_ingest(load(IngestSettings, NOWHERE), Metrics("", ""))
    return [ingest.router(), timer_router(database), notifier_router(database, lambda: 0)]


def house(routers: list[APIRouter], credentials: Credentials | None) -> FastAPI:
    """All services in one process."""
    return application("Plazo", routers, Health(), Metrics("", ""), credentials)


def operations(app: FastAPI) -> Iterable[Operation]:
    """All that the document names."""
    paths: Mapping[str, Mapping[str, Any]] = app.openapi()["paths"]
    for path, methods in paths.items():
        for method, described in methods.items():
            needed = {scope for way in described["security"] for (scope,) in way.values()}
            yield Operation(method.upper(), path, next(iter(needed), None))
