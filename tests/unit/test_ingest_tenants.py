"""Whose events are that come over HTTP: those of the credential's tenant."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import httpx2
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.ingest.api import Door, router
from services.ingest.normalize import Origin
from services.ingest.sources import canonical
from shared.callers import Caller
from shared.cloudevents import Tenancy, decode_structured
from shared.errors import BadRecord
from shared.events import SECOND, parse_instant
from shared.metrics import Metrics
from shared.web import Health, application
from tests.fakes import FakeProducer

INTAKE = "sla.intake.v1"


class Ring:
    """A credential is the name of its tenant."""

    async def caller(self, credential: str) -> Caller:
        return Caller(credential, frozenset({"write"}), None if credential == "all" else credential)


@pytest.fixture
def producer() -> FakeProducer:
    return FakeProducer()


@pytest.fixture
async def http(producer: FakeProducer) -> AsyncIterator[httpx2.AsyncClient]:
    door = Door(
        writer=producer,
        topic=INTAKE,
        origin=Origin("canonical", Tenancy(), largest=400),
        future_skew=300 * SECOND,
        body_bytes=5_000,
        answer_s=5.0,
        now=lambda: parse_instant("2026-01-05T12:00:00Z"),
    )
    app = application("test", [router(door)], Health(), Metrics("", ""), Ring())
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app=app), base_url="http://plazo") as client:
        yield client


def event(**changes: Any) -> dict[str, Any]:
    sound = {"specversion": "1.0", "id": "1", "source": "/", "type": "ticket.created", "subject": "1"}
    return {**sound, "time": "2026-01-05T11:59:00Z", **changes}


async def post(http: httpx2.AsyncClient, tenant: str, body: Any, **headers: str) -> Any:
    content = body if isinstance(body, bytes) else msgspec.json.encode(body)
    shown = {"authorization": f"Bearer {tenant}", "content-type": "application/json", **headers}
    return await http.post("/v1/events", content=content, headers=shown)


@pytest.mark.parametrize("named", [{}, {"tenant": None}, {"tenant": "acme"}])
async def test_an_event_is_of_the_tenant_of_the_credential(
    http: httpx2.AsyncClient, producer: FakeProducer, named: dict[str, Any]
) -> None:
    assert (await post(http, "acme", event(**named))).status_code == 202
    (record,) = producer.on(INTAKE)
    assert record.key == b"acme/ticket/1"
    assert decode_structured(record.value or b"").tenant == "acme"  # what ingest reads of it later


async def test_an_event_in_binary_mode_is_of_the_tenant_of_the_credential(
    http: httpx2.AsyncClient, producer: FakeProducer
) -> None:
    headers = {f"ce-{name}": value for name, value in event().items()}
    assert (await post(http, "acme", b"{}", **headers)).status_code == 202
    assert [record.key for record in producer.on(INTAKE)] == [b"acme/ticket/1"]


NAMED_TWICE = msgspec.json.encode(event(tenant="acme"))[:-1] + b',"tenant":"globex"}'


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (event(tenant="globex"), {}),
        # The last of two members counts, for us and for whoever reads it after us.
        (NAMED_TWICE, {}),
        (NAMED_TWICE.replace(b'"tenant":"globex"', b'"t\\u0065nant":"globex"'), {}),
        (b"{}", {f"ce-{name}": value for name, value in event(tenant="globex").items()}),
        (event(tenant="Acme"), {}),
    ],
)
async def test_an_event_of_another_tenant_is_refused(
    http: httpx2.AsyncClient, producer: FakeProducer, body: Any, headers: dict[str, str]
) -> None:
    answer = await post(http, "acme", body, **headers)
    assert (answer.status_code, answer.headers["content-type"]) == (403, "application/problem+json")
    assert answer.json()["errors"] == [
        {
            "index": 0,
            "field": "tenant",
            "reason": "forbidden",
            "message": "expected acme, whose credential this is, or none",
        }
    ]
    assert producer.written == {}


async def test_a_body_does_not_break_out_of_the_data(http: httpx2.AsyncClient, producer: FakeProducer) -> None:
    headers = {f"ce-{name}": value for name, value in event(tenant="acme").items()}
    assert (await post(http, "acme", b'{},"tenant":"globex"', **headers)).status_code == 400
    assert producer.written == {}


async def test_one_foreign_event_refuses_the_batch_with_all_that_is_wrong_in_it(
    http: httpx2.AsyncClient, producer: FakeProducer
) -> None:
    answer = await post(http, "acme", [event(), event(tenant="globex"), event(time="noon")])
    assert answer.status_code == 403
    assert [(error["index"], error["field"]) for error in answer.json()["errors"]] == [(1, "tenant"), (2, "time")]
    assert producer.written == {}


async def test_what_is_too_large_with_its_tenant_is_refused_before_it_is_promised(
    http: httpx2.AsyncClient, producer: FakeProducer
) -> None:
    space = 400 - len(msgspec.json.encode(event(extra="")))
    assert (await post(http, "all", event(extra="x" * space))).status_code == 202
    answer = await post(http, "acme", event(extra="x" * space))
    assert (answer.status_code, answer.json()["errors"][0]["reason"]) == (422, "too_large")
    assert len(producer.on(INTAKE)) == 1


async def test_a_credential_of_all_tenants_speaks_for_each(http: httpx2.AsyncClient, producer: FakeProducer) -> None:
    assert (await post(http, "all", [event(tenant="globex"), event()])).status_code == 202
    assert [record.key for record in producer.on(INTAKE)] == [b"globex/ticket/1", b"default/ticket/1"]


@given(st.recursive(st.none() | st.text() | st.integers(-5, 5), lambda part: st.dictionaries(st.text(), part)))
def test_whatever_an_event_says_it_is_read_as_of_the_credential_or_refused(told: Any) -> None:
    whole = {**event(), **told} if isinstance(told, dict) else told
    stamped = canonical.spoken_for(msgspec.json.encode(whole), "acme")
    try:
        read = decode_structured(stamped)
    except BadRecord:
        return
    assert read.tenant == (whole.get("tenant") or "acme")


@given(st.binary())
def test_what_is_no_json_stays_as_it_is(value: bytes) -> None:
    stamped = canonical.spoken_for(value, "acme")
    assert stamped == value or msgspec.json.decode(stamped)["tenant"]
