"""The client of webhooks opens connections only to addresses that were looked at, tried on local servers."""

from __future__ import annotations

import ssl
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trustme

from deploy.local.ports import free_port
from services.notifier.channels import guard
from services.notifier.channels.posting import Manner, Poster
from services.notifier.channels.webhook import Target, WebhookChannel
from services.notifier.delivery import Outcome
from services.notifier.reach import Reach, allowed
from tests.factories import delivery
from tests.receivers import Answer, HttpReceiver, http_receiver

KEY = bytes(range(32))
MANNER = Manner("1", 5.0, ())
NAME = "hook.example"  # which no resolver knows


class Resolver:
    """Answers as a DNS that changes its mind: each of *answers* once, the last one for ever."""

    def __init__(self, *answers: Sequence[str]) -> None:
        self._answers = list(answers)
        self.asked: list[str] = []

    async def __call__(self, host: str, _port: int) -> Sequence[str]:
        self.asked.append(host)
        return self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]


async def post(
    url: str, resolver: Resolver, *, allow: Sequence[str] = ("127.0.0.1",), ca_file: Path | None = None, times: int = 1
) -> list[Outcome]:
    """What became of an alert to *url*, each of the times that it was sent."""
    reach = Reach(*allowed(allow))
    async with guard.Client(reach, guard.trusting(ca_file), resolve=resolver) as client:
        channel = WebhookChannel(Target(url, (KEY,)), Poster(client, MANNER))
        return [await channel.send(delivery(), time.time_ns() // 1000) for _ in range(times)]


@pytest.fixture
async def http() -> AsyncIterator[HttpReceiver]:
    async with http_receiver() as receiver:
        yield receiver


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def ca_file(authority: trustme.CA, tmp_path: Path) -> Path:
    file = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(file))
    return file


@asynccontextmanager
async def https_receiver(authority: trustme.CA, name: str, heard: list[str]) -> AsyncIterator[HttpReceiver]:
    """A receiver with a certificate for *name*; *heard* takes the names that clients ask for."""
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(name).configure_cert(tls)
    tls.sni_callback = lambda _socket, asked, _context: heard.append(asked)
    async with http_receiver(tls) as receiver:
        yield receiver


async def test_a_name_is_looked_up_once_and_the_address_that_was_judged_is_used(http: HttpReceiver) -> None:
    """Whoever answers first with an address that is allowed, and then with another, gains nothing."""
    resolver = Resolver(["127.0.0.1"], ["127.0.0.2"])
    (outcome,) = await post(f"http://{NAME}:{http.port}/hook", resolver)
    assert outcome.result == "delivered"
    assert resolver.asked == [NAME]
    assert http.posted[0].headers["host"] == f"{NAME}:{http.port}"


async def test_each_new_connection_is_judged_anew(http: HttpReceiver) -> None:
    http.answer = lambda _posted: Answer(204, {"connection": "close"})
    resolver = Resolver(["127.0.0.1"], ["127.0.0.2"])
    first, second = await post(f"http://{NAME}:{http.port}/hook", resolver, times=2)
    assert first.result == "delivered"
    assert second.result == "retry"
    assert (
        second.answer
        == f"not sent: {NAME} has the address 127.0.0.2, which is loopback: WEBHOOK_ALLOW does not name it"
    )
    assert len(http.posted) == 1


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::ffff:127.0.0.1]", "2130706433", "127.1", "0x7f.1"])
async def test_nothing_is_sent_to_this_machine_unless_that_is_allowed(host: str, http: HttpReceiver) -> None:
    """Also not to the numbers that the system's resolver takes for an address."""
    async with guard.Client(Reach(), guard.trusting(None)) as client:
        target = Target(f"http://{host}:{http.port}/hook", (KEY,))
        outcome = await WebhookChannel(target, Poster(client, MANNER)).send(delivery(), 0)
    assert (outcome.result, outcome.status) == ("retry", None)
    assert "which is loopback" in outcome.answer or "has no address" in outcome.answer
    assert http.posted == []


@pytest.mark.parametrize(
    "place", ["http://169.254.169.254/latest/meta-data", "http://localhost:1/", "file:///etc/passwd"]
)
async def test_a_redirect_leads_nowhere(place: str, http: HttpReceiver) -> None:
    http.answer = lambda _posted: Answer(307, {"location": place})
    resolver = Resolver(["127.0.0.1"])
    (outcome,) = await post(f"http://{NAME}:{http.port}/hook", resolver)
    assert (outcome.result, outcome.status) == ("retry", 307)
    assert resolver.asked == [NAME]


async def test_an_address_that_does_not_listen_is_passed_over(http: HttpReceiver) -> None:
    resolver = Resolver(["127.0.0.3", "127.0.0.1"])
    (outcome,) = await post(f"http://{NAME}:{http.port}/hook", resolver, allow=["127.0.0.0/8"])
    assert outcome.result == "delivered"


@pytest.mark.parametrize("addresses", [[], ["127.0.0.1", "10.0.0.1"]])
async def test_one_address_too_many_or_none_at_all_sends_nothing(addresses: list[str], http: HttpReceiver) -> None:
    (outcome,) = await post(f"http://{NAME}:{http.port}/hook", Resolver(addresses))
    assert outcome.result == "retry"
    assert http.posted == []


async def test_proxies_of_the_environment_are_not_used(http: HttpReceiver, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{free_port()}")
    (outcome,) = await post(f"http://{NAME}:{http.port}/hook", Resolver(["127.0.0.1"]))
    assert outcome.result == "delivered"


async def test_the_certificate_is_that_of_the_name_and_not_of_the_address(authority: trustme.CA, ca_file: Path) -> None:
    heard: list[str] = []
    async with https_receiver(authority, NAME, heard) as receiver:
        (outcome,) = await post(f"https://{NAME}:{receiver.port}/hook", Resolver(["127.0.0.1"]), ca_file=ca_file)
    assert outcome.result == "delivered"
    assert heard == [NAME]


async def test_a_certificate_of_an_unknown_authority_is_refused_and_the_setting_named(authority: trustme.CA) -> None:
    async with https_receiver(authority, NAME, []) as receiver:
        (outcome,) = await post(f"https://{NAME}:{receiver.port}/hook", Resolver(["127.0.0.1"]))
        assert receiver.posted == []
    assert outcome.result == "retry"
    assert outcome.answer.startswith("its certificate is not trusted: ")
    assert outcome.answer.endswith("(NOTIFIER_CA_FILE adds authorities)")


async def test_a_certificate_of_another_name_is_refused(authority: trustme.CA, ca_file: Path) -> None:
    async with https_receiver(authority, "other.example", []) as receiver:
        (outcome,) = await post(f"https://{NAME}:{receiver.port}/hook", Resolver(["127.0.0.1"]), ca_file=ca_file)
        assert receiver.posted == []
    assert outcome.answer.startswith("its certificate is not trusted: Hostname mismatch")
