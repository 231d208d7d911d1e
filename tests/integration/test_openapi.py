"""Every HTTP door against its own OpenAPI document: whatever is asked, the answer is one that the document names."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import Any

import pytest
import requests
import schemathesis
from fastapi import APIRouter
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.specs.openapi import checks

from services.ingest.api import Door
from services.ingest.api import router as ingest_router
from services.ingest.normalize import Origin
from services.notifier.http_side import router as notifier_router
from services.timer.api import router as timer_router
from services.timer.lease_store import LeaseStore
from shared.cloudevents import Tenancy
from shared.db import Database
from shared.events import SECOND, parse_instant
from shared.http_settings import HttpSettings
from shared.metrics import Metrics
from shared.web import Health, application, listen, serve
from tests.fakes import FakeProducer

NOON = parse_instant("2026-01-05T12:00:00Z")
EXAMPLES = 15  # of each operation, sound ones and others
CHECKS = (
    schemathesis.checks.not_a_server_error,
    checks.response_schema_conformance,
    checks.content_type_conformance,
    checks.status_code_conformance,
)


def _ingest(_database: Database) -> APIRouter:
    origin = Origin("canonical", Tenancy(), 2_000)
    return ingest_router(Door(FakeProducer(), "sla.intake.v1", origin, 300 * SECOND, 5_000, 5.0, lambda: NOON))


ROUTERS: dict[str, Callable[[Database], APIRouter]] = {
    "ingest": _ingest,
    "timer": timer_router,
    "notifier": lambda database: notifier_router(database, lambda: NOON),
}


@contextmanager
def served(name: str, database_url: str) -> Iterator[str]:
    """The address of a service's HTTP side, which runs in a thread and a loop of its own."""
    sock = listen(HttpSettings())
    sock.listen()  # so that a request that comes before the server waits for it
    stopping: list[Callable[[], object]] = []
    ready = threading.Event()

    async def main() -> None:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        stopping.append(lambda: loop.call_soon_threadsafe(stop.set))
        ready.set()
        async with _opened(database_url) as database:
            app = application(name, [ROUTERS[name](database)], Health(), Metrics("test", "test"), None)
            await serve(app, sock, stop)

    thread = threading.Thread(target=asyncio.run, args=(main(),))
    thread.start()
    try:
        assert ready.wait(30)
        yield f"http://127.0.0.1:{sock.getsockname()[1]}"
    finally:
        stopping[0]()
        thread.join(30)


@asynccontextmanager
async def _opened(database_url: str) -> AsyncIterator[Database]:
    database = Database(database_url)
    try:
        await LeaseStore(database).install(4)
        yield database
    finally:
        await database.close()


@pytest.mark.parametrize("name", ROUTERS)
def test_no_request_gets_an_answer_that_the_document_does_not_name(name: str, database_url: str) -> None:
    with served(name, database_url) as url:
        schema = schemathesis.openapi.from_url(f"{url}/openapi.json")
        for operation in _operations(schema):
            for mode in GenerationMode:
                _ask(operation, mode)


def _operations(schema: Any) -> list[Any]:
    return [found.ok() for found in schema.get_all_operations()]


def _ask(operation: Any, mode: GenerationMode) -> None:
    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(operation.as_strategy(generation_mode=mode))
    def ask(case: Any) -> None:
        case.call_and_validate(checks=list(CHECKS))

    with suppress(Unsatisfiable):  # nothing can be wrong with a request that takes nothing
        ask()


NUL = "a%00b"
HUGE = "9" * 30


@pytest.mark.parametrize(
    ("name", "path", "expected"),
    [
        # what PostgreSQL cannot hold is nobody's name
        ("notifier", f"/v1/deliveries?receiver={NUL}", {200, 422}),
        ("timer", f"/v1/items/default/ticket/{NUL}", {404}),
        ("timer", f"/v1/items/{NUL}/ticket/1/explanation", {404}),
        # half a surrogate, and bytes that are no UTF-8
        ("notifier", "/v1/deliveries?receiver=%ed%a0%80", {200, 422}),
        ("timer", "/v1/items/%ff/ticket/%ed%a0%80", {404}),
        # cursors that nobody gave: far beyond any time, of another shape, no base64
        (
            "notifier",
            "/v1/deliveries?cursor=WzkyMjMzNzIwMzY4NTQ3NzU4MDcsIjAwMDAwMDAwLTAwMDAtMDAwMC0wMDAwLTAwMDAwMDAwMDAwMCJd",
            {422},
        ),
        ("notifier", "/v1/deliveries?cursor=e30=", {422}),
        ("notifier", "/v1/deliveries?cursor=%00", {422}),
        ("timer", "/v1/clocks?cursor=WzkyMjMzNzIwMzY4NTQ3NzU4MDgsMCwiIl0=", {422}),
        ("timer", "/v1/clocks?cursor=WzAsMCwiXHUwMDAwIl0=", {422}),
        # times without offset, centuries away, and of the wrong length
        ("timer", "/v1/clocks?state=running&due_before=0001-01-01T00:00:00%2B23:59", {200, 422}),
        ("timer", "/v1/clocks?state=running&due_before=9999-12-31T23:59:59-23:59", {200, 422}),
        ("timer", "/v1/items/default/ticket/1/explanation?at=9999-12-31T23:59:59-23:59", {404, 422}),
        ("timer", f"/v1/clocks?limit={HUGE}", {422}),
        ("timer", "/v1/clocks?limit=1e3", {422}),
    ],
)
def test_a_hostile_request_is_answered(name: str, path: str, expected: set[int], database_url: str) -> None:
    with served(name, database_url) as url:
        answer = requests.get(url + path, timeout=30)
    assert answer.status_code in expected, answer.text


@pytest.mark.parametrize(
    ("content_type", "body", "status"),
    [
        ("application/json", b"", 400),
        ("application/json", b"\xff\xfe", 400),
        ("application/json", b"[" * 5_000, 400),
        ("application/json", b'{"a":' * 900, 400),
        ("application/json", b"[" + b"{}," * 1_000 + b"{}]", 422),
        ("application/json", b"NaN", 400),
        ("application/json", b"x" * 6_000, 413),
        ("application/cloudevents-batch+json", b"{}", 400),
        ("application/xml", b"<a/>", 415),
        ("", b"{}", 415),
        ("application/cloudevents+json; charset=utf-16", "{}".encode("utf-16"), 400),
    ],
)
def test_a_hostile_body_is_refused_with_a_reason(
    content_type: str, body: bytes, status: int, database_url: str
) -> None:
    with served("ingest", database_url) as url:
        answer = requests.post(f"{url}/v1/events", body, headers={"content-type": content_type}, timeout=30)
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json"), answer.text
    assert answer.json()["detail"]


@pytest.mark.parametrize("body", [b'{},"tenant":"other"', b"{} {}", b"{}}", b"1,2", b"{"])
def test_data_of_a_binary_event_is_one_json_value(body: bytes, database_url: str) -> None:
    attributes = {"specversion": "1.0", "id": "1", "source": "/", "type": "ticket.created", "subject": "1"}
    headers = {f"ce-{name}": value for name, value in attributes.items()}
    headers |= {"ce-time": "2026-01-05T08:00:00Z", "content-type": "application/json"}
    with served("ingest", database_url) as url:
        answer = requests.post(f"{url}/v1/events", body, headers=headers, timeout=30)
        assert requests.post(f"{url}/v1/events", b"{}", headers=headers, timeout=30).status_code == 202
    assert answer.status_code == 400, answer.text
