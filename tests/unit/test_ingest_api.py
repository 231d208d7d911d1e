"""`POST /v1/events`."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import httpx2
import jsonschema
import msgspec
import pytest
from fastapi import FastAPI

from services.ingest.api import Door, router
from services.ingest.normalize import Origin
from services.ingest.openapi import CREATED, REPLIED
from services.ingest.sources import canonical
from shared.cloudevents import Tenancy
from shared.events import SECOND, parse_instant
from shared.metrics import Metrics
from shared.web import Health, application
from tests.fakes import FakeProducer

NOON = parse_instant("2026-01-05T12:00:00Z")
INTAKE = "sla.intake.v1"
SINGLE = "application/cloudevents+json"
BATCH = "application/cloudevents-batch+json"


@pytest.fixture
def producer() -> FakeProducer:
    return FakeProducer()


@pytest.fixture
def app(producer: FakeProducer) -> FastAPI:
    door = Door(
        writer=producer,
        topic=INTAKE,
        origin=Origin("canonical", Tenancy(), largest=2_000),
        future_skew=300 * SECOND,
        body_bytes=5_000,
        answer_s=5.0,
        now=lambda: NOON,
    )
    return application("test", [router(door)], Health(), Metrics("test", "test"), None)


@pytest.fixture
async def http(app: FastAPI) -> AsyncIterator[httpx2.AsyncClient]:
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app=app), base_url="http://plazo") as client:
        yield client


def event(number: int = 1, **changes: Any) -> dict[str, Any]:
    whole = {
        "specversion": "1.0",
        "id": f"e-{number}",
        "source": "/helpdesk",
        "type": "ticket.created",
        "subject": str(number),
        "time": "2026-01-05T11:59:00Z",
        **changes,
    }
    return {name: value for name, value in whole.items() if value is not ...}


async def post(http: httpx2.AsyncClient, body: Any, content_type: str = "application/json", **headers: str) -> Any:
    content = body if isinstance(body, bytes) else msgspec.json.encode(body)
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return await http.post("/v1/events", content=content, headers={"content-type": content_type, **named})


class TestTaken:
    @pytest.mark.parametrize("content_type", [SINGLE, "application/json", f"{SINGLE}; charset=utf-8", SINGLE.upper()])
    async def test_one_event(self, http: httpx2.AsyncClient, producer: FakeProducer, content_type: str) -> None:
        answer = await post(http, event(extra="kept", tenant="acme"), content_type)
        assert (answer.status_code, answer.json()) == (202, {"accepted": 1})
        (record,) = producer.on(INTAKE)
        assert (record.key, record.value) == (b"acme/ticket/1", msgspec.json.encode(event(extra="kept", tenant="acme")))
        assert list(record.headers) == [("content-type", b"application/cloudevents+json")]

    @pytest.mark.parametrize("content_type", [BATCH, "application/json"])
    async def test_a_batch_is_one_record_an_event(
        self, http: httpx2.AsyncClient, producer: FakeProducer, content_type: str
    ) -> None:
        answer = await post(http, [event(1), event(2)], content_type)
        assert (answer.status_code, answer.json()) == (202, {"accepted": 2})
        assert [record.key for record in producer.on(INTAKE)] == [b"default/ticket/1", b"default/ticket/2"]

    async def test_an_empty_batch(self, http: httpx2.AsyncClient, producer: FakeProducer) -> None:
        assert (await post(http, [], BATCH)).json() == {"accepted": 0}
        assert producer.written == {}

    async def test_an_event_in_binary_mode(self, http: httpx2.AsyncClient, producer: FakeProducer) -> None:
        attributes = {f"ce_{name}": value for name, value in event(subject="Caf%C3%A9").items()}
        answer = await post(http, {"attributes": {"priority": "high"}}, **attributes)
        assert answer.status_code == 202, answer.text
        (record,) = producer.on(INTAKE)
        assert record.key.decode() == "default/ticket/Café"
        (read,) = canonical.read(record.headers, record.value or b"", Tenancy())
        assert read.attributes == {"priority": "high"}

    async def test_an_event_in_binary_mode_without_data(self, http: httpx2.AsyncClient) -> None:
        assert (await post(http, b"", **{f"ce_{name}": value for name, value in event().items()})).status_code == 202


class TestRefused:
    async def test_every_bad_field_of_every_event_is_named(
        self, http: httpx2.AsyncClient, producer: FakeProducer
    ) -> None:
        bad = event(2, id=..., time="noon", data={"author": "me"})
        answer = await post(http, [event(1), bad, event(3, type="ticket.exploded")])
        assert (answer.status_code, answer.headers["content-type"]) == (422, "application/problem+json")
        told = {(error["index"], error["field"]) for error in answer.json()["errors"]}
        assert told == {(1, "id"), (1, "time"), (1, "data.author"), (2, "type")}
        assert all(error["message"] for error in answer.json()["errors"])
        assert producer.written == {}

    @pytest.mark.parametrize(
        ("body", "reason"),
        [
            (event(time="2026-01-05T12:05:00.000001Z"), "clock_skew"),
            (event(data={"attributes": {"a": "x" * 2_000}}), "too_large"),
            (event(data={"attributes": {"a": "\0"}}), "invalid"),
            (event(tenant="a/b"), "invalid"),
            ("text", "invalid"),
            ([[event()]], "invalid"),
        ],
    )
    async def test_what_cannot_be_used_says_why(self, http: httpx2.AsyncClient, body: Any, reason: str) -> None:
        answer = await post(http, body)
        assert answer.status_code == 422
        assert [error["reason"] for error in answer.json()["errors"]] == [reason]

    @pytest.mark.parametrize(
        ("body", "content_type"),
        [
            *((body, SINGLE) for body in (b"", b"{", b"\xff", b"not json")),
            *((body, BATCH) for body in (b"", b"{", b"[", b"[1,", b"\xff", b"[" * 4_000)),
            *((body, "application/json") for body in (b"", b"{", b"[1,", b"not json", b"[" * 4_000)),
        ],
    )
    async def test_what_is_not_json_is_a_bad_request(
        self, http: httpx2.AsyncClient, body: bytes, content_type: str
    ) -> None:
        answer = await post(http, body, content_type)
        assert (answer.status_code, answer.headers["content-type"]) == (400, "application/problem+json")

    async def test_binary_data_that_is_not_json_is_a_bad_request(self, http: httpx2.AsyncClient) -> None:
        answer = await post(http, b"{", **{f"ce_{name}": value for name, value in event().items()})
        assert answer.status_code == 400

    @pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", "application/avro"])
    async def test_another_content_type(self, http: httpx2.AsyncClient, content_type: str) -> None:
        answer = await post(http, event(), content_type)
        assert answer.status_code == 415
        assert content_type in answer.json()["detail"]

    async def test_no_content_type(self, http: httpx2.AsyncClient) -> None:
        assert (await http.post("/v1/events", content=b"{}")).status_code == 415

    async def test_a_body_that_says_it_is_too_large(self, http: httpx2.AsyncClient) -> None:
        assert (await post(http, b" " * 5_001)).status_code == 413

    async def test_a_body_that_turns_out_too_large(self, http: httpx2.AsyncClient) -> None:
        async def chunks() -> AsyncIterator[bytes]:
            for _ in range(51):
                yield b" " * 100

        answer = await http.post("/v1/events", content=chunks(), headers={"content-type": SINGLE})
        assert answer.status_code == 413

    async def test_without_kafka_it_is_to_be_sent_again(self, http: httpx2.AsyncClient, producer: FakeProducer) -> None:
        producer.away.add(INTAKE)
        answer = await post(http, event())
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")


class TestDescribed:
    async def test_the_examples_are_taken(self, http: httpx2.AsyncClient) -> None:
        assert (await post(http, [CREATED, REPLIED])).status_code == 202

    async def test_the_examples_fit_the_schemas(self, http: httpx2.AsyncClient) -> None:
        document = (await http.get("/openapi.json")).json()
        content = document["paths"]["/v1/events"]["post"]["requestBody"]["content"]
        for description in content.values():
            for example in description["examples"].values():
                jsonschema.validate(example["value"], description["schema"])
        assert {"202", "400", "413", "415", "422", "503"} <= set(document["paths"]["/v1/events"]["post"]["responses"])

    async def test_the_schema_refuses_what_is_refused(self, http: httpx2.AsyncClient) -> None:
        document = (await http.get("/openapi.json")).json()
        schema = document["paths"]["/v1/events"]["post"]["requestBody"]["content"][SINGLE]["schema"]
        for bad in (event(type="x"), event(id=""), event(subject=...), event(tenant="a/b"), event(data={"public": 1})):
            with pytest.raises(jsonschema.ValidationError):
                jsonschema.validate(bad, schema)
