"""Processes that others can reach: they ask, or they do not start; keys and tokens come and go while they run."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import msgspec
import pytest
from fastapi import APIRouter
from joserfc.jwk import Key
from typer.testing import CliRunner

from deploy.local.ports import free_port
from services.__main__ import command_line
from shared.configuration import load
from shared.credentials import Credentials
from shared.events import Instant
from shared.guard import Asking
from shared.http_settings import HttpSettings
from shared.lifecycle import Signals
from shared.metrics import Metrics
from shared.web import Health, application, listen, serve
from tests.issuers import RSA, claims, signed
from tests.plant import Plant
from tests.processes import PlazoProcess
from tests.receivers import Answer, HttpReceiver, Posted, http_receiver
from tests.servers import Topics

NOWHERE = {"KAFKA_BOOTSTRAP": "127.0.0.1:1", "DATABASE_URL": "postgresql://plazo@127.0.0.1:1/plazo"}
FILES = {"POLICIES": "deploy/local/policies.yaml", "NOTIFY_ROUTES": "deploy/local/notify.yaml"}


async def ended(folder: Path, command: str, **env: str) -> tuple[int, str]:
    """(exit status, output) of a process that does not get far."""
    process = PlazoProcess([command], {**NOWHERE, **FILES, "HTTP_HOST": "0.0.0.0", **env}, folder / "log")
    process.start()
    return await process.ended(within_s=60.0), process.output()


@pytest.mark.parametrize("command", ["ingest", "timer", "notifier", "run"])
async def test_a_process_that_would_ask_nobody_does_not_start(command: str, tmp_path: Path) -> None:
    status, output = await ended(tmp_path, command, HTTP_PORT=str(free_port()))
    assert status == 1
    assert "HTTP_HOST: others can reach 0.0.0.0, and nobody would ask them who they are: set API_KEYS_FILE" in output


async def test_a_file_of_keys_that_is_missing_says_how_to_make_it(tmp_path: Path) -> None:
    status, output = await ended(tmp_path, "ingest", API_KEYS_FILE=str(tmp_path / "keys.yaml"))
    assert status == 1
    assert "API_KEYS_FILE: No such file or directory" in output
    assert "`./plazo keys new` makes it" in output


async def test_a_file_of_keys_with_mistakes_is_named_with_the_place(tmp_path: Path) -> None:
    file = tmp_path / "keys.yaml"
    file.write_text("keys:\n- {id: abcdefgh, scopes: [all]}\n")
    status, output = await ended(tmp_path, "ingest", API_KEYS_FILE=str(file))
    assert status == 2
    assert f"{file}:2: keys[0].tenant: is required" in output
    assert "Traceback" not in output


def now() -> Instant:
    """The wall's time."""
    return time.time_ns() // 1000


def new_key(file: Path, *, tenant: str = "acme", scopes: str = "read") -> str:
    """A key that `./plazo keys` made."""
    arguments = ["keys", "new", "--file", str(file), "--name", "test", "--tenant", tenant, "--scopes", scopes]
    return CliRunner().invoke(command_line(arguments), arguments).stdout.strip()


def revoke(file: Path, key: str) -> None:
    """End a key as `./plazo keys` does."""
    arguments = ["keys", "revoke", key[6:14], "--file", str(file)]
    assert CliRunner().invoke(command_line(arguments), arguments).exit_code == 0


@asynccontextmanager
async def served(environment: Mapping[str, str]) -> AsyncIterator[httpx2.AsyncClient]:
    """A process's HTTP side on a port of its own, with one route that tells who asks."""
    routes = APIRouter(prefix="/v1")

    @routes.get("/me")
    async def me(asking: Asking) -> dict[str, Any]:
        return {"name": asking.name, "tenant": asking.tenant}

    settings, signals, metrics = load(HttpSettings, environment), Signals(), Metrics("", "")
    credentials = Credentials(settings, now)
    app = application("test", [routes], Health(), metrics, credentials)
    with listen(settings) as sock:
        url = f"http://127.0.0.1:{sock.getsockname()[1]}"
        async with asyncio.TaskGroup() as group, httpx2.AsyncClient(base_url=url) as client:
            group.create_task(serve(app, sock, signals.stop))
            group.create_task(credentials.run(signals, metrics))
            try:
                yield client
            finally:
                signals.stop.set()


async def me(client: httpx2.AsyncClient, credential: str) -> httpx2.Response:
    """Who the process thinks asks."""
    return await client.get("/v1/me", headers={"authorization": f"Bearer {credential}"})


