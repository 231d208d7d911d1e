"""The guard of the HTTP side: who comes in, what the others are told, and what is noted."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import httpx2
import pytest
import structlog
from fastapi import APIRouter, FastAPI

from shared.callers import Caller
from shared.errors import Denied, Refused, Unavailable
from shared.guard import Asking
from shared.http_settings import HttpSettings, is_this_machine
from shared.metrics import Metrics
from shared.web import Health, application, listen

READER = Caller("key reader", frozenset({"read"}), "acme")
WRITER = Caller("key writer", frozenset({"write"}), "acme")
METER = Caller("key meter", frozenset({"metrics"}))
ADMIN = Caller("key admin", frozenset({"admin"}))


class Ring:
    """Credentials that are their names; `away` cannot be looked up now."""

    known: Mapping[str, Caller] = {"reader": READER, "writer": WRITER, "meter": METER, "admin": ADMIN}

    async def caller(self, credential: str) -> Caller:
        if credential == "away":
            raise Unavailable("the issuer is away")
        if credential not in self.known:
            raise Denied("The API key was revoked.")
        return self.known[credential]


async def broken() -> str | None:
    return "PostgreSQL at db.internal does not answer"


def house(credentials: Ring | None) -> FastAPI:
    routes = APIRouter(prefix="/v1")

    @routes.get("/things")
    async def things(asking: Asking) -> dict[str, str]:
        return {"asking": asking.name}

    @routes.post("/things")
    async def make() -> dict[str, str]:
        return {}

    return application("test", [routes], Health({"database": broken}), Metrics("", ""), credentials)


@asynccontextmanager
async def opened(credentials: Ring | None) -> AsyncIterator[httpx2.AsyncClient]:
    transport = httpx2.ASGITransport(app=house(credentials))
    async with httpx2.AsyncClient(transport=transport, base_url="http://plazo") as client:
        yield client


@pytest.fixture
async def http() -> AsyncIterator[httpx2.AsyncClient]:
    async with opened(Ring()) as client:
        yield client


def showing(credential: str) -> dict[str, str]:
    return {"authorization": f"Bearer {credential}"}


async def test_a_caller_who_may_is_let_in_and_known(http: httpx2.AsyncClient) -> None:
    answer = await http.get("/v1/things", headers=showing("reader"))
    assert (answer.status_code, answer.json()) == (200, {"asking": "key reader"})


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"authorization": ""},
        {"authorization": "Bearer"},
        {"authorization": "Bearer  "},
        {"authorization": "reader"},
        {"authorization": "Basic cmVhZGVy"},
        {"x-api-key": "reader"},
        [("authorization", "Bearer reader"), ("authorization", "Bearer reader")],  # which one counts is not guessed
        {"cookie": "authorization=Bearer reader"},
    ],
)
async def test_without_a_credential_the_answer_says_how_to_show_one(http: httpx2.AsyncClient, headers: Any) -> None:
    answer = await http.get("/v1/things", headers=headers, params={"access_token": "reader"})
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == 'Bearer realm="plazo"'
    assert answer.headers["content-type"] == "application/problem+json"
    assert "Authorization: Bearer" in answer.json()["detail"]


@pytest.mark.parametrize("credential", ["thief", "r" * 20_000, "läser".encode().decode("latin-1"), "reader admin"])
async def test_a_credential_that_opens_nothing(http: httpx2.AsyncClient, credential: str) -> None:
    headers = [(b"authorization", b"Bearer " + credential.encode("latin-1"))]
    answer = await http.get("/v1/things", headers=headers)
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == 'Bearer realm="plazo", error="invalid_token"'


async def test_the_scheme_is_written_in_any_case(http: httpx2.AsyncClient) -> None:
    assert (await http.get("/v1/things", headers={"authorization": "bEARER reader"})).status_code == 200


@pytest.mark.parametrize(
    ("method", "path", "credential", "scope"),
    [
        ("GET", "/v1/things", "writer", "read"),
        ("GET", "/v1/things", "meter", "read"),
        ("POST", "/v1/things", "reader", "write"),
        ("GET", "/metrics", "reader", "metrics"),
    ],
)
async def test_a_caller_without_the_scope_is_told_which(
    http: httpx2.AsyncClient, method: str, path: str, credential: str, scope: str
) -> None:
    answer = await http.request(method, path, headers=showing(credential))
    assert (answer.status_code, answer.headers["content-type"]) == (403, "application/problem+json")
    assert answer.headers["www-authenticate"] == f'Bearer realm="plazo", error="insufficient_scope", scope="{scope}"'


async def test_the_scope_of_metrics_reads_them(http: httpx2.AsyncClient) -> None:
    assert "sla_" in (await http.get("/metrics", headers=showing("meter"))).text


async def test_while_a_credential_cannot_be_looked_up_the_caller_is_to_come_back(http: httpx2.AsyncClient) -> None:
    answer = await http.get("/v1/things", headers=showing("away"))
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")


@pytest.mark.parametrize("path", ["/v1/nothing", "/v1", "/v2/things", "/metrics/", "/healthz"])
async def test_what_does_not_exist_is_not_told_to_strangers(http: httpx2.AsyncClient, path: str) -> None:
    assert (await http.get(path)).status_code == 401


@pytest.mark.parametrize("path", ["/healthz/live", "/docs", "/redoc", "/openapi.json", "/"])
async def test_probes_and_documentation_are_open(http: httpx2.AsyncClient, path: str) -> None:
    assert (await http.get(path)).status_code in {200, 307}


@pytest.mark.parametrize(
    ("credential", "told"),
    [
        ("", "not ok"),
        ("thief", "not ok"),
        ("away", "not ok"),
        ("reader", "not ok"),
        ("meter", "PostgreSQL at db.internal does not answer"),
        ("admin", "PostgreSQL at db.internal does not answer"),
    ],
)
async def test_what_is_missing_is_told_to_operators_only(http: httpx2.AsyncClient, credential: str, told: str) -> None:
    answer = await http.get("/healthz/ready", headers=showing(credential) if credential else {})
    assert (answer.status_code, answer.json()["checks"]) == (503, {"database": told})


async def test_without_credentials_nobody_is_asked() -> None:
    async with opened(None) as http:
        assert (await http.get("/v1/things")).json() == {"asking": "anybody"}
        assert (await http.post("/v1/things")).status_code == 200
        assert (await http.get("/metrics", headers=showing("thief"))).status_code == 200
        assert (await http.get("/healthz/ready")).json()["checks"]["database"].startswith("PostgreSQL")


async def test_a_write_is_noted_with_who_did_it(http: httpx2.AsyncClient) -> None:
    with structlog.testing.capture_logs() as noted:
        await http.post("/v1/things", headers=showing("writer"))
    (entry,) = noted
    assert (entry["event"], entry["caller"], entry["tenant"]) == ("write over HTTP", "key writer", "acme")
    assert (entry["method"], entry["path"], entry["status"]) == ("POST", "/v1/things", 200)


async def test_a_look_is_not_noted(http: httpx2.AsyncClient) -> None:
    with structlog.testing.capture_logs() as noted:
        await http.get("/v1/things", headers=showing("reader"))
    assert noted == []


async def test_whoever_is_turned_away_is_noted_without_what_they_showed(http: httpx2.AsyncClient) -> None:
    with structlog.testing.capture_logs() as noted:
        await http.get("/v1/things?token=hunter2", headers=showing("thief-of-secrets"))
        await http.post("/v1/things", headers=showing("reader"))
    assert [(entry["event"], entry["status"]) for entry in noted] == [("turned away", 401), ("turned away", 403)]
    assert "hunter2" not in str(noted)
    assert "thief-of-secrets" not in str(noted)


async def test_the_document_says_what_each_operation_needs(http: httpx2.AsyncClient) -> None:
    document = (await http.get("/openapi.json")).json()
    assert document["components"]["securitySchemes"].keys() == {"apiKey", "token"}
    things = document["paths"]["/v1/things"]
    assert things["get"]["security"] == [{"apiKey": ["read"]}, {"token": ["read"]}]
    assert things["post"]["security"] == [{"apiKey": ["write"]}, {"token": ["write"]}]
    assert document["paths"]["/healthz/live"]["get"]["security"] == []


@pytest.mark.parametrize(
    ("host", "ours"),
    [
        ("127.0.0.1", True),
        ("127.8.9.1", True),
        ("::1", True),
        ("localhost", True),
        ("::ffff:127.0.0.1", True),
        ("0.0.0.0", False),
        ("::", False),
        ("192.168.1.7", False),
        ("::ffff:10.0.0.1", False),
        ("localhost.example.com", False),
        ("", False),
    ],
)
def test_whether_nobody_else_reaches_a_host(host: str, ours: bool) -> None:
    assert is_this_machine(host) is ours


@pytest.mark.parametrize("host", ["0.0.0.0", ""])
def test_nobody_listens_to_strangers_without_asking_them(host: str) -> None:
    with pytest.raises(Refused, match=r"API_KEYS_FILE .* OIDC_ISSUER and OIDC_AUDIENCE, or leave HTTP_HOST at"):
        listen(HttpSettings(http_host=host))


@pytest.mark.parametrize(
    "settings",
    [
        {"http_host": "127.0.0.1"},
        {"http_host": "localhost"},
        {"http_host": "0.0.0.0", "api_keys_file": "keys.yaml"},
        {"http_host": "0.0.0.0", "oidc_issuer": "https://login.example.com", "oidc_audience": "plazo"},
    ],
)
def test_where_strangers_are_asked_or_cannot_come_it_listens(settings: dict[str, Any]) -> None:
    listen(HttpSettings.model_validate(settings)).close()
