"""Secrets stay inside: services run through success and failure, and everything that came out of them is searched."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator
from itertools import count
from pathlib import Path
from urllib.parse import urlsplit

import httpx2
import pytest

from deploy.local.ports import free_port
from services.notifier.secrecy import forms
from shared.kafka.connection import Connection, Outgoing
from shared.kafka.producer import Producer
from tests.factories import breach, breach_record
from tests.plant import Plant, plant, until
from tests.processes import PlazoProcess
from tests.receivers import Answer, HttpReceiver, MailReceiver, Posted, http_receiver, mail_receiver
from tests.servers import Topics

KAFKA = "kafka-pa55word-7f3a"
SMTP = "smtp-pa55word-91bc"
TOKEN = "T0KEN-0f-the-path"
QUERY = "key-of-the-query-42d1"
LOGIN = "l0gin-of-the-url"
KEY = "whsec_" + base64.b64encode(b"the webhook's signing secret....").decode()
INLINE = "whsec_" + base64.b64encode(b"too short, in the file").decode()  # no good: 22 bytes
WRONG = "wr0ng-pa55word-5e5e"

ROUTES = """
receivers:
  hook:
    webhook: {{url: '{hook}', secret_env: HOOK_SECRET, timeout: 5s}}
  gone:
    webhook: {{url: '{gone}', secret_env: HOOK_SECRET, timeout: 5s}}
  mail:
    email:
      to: a@example.com
      from: p@example.com
      smtp: {{host: 127.0.0.1, port: {smtp}, starttls: false, username: plazo, password_env: SMTP_PASSWORD}}
      timeout: 5s
  terminal: {{console: {{}}}}
