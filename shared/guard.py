"""The guard of the HTTP side: finds out who asks, before anything else looks at a request.

Every request needs a credential, unless `needed_scope` says otherwise: a route that is new is closed until somebody
opens it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final, Protocol

import structlog
from fastapi import Depends, FastAPI, Request
from fastapi.responses import JSONResponse
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Send
from starlette.types import Scope as Connection

from shared.callers import ANYBODY, NOBODY, Caller, Scope, needed_scope
from shared.errors import Denied, Unavailable
from shared.problems import problem_response, unavailable_response

log = structlog.get_logger(__name__)
_REALM: Final = 'Bearer realm="plazo"'
_NOTHING: Final = "Show a credential: `Authorization: Bearer`, and an API key or a token."
_LONGEST: Final = 16_384  # characters of a credential
_OPERATIONS: Final = frozenset({"get", "put", "post", "delete", "options", "head", "patch", "trace"})
_SCHEMES: Final[Mapping[str, Any]] = {
    "apiKey": {"type": "http", "scheme": "bearer", "description": "An API key, as `./plazo keys new` makes it."},
    "token": {
        "type": "http",
        "scheme": "bearer",
        "bearerFormat": "JWT",
        "description": "A token of the issuer that the process trusts.",
    },
}


class Credentials(Protocol):
    """Knows whose a credential is."""

    async def caller(self, credential: str) -> Caller:
        """Who shows *credential*; Denied when it opens nothing, Unavailable when that cannot be known now."""


def _caller(request: Request) -> Caller:
    caller: Caller = request.state.caller  # the guard, which stands before every route, wrote it there
    return caller


Asking = Annotated[Caller, Depends(_caller)]
"""The parameter of a route that wants to know who asks."""


class Guard:
    """Lets requests through to *app* whose caller may do what they ask; without *credentials*, all of them.

    A write is logged with its caller, and so is whoever was turned away; what they showed is not.
    """

    def __init__(self, app: ASGIApp, credentials: Credentials | None) -> None:
        self._app = app
        self._credentials = credentials

    async def __call__(self, connection: Connection, receive: Receive, send: Send) -> None:
        """Answer one request, or let it through."""
        if connection["type"] != "http":
            await self._app(connection, receive, send)
            return
        needed = needed_scope(connection["method"], connection["path"])
        try:
            caller = await self._who(connection, needed)
        except Denied as exc:
            _note("turned away", connection, status=401, reason=str(exc))
            await _unknown(str(exc))(connection, receive, send)
            return
        except Unavailable as exc:
            await unavailable_response(exc)(connection, receive, send)
            return
        if needed is not None and not caller.may(needed):
            _note("turned away", connection, status=403, caller=caller.name, needed=needed)
            await _insufficient(needed)(connection, receive, send)
            return
        connection.setdefault("state", {})["caller"] = caller
        await self._app(connection, receive, _noting(connection, caller, send) if needed == "write" else send)

    async def _who(self, connection: Connection, needed: Scope | None) -> Caller:
        if self._credentials is None:
            return ANYBODY
        try:
            return await self._credentials.caller(_shown(connection))
        except (Denied, Unavailable):
            if needed is None:
                return NOBODY
            raise


def _shown(connection: Connection) -> str:
    # The credential of a request.
    given = Headers(scope=connection).getlist("authorization")
    scheme, _, credential = given[0].strip().partition(" ") if len(given) == 1 else ("", "", "")
    if scheme.lower() != "bearer" or not credential.strip():
        raise Denied(_NOTHING)
    if len(credential) > _LONGEST or not credential.isascii():
        raise Denied("The credential is neither an API key nor a token.")
    return credential.strip()


def _unknown(reason: str) -> JSONResponse:
    response = problem_response(401, reason)
    error = "" if reason == _NOTHING else ', error="invalid_token"'
    response.headers["WWW-Authenticate"] = f"{_REALM}{error}"
    return response


def _insufficient(needed: Scope) -> JSONResponse:
    everybody = " and every tenant" if needed == "metrics" else ""
    response = problem_response(403, f"This needs a credential with the scope {needed}{everybody}.")
    response.headers["WWW-Authenticate"] = f'{_REALM}, error="insufficient_scope", scope="{needed}"'
    return response


def _noting(connection: Connection, caller: Caller, send: Send) -> Send:
    async def noting(message: Message) -> None:
        if message["type"] == "http.response.start":
            _note("write over HTTP", connection, status=message["status"], caller=caller.name, tenant=caller.tenant)
        await send(message)

    return noting


def _note(event: str, connection: Connection, **more: Any) -> None:
    client = connection.get("client")
    log.info(event, method=connection["method"], path=connection["path"], client=client and client[0], **more)


def describe(app: FastAPI) -> None:
    """Let the OpenAPI document of *app* say what each operation needs."""
    plain = app.openapi

    def openapi() -> dict[str, Any]:
        document = plain()
        document.setdefault("components", {})["securitySchemes"] = dict(_SCHEMES)
        for path, operations in document.get("paths", {}).items():
            for method in operations.keys() & _OPERATIONS:
                needed = needed_scope(method.upper(), path)
                operations[method]["security"] = [{name: [needed]} for name in _SCHEMES] if needed else []
        return document

    app.openapi = openapi  # type: ignore[method-assign] # how FastAPI wants it replaced
