"""Answers that are no success, as RFC 9457 writes them: `application/problem+json`."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any, Final

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from shared.errors import Unavailable

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

OTHERWISE: Final[dict[int | str, dict[str, Any]]] = {
    "default": {
        "description": "Anything else: what is wrong, as RFC 9457 writes it.",
        "content": {"application/problem+json": {"schema": _PROBLEM}},
    }
}
"""What the OpenAPI document says of every route."""


class ProblemError(Exception):
    """An answer that is not a success, as RFC 9457 writes it."""

    def __init__(self, status: int, detail: str, *, kind: str = "about:blank", **extra: Any) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.kind = kind
        self.extra = extra


def problem_response(status: int, detail: str, *, kind: str = "about:blank", **extra: Any) -> JSONResponse:
    """An `application/problem+json` answer."""
    body = {"type": kind, "title": HTTPStatus(status).phrase, "status": status, "detail": detail, **extra}
    return JSONResponse(body, status, media_type="application/problem+json")


def unavailable_response(exc: Unavailable) -> JSONResponse:
    """The answer while something outside does not answer."""
    response = problem_response(503, str(exc))
    response.headers["Retry-After"] = "1"
    return response


def answer_problems(app: FastAPI) -> None:
    """Let *app* answer every error in this way."""
    app.add_exception_handler(ProblemError, _problem)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(Unavailable, _unavailable)
    app.add_exception_handler(Exception, _bug)


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
    if not isinstance(exc, Unavailable):
        raise exc
    return unavailable_response(exc)


async def _bug(_request: Request, _exc: Exception) -> Response:
    # What it was goes into the log, with its traceback, and is nobody's business outside.
    return problem_response(500, "An error inside Plazo; its log has more.")
