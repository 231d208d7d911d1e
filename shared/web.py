"""HTTP: an application with health and metrics, its guard, and the server that runs it."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

import uvicorn
from fastapi import APIRouter, FastAPI, Response
from fastapi.responses import JSONResponse, PlainTextResponse, RedirectResponse
from fastapi_offline import FastAPIOffline

from shared.errors import Refused
from shared.events import Instant, parse_instant
from shared.guard import Asking, Credentials, Guard, describe
from shared.http_settings import HttpSettings, is_this_machine
from shared.metrics import Metrics
from shared.problems import OTHERWISE, ProblemError, answer_problems
from shared.version import VERSION

_UNASKED: Final = (
    "HTTP_HOST: others can reach {host}, and nobody would ask them who they are: set API_KEYS_FILE (`./plazo keys new`"
    " makes it) or OIDC_ISSUER and OIDC_AUDIENCE, or leave HTTP_HOST at 127.0.0.1"
)
Check = Callable[[], Awaitable[str | None]]  # None when well, else what is wrong


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


def application(
    title: str, routers: list[APIRouter], health: Health, metrics: Metrics, credentials: Credentials | None
) -> FastAPI:
    """The HTTP side of a process: *routers*, `/healthz/live`, `/healthz/ready`, `/metrics`, `/docs`.

    Without *credentials*, nobody is asked who they are.
    """
    # The documentation page brings its scripts along instead of loading them from elsewhere.
    app: FastAPI = FastAPIOffline(title=title, version=VERSION, responses=OTHERWISE)
    for router in [*routers, _operations(health, metrics)]:
        app.include_router(router)
    answer_problems(app)
    app.add_middleware(Guard, credentials=credentials)
    describe(app)
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
    async def ready(asking: Asking) -> JSONResponse:
        """Whether the process can do its work; names each thing that it needs."""
        report = await health.report()
        well = all(answer == "ok" for answer in report.values())
        # What is wrong names addresses and groups, which are not for everybody who can reach a probe.
        told = report if asking.may("metrics") else {name: _briefly(answer) for name, answer in report.items()}
        return JSONResponse({"status": "ok" if well else "not ready", "checks": dict(told)}, 200 if well else 503)

    @router.get("/metrics", response_class=PlainTextResponse)
    async def exposition() -> Response:
        """All metrics in the Prometheus text format."""
        return Response(metrics.exposition(), media_type="text/plain; version=0.0.4; charset=utf-8")

    return router


def _briefly(answer: str) -> str:
    return answer if answer == "ok" else "not ok"


def listen(settings: HttpSettings) -> socket.socket:
    """A bound socket; port 0 takes a free one.

    Raises:
        Refused: the port is taken, the address is not one of this machine, or others could reach it and nobody would
            ask them who they are.
    """
    sock = _bound(settings.http_host, settings.http_port)
    if not (settings.asks or is_this_machine(sock.getsockname()[0])):
        sock.close()
        raise Refused(_UNASKED.format(host=settings.http_host))
    return sock


def _bound(host: str, port: int) -> socket.socket:
    sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind((host, port))
    except OSError as exc:
        sock.close()
        another = "HTTP_PORT (or `run --port`) chooses another port, HTTP_HOST another address"
        raise Refused(f"cannot listen on {host}:{port}: {exc.strerror}; {another}") from exc
    return sock


class _Server(uvicorn.Server):
    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals to lifecycle."""
        yield


async def serve(app: FastAPI, sock: socket.socket, stop: asyncio.Event) -> None:
    """Serve *app* on *sock* until *stop* is set."""
    server = _Server(
        uvicorn.Config(app, log_config=None, access_log=False, lifespan="off", ws="none", timeout_graceful_shutdown=3)
    )

    async def ender() -> None:
        await stop.wait()
        server.should_exit = True

    task = asyncio.create_task(ender())
    try:
        await server.serve([sock])
    finally:
        task.cancel()