async def until(client: httpx2.AsyncClient, credential: str, status: int) -> httpx2.Response:
    """Ask until the answer has this status."""
    async with asyncio.timeout(30):
        while (answer := await me(client, credential)).status_code != status:  # noqa: ASYNC110 # another process's change
            await asyncio.sleep(0.05)
    return answer


async def test_keys_come_and_go_while_a_process_runs(tmp_path: Path) -> None:
    file = tmp_path / "keys.yaml"
    first = new_key(file)
    async with served({"API_KEYS_FILE": str(file), "HTTP_HOST": "0.0.0.0"}) as client:
        assert (await me(client, first)).json() == {"name": f"key {first[6:14]}", "tenant": "acme"}
        second = new_key(file, tenant="globex")
        assert (await until(client, second, 200)).json()["tenant"] == "globex"
        revoke(file, first)
        assert "was revoked" in (await until(client, first, 401)).json()["detail"]
        assert (await me(client, second)).status_code == 200
        file.write_text("keys: [what?]")
        file.unlink()
        assert (await me(client, second)).status_code == 200  # what cannot be used changes nothing


class LocalIssuer:
    """An issuer on this machine, over real HTTP."""

    def __init__(self, receiver: HttpReceiver) -> None:
        self.url = f"http://127.0.0.1:{receiver.port}/realm"
        self.keys: list[Key] = [RSA]
        self.away = False
        receiver.answer = self.answer

    def answer(self, asked: Posted) -> Answer:
        """The document that is asked for."""
        if self.away:
            return Answer(503)
        if asked.path == "/realm/.well-known/openid-configuration":
            return Answer(200, body=msgspec.json.encode({"issuer": self.url, "jwks_uri": f"{self.url}/keys"}))
        return Answer(200, body=msgspec.json.encode({"keys": [key.as_dict(private=False) for key in self.keys]}))

    def token(self, key: Key = RSA, alg: str = "RS256", **changes: Any) -> str:
        """A token of now."""
        return signed(claims(now(), iss=self.url, **changes), key, alg)


async def test_tokens_of_an_issuer_are_let_in_while_it_is_there_and_after() -> None:
    async with http_receiver() as receiver:
        issuer = LocalIssuer(receiver)
        async with served({"OIDC_ISSUER": issuer.url, "OIDC_AUDIENCE": "plazo"}) as client:
            assert (await until(client, issuer.token(), 200)).json() == {"name": "subject alice", "tenant": "acme"}
            issuer.away = True
            assert (await me(client, issuer.token(tenant="globex"))).json()["tenant"] == "globex"
            refused = await me(client, issuer.token(aud="another"))
            assert (refused.status_code, refused.json()["detail"]) == (
                401,
                "The token's claims do not fit. Invalid claim: 'aud'.",
            )
            wanting = await me(client, issuer.token(scope="plazo:write"))
            assert (wanting.status_code, wanting.headers["content-type"]) == (403, "application/problem+json")
            assert (await me(client, "plazo_abcdefgh_" + 48 * "0")).status_code == 401


@pytest.fixture
def plant(topics: Topics, database_url: str, tmp_path: Path) -> Plant:
    made = Plant(topics, database_url, tmp_path)
    made.create_topics()
    return made


async def test_a_process_notes_who_wrote_and_never_what_they_showed(plant: Plant) -> None:
    file = plant.folder / "keys.yaml"
    writer, reader = new_key(file, scopes="write"), new_key(file)
    process = plant.process("ingest")
    process.env = {**process.env, "API_KEYS_FILE": str(file), "HTTP_HOST": "0.0.0.0", "LOG_LEVEL": "debug"}
    url = f"http://127.0.0.1:{process.env['HTTP_PORT']}"
    event = {"specversion": "1.0", "id": "1", "source": "/", "type": "ticket.created", "subject": "1"}
    body = {**event, "time": "2026-01-05T12:00:00Z"}
    async with process, httpx2.AsyncClient(base_url=url) as client:
        await process.ready(f"{url}/healthz/ready")
        answers = [
            await client.post("/v1/events", json=body, headers={"authorization": f"Bearer {shown}"})
            for shown in (writer, reader, writer[:-1] + "x")
        ]
        answers.append(await client.post(f"/v1/events?key={writer}", json=body))
    assert [answer.status_code for answer in answers] == [202, 403, 401, 401]
    logged = process.output()
    assert f'"caller": "key {writer[6:14]}", "tenant": "acme"' in logged
    assert logged.count('"event": "turned away"') == 3
    for secret in (writer[15:], reader[15:]):
        assert secret not in logged
        assert [answer for answer in answers if secret in answer.text + str(answer.headers)] == []
