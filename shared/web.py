"""HTTP: an application with health, metrics and problem+json (RFC 9457), and the server that runs it."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Final

import uvicorn
from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, PlainTextResponse, RedirectResponse
from fastapi_offline import FastAPIOffline
from starlette.exceptions import HTTPException

from shared.errors import Refused, Unavailable
from shared.events import Instant, parse_instant
from shared.metrics import Metrics

_PROBLEM: Final[dict[str, Any]] = {
    "type": "object",
    "required": ["type", "title", "status", "detail"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
    },
}

_OTHERWISE: Final[dict[int | str, dict[str, Any]]] = {
    "default": {
        "description": "Anything else: what is wrong, as RFC 9457 writes it.",
        "content": {"application/problem+json": {"schema": _PROBLEM}},
    }
}
Check = Callable[[], Awaitable[str | None]]  # None when well, else what is wrong


class ProblemError(Exception):
    """An answer that is not a success, as RFC 9457 writes it."""

    def __init__(self, status: int, detail: str, *, kind: str = "about:blank", **extra: Any) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.kind = kind
        self.extra = extra


def asked_instant(name: str, text: str | None) -> Instant | None:
    """The instant that a parameter of a request names; None where it is not given.

    Raises:
        ProblemError: 422, it is no RFC 3339 time.
    """
    if text is None:
        return None
    try:
        return parse_instant(text)
    except ValueError as exc:
        raise ProblemError(422, f"{name}: {exc}") from exc


@dataclass
class Health:
    """What readiness depends on: a named check per need of the service."""

    checks: dict[str, Check] = field(default_factory=dict)

    async def report(self) -> Mapping[str, str]:
        """`ok`, or what is wrong, for each check."""
        names = list(self.checks)
        answers = await asyncio.gather(*(self.checks[name]() for name in names))
        return {name: answer or "ok" for name, answer in zip(names, answers, strict=True)}


def application(title: str, version: str, routers: list[APIRouter], health: Health, metrics: Metrics) -> FastAPI:
    """The HTTP side of a process: *routers*, `/healthz/live`, `/healthz/ready`, `/metrics`, `/docs`."""
    # The documentation page brings its scripts along instead of loading them from elsewhere.
    app: FastAPI = FastAPIOffline(title=title, version=version, responses=_OTHERWISE)
    for router in [*routers, _operations(health, metrics)]:
        app.include_router(router)
    app.add_exception_handler(ProblemError, _problem)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(Unavailable, _unavailable)
    return app


def _operations(health: Health, metrics: Metrics) -> APIRouter:
    router = APIRouter(tags=["operations"])

    @router.get("/", include_in_schema=False)
    async def start() -> RedirectResponse:
        """Show people who only know the address what there is."""
        return RedirectResponse("/docs")

    @router.get("/healthz/live")
    async def live() -> dict[str, str]:
        """Whether the process runs; says nothing about what it depends on."""
        return {"status": "ok"}

    @router.get("/healthz/ready", responses={503: {"description": "What is not `ok` is missing."}})
    async def ready() -> JSONResponse:
        """Whether the process can do its work; names each thing that it needs."""
        report = await health.report()
        well = all(answer == "ok" for answer in report.values())
        return JSONResponse({"status": "ok" if well else "not ready", "checks": dict(report)}, 200 if well else 503)

    @router.get("/metrics", response_class=PlainTextResponse)
    async def exposition() -> Response:
        """All metrics in the Prometheus text format."""
        return Response(metrics.exposition(), media_type="text/plain; version=0.0.4; charset=utf-8")

    return router


def problem_response(status: int, detail: str, *, kind: str = "about:blank", **extra: Any) -> JSONResponse:
    """An `application/problem+json` answer."""
    body = {"type": kind, "title": HTTPStatus(status).phrase, "status": status, "detail": detail, **extra}
    return JSONResponse(body, status, media_type="application/problem+json")


async def _problem(_request: Request, exc: Exception) -> Response:
    if not isinstance(exc, ProblemError):
        raise exc
    return problem_response(exc.status, exc.detail, kind=exc.kind, **exc.extra)


async def _invalid(_request: Request, exc: Exception) -> Response:
    if not isinstance(exc, RequestValidationError):
        raise exc
    errors = [{"field": ".".join(map(str, error["loc"])), "message": error["msg"]} for error in exc.errors()]
    return problem_response(422, "The request is not valid.", errors=errors)


async def _http_error(_request: Request, exc: Exception) -> Response:
    if not isinstance(exc, HTTPException):
        raise exc
    return problem_response(exc.status_code, str(exc.detail))


async def _unavailable(_request: Request, exc: Exception) -> Response:
    response = problem_response(503, str(exc))
    response.headers["Retry-After"] = "1"
    return response


def listen(host: str, port: int) -> socket.socket:
    """A bound socket; port 0 takes a free one.

    Raises:
        Refused: the port is taken, or the address is not one of this machine.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind((host, port))
    except OSError as exc:
        sock.close()
        raise Refused(f"cannot listen on {host}:{port}: {exc.strerror}") from exc
    return sock


class _Server(uvicorn.Server):
    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals to lifecycle."""
        yield


async def serve(app: FastAPI, sock: socket.socket, stop: asyncio.Event) -> None:
    """Serve *app* on *sock* until *stop* is set."""
    server = _Server(
        uvicorn.Config(app, log_config=None, access_log=False, lifespan="off", timeout_graceful_shutdown=3)
    )

    async def ender() -> None:
        await stop.wait()
        server.should_exit = True

    task = asyncio.create_task(ender())
    try:
        await server.serve([sock])
    finally:
        task.cancel()
