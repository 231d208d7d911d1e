"""What the HTTP side of every process has: errors as its OpenAPI document says, and a way in for people."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated, Any

import httpx2
import jsonschema
import pytest
from fastapi import APIRouter, Query

from shared.metrics import Metrics
from shared.web import Health, application


async def broken() -> str | None:
    return "it is away"


@pytest.fixture
async def http() -> AsyncIterator[httpx2.AsyncClient]:
    """A client of a process with one route of its own, which is not ready."""
    routes = APIRouter()

    @routes.get("/numbers")
    async def numbers(least: Annotated[int, Query()]) -> dict[str, int]:
        return {"least": least}

    app = application("Test", [routes], Health({"broker": broken}), Metrics("test", "test"), None)
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app=app), base_url="http://test") as client:
        yield client


async def described(http: httpx2.AsyncClient) -> Any:
    return (await http.get("/openapi.json")).json()["paths"]


async def test_an_error_is_what_the_openapi_document_says(http: httpx2.AsyncClient) -> None:
    answer = await http.get("/numbers", params={"least": "few"})
    assert answer.status_code == 422
    responses = (await described(http))["/numbers"]["get"]["responses"]
    assert responses.keys() == {"200", "default"}
    (content_type,) = responses["default"]["content"]
    assert answer.headers["content-type"] == content_type == "application/problem+json"
    jsonschema.validate(answer.json(), responses["default"]["content"][content_type]["schema"])


async def test_not_being_ready_is_an_answer_that_the_document_knows(http: httpx2.AsyncClient) -> None:
    answer = await http.get("/healthz/ready")
    assert (answer.status_code, answer.json()["checks"]) == (503, {"broker": "it is away"})
    assert "503" in (await described(http))["/healthz/ready"]["get"]["responses"]


async def test_who_knows_only_the_address_is_led_to_the_documentation(http: httpx2.AsyncClient) -> None:
    answer = await http.get("/")
    assert (answer.status_code, answer.headers["location"]) == (307, "/docs")
    assert "Swagger" in (await http.get("/docs")).text