routes: [{{receivers: [hook, gone, mail, terminal]}}]
"""
BROKEN = """
receivers: {a: {webhook: {url: 'ftp://plazo:%s@127.0.0.1/%s?key=%s', secret: %s, timeout: soon}}}
routes: [{receivers: [b]}]
"""


@pytest.fixture
async def works(topics: Topics, database_url: str, tmp_path: Path) -> AsyncIterator[Plant]:
    async with plant(topics, database_url, tmp_path, _policies()) as made:
        made.extra |= {
            "KAFKA_SASL_USERNAME": "plazo",
            "KAFKA_SASL_PASSWORD": KAFKA,
            "NOTIFY_ROUTES": str(tmp_path / "notify.yaml"),
            "HOOK_SECRET": KEY,
            "SMTP_PASSWORD": SMTP,
            "LOG_LEVEL": "debug",
        }
        yield made


def _policies() -> str:
    return (Path(__file__).resolve().parents[2] / "deploy" / "local" / "policies.yaml").read_text()


def echo(numbers: count[int], posted: Posted) -> Answer:
    """The first answer repeats the whole request and what else a receiver may know; the later ones are good."""
    if next(numbers):
        return Answer(204)
    body = f"no: {posted.path} {posted.headers} {KEY} {json.dumps(KEY)}".encode()
    return Answer(500, {"x-echo": posted.path, "retry-after": "0"}, body)


async def test_no_secret_comes_out_of_services_that_succeed_and_fail(works: Plant, tmp_path: Path) -> None:
    numbers = count()
    async with http_receiver() as http, mail_receiver() as mail:
        http.answer = lambda posted: echo(numbers, posted)
        mail.says["MAIL"] = f"550 {SMTP} is not yours"
        (tmp_path / "notify.yaml").write_text(_routes(http, mail))
        services = [works.process(name) for name in ("ingest", "timer", "notifier")]
        async with services[0], services[1], services[2]:
            urls = [f"http://127.0.0.1:{each.env['HTTP_PORT']}" for each in services]
            for process, url in zip(services, urls, strict=True):
                await process.ready(f"{url}/healthz/ready", 60.0)
            await _publish(works)
            await _delivered(urls[2], http)
            said = await _asked(urls)
            (tmp_path / "notify.yaml").write_text(BROKEN % (LOGIN, TOKEN, QUERY, INLINE))
            await services[2].said("not reloaded", 30.0)
    said += [each.output() for each in services]
    said += [str(await works._read("sla.deadletters.v1"))]
    said += [await _output(works, *command) for command in _failures(works)]
    assert all(said)
    assert "will be tried again" in "".join(said)
    _assert_nothing_of("".join(said), _secrets(works))


def _routes(http: HttpReceiver, mail: MailReceiver) -> str:
    place = f"/{TOKEN}/hook?key={QUERY}"
    return ROUTES.format(
        hook=f"http://plazo:{LOGIN}@127.0.0.1:{http.port}{place}",
        gone=f"http://plazo:{LOGIN}@127.0.0.1:{free_port()}{place}",
        smtp=mail.port,
    )


async def _publish(works: Plant) -> None:
    producer = Producer(Connection(works.topics.broker.bootstrap), "test")
    await producer.start()
    topic = works.topics.name("sla.breaches.v1")
    await producer.send(topic, [Outgoing(*breach_record(breach("event-of-secrets"))), Outgoing(b"k", b"{bad")])
    await producer.send(works.topics.name("helpdesk"), [Outgoing(b"k", b"\xff bad")])
    await producer.stop()


async def _delivered(url: str, http: HttpReceiver) -> None:
    """Wait until the webhook was taken at last, and the others have failed at least once."""

    async def all_tried() -> bool:
        async with httpx2.AsyncClient() as client:
            found = (await client.get(f"{url}/v1/deliveries")).json()["deliveries"]
        return len(found) == 4 and all(each["attempts"] for each in found) and len(http.posted) > 1

    await until(all_tried, "every delivery to be attempted")


async def _asked(urls: list[str]) -> list[str]:
    """What the HTTP side of every service says."""
    paths = ("/metrics", "/openapi.json", "/healthz/ready", "/v1/nothing", "/v1/deliveries", "/v1/clocks")
    async with httpx2.AsyncClient() as client:
        found = [(await client.get(f"{url}{path}")).text for url in urls for path in paths]
        listed = (await client.get(f"{urls[2]}/v1/deliveries")).json()["deliveries"]
        found += [(await client.get(f"{urls[2]}/v1/deliveries/{each['id']}")).text for each in listed]
    assert any("500 Said so" in text for text in found), "the echo was not kept at all"
    return found


def _failures(works: Plant) -> list[tuple[list[str], dict[str, str]]]:
    """Commands that cannot do their work: each way in which a secret is at hand when something fails."""
    parts = urlsplit(works.database_url)
    wrong = f"postgresql://{parts.username}:{WRONG}@{parts.hostname}:{parts.port}{parts.path}"
    nowhere = f"127.0.0.1:{free_port()}"
    away = works.database_url.replace(f":{parts.port}/", f":{free_port()}/")
    return [
        (["timer"], {"DATABASE_URL": wrong}),
        (["notifier"], {"DATABASE_URL": away}),
        (["notifier"], {"DATABASE_URL": f"postgresql://plazo:12@{WRONG}@127.0.0.1/plazo"}),
        (["ingest"], {"KAFKA_BOOTSTRAP": nowhere, "KAFKA_SECURITY_PROTOCOL": "SASL_PLAINTEXT"}),
        (["ingest"], {"KAFKA_SECURITY_PROTOCOL": "SASL_SSL"}),  # the broker speaks no TLS
        (["ingest"], {"KAFKA_SECURITY_PROTOCOL": WRONG}),
        (["notifier"], {"HOOK_SECRET": f"whsec_{WRONG}"}),
        (["migrate"], {"DATABASE_URL": wrong}),
        (["doctor"], {"DATABASE_URL": wrong}),
        (["lint", "--routes", works.extra["NOTIFY_ROUTES"]], {}),
    ]


async def _output(works: Plant, arguments: list[str], changes: dict[str, str]) -> str:
    known = works.process(arguments[0], f"failing-{free_port()}")
    process = PlazoProcess(arguments, {**known.env, **changes}, known.log)
    process.start()
    assert await process.ended(60.0) != 0, process.output()
    assert "Traceback" not in process.output()
    return process.output()


def _secrets(works: Plant) -> list[str]:
    password = urlsplit(works.database_url).password
    assert password is not None
    return [KAFKA, SMTP, TOKEN, QUERY, LOGIN, KEY, INLINE, WRONG, password, f"plazo:{LOGIN}"]


def _assert_nothing_of(said: str, secrets: list[str]) -> None:
    shown = {form: said.index(form) for form in forms(*secrets) if form in said}
    assert not shown, {form: said[max(0, at - 200) : at + 100] for form, at in shown.items()}
