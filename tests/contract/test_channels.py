"""What every channel keeps to, and what each one's receivers see, tried on real local servers."""

from __future__ import annotations

import asyncio
import base64
import json
import time
from collections.abc import AsyncIterator
from email.utils import parsedate_to_datetime

import pytest
from cloudevents.core.bindings.http import HTTPMessage, from_http_event
from cloudevents.core.formats.json import JSONFormat
from standardwebhooks import Webhook as Verifier

from services.notifier.channels import guard
from services.notifier.channels.console import ConsoleChannel
from services.notifier.channels.mail import Envelope, MailChannel
from services.notifier.channels.posting import Manner, Poster
from services.notifier.channels.webhook import Target, WebhookChannel
from services.notifier.delivery import ANSWER_CHARACTERS, Channel, Delivery, alert_id
from services.notifier.endpoints.mail import Email, Smtp
from services.notifier.reach import Reach, allowed
from services.notifier.secrecy import forms, of_url
from shared.events import SECOND, Instant
from tests.factories import BREACH_ID, breach, delivery
from tests.receivers import Answer, HttpReceiver, MailReceiver, http_receiver, mail_receiver
from tests.vendors import problems

KEY = bytes(range(32))
SECRET = "whsec_" + base64.b64encode(KEY).decode()


def now() -> Instant:
    return time.time_ns() // 1000


@pytest.fixture
async def http() -> AsyncIterator[HttpReceiver]:
    async with http_receiver() as receiver:
        yield receiver


@pytest.fixture
async def mail() -> AsyncIterator[MailReceiver]:
    async with mail_receiver() as receiver:
        yield receiver


@pytest.fixture
async def client() -> AsyncIterator[guard.Client]:
    async with guard.Client(Reach(*allowed(["127.0.0.1"])), guard.trusting(None)) as opened:
        yield opened


def posting(http: HttpReceiver, client: guard.Client, *, timeout_s: float = 5.0, query: str = "") -> WebhookChannel:
    return hook(Target(http.url + query, (KEY,)), client, timeout_s)


def hook(target: Target, client: guard.Client, timeout_s: float = 5.0) -> WebhookChannel:
    manner = Manner("1.2.3", timeout_s, forms(SECRET, *of_url(target.url)))
    return WebhookChannel(target, Poster(client, manner))


def mailing(port: int, *, to: tuple[str, ...] = ("a@example.com",), **changes: object) -> MailChannel:
    smtp = Smtp(host="127.0.0.1", port=port, starttls=False)
    settings = Email.model_validate({"to": list(to), "from": "Plazo <plazo@example.com>", "smtp": smtp, **changes})
    return MailChannel(Envelope(settings, None, guard.trusting(None)))


# --- what all channels keep to


@pytest.fixture(params=["console", "webhook", "email"])
def channel(request: pytest.FixtureRequest, http: HttpReceiver, mail: MailReceiver, client: guard.Client) -> Channel:
    opened: dict[str, Channel] = {
        "console": ConsoleChannel(lambda _line: None),
        "webhook": posting(http, client),
        "email": mailing(mail.port),
    }
    return opened[request.param]


async def test_a_delivery_that_is_taken_is_delivered(channel: Channel) -> None:
    outcome = await channel.send(delivery(), now())
    assert (outcome.result, outcome.after) == ("delivered", None)


async def test_hostile_text_reaches_the_receiver_without_harm(channel: Channel) -> None:
    hostile = breach(
        id="1\r\nBcc: all@example.com\u2028\x1b[31m", policy="ünïcode \r\n.\r\nQUIT", attributes={"a\r\nb": "\r\n.\r\n"}
    )
    assert (await channel.send(delivery(hostile), now())).result == "delivered"


@pytest.mark.parametrize("kind", ["webhook", "email"])
async def test_a_receiver_that_does_not_listen_is_tried_again(kind: str, client: guard.Client) -> None:
    async with http_receiver() as gone:
        port = gone.port
    target = Target(f"http://127.0.0.1:{port}/hook", (KEY,))
    channel = hook(target, client) if kind == "webhook" else mailing(port)
    outcome = await channel.send(delivery(), now())
    assert (outcome.result, outcome.status) == ("retry", None)
    assert outcome.answer


@pytest.mark.parametrize("kind", ["webhook", "email"])
async def test_a_receiver_that_does_not_answer_is_left_after_the_time_limit(
    kind: str, http: HttpReceiver, mail: MailReceiver, client: guard.Client
) -> None:
    never = asyncio.Event()
    http.answer = lambda _posted: Answer(hold=never)
    mail.hold = never
    channel = posting(http, client, timeout_s=0.2) if kind == "webhook" else mailing(mail.port, timeout=0.2)
    started = time.monotonic()
    outcome = await channel.send(delivery(), now())
    never.set()
    assert (outcome.result, outcome.answer) == ("retry", "no answer within 0.2 s")
    assert time.monotonic() - started < 2.0


# --- the console


async def test_the_console_shows_one_line_an_alert() -> None:
    lines: list[str] = []
    await ConsoleChannel(lines.append).send(delivery(), now())
    assert lines == ["Breached: ticket 42, first response · standard-tickets (high) · due 12:00:00Z · detected +3 ms"]


# --- webhooks


async def test_the_reference_library_accepts_the_signature(http: HttpReceiver, client: guard.Client) -> None:
    sent = delivery()
    await posting(http, client).send(sent, now())
    posted = http.posted[0]
    Verifier(SECRET).verify(posted.body, posted.headers)
    assert posted.method == "POST"
    assert posted.headers["webhook-id"] == sent.message_id
    assert posted.headers["content-type"] == "application/json"
    assert posted.headers["user-agent"] == "plazo/1.2.3"
    assert json.loads(posted.body)["data"]["breach_id"] == BREACH_ID


OLD = bytes(range(100, 132))


async def test_while_keys_are_exchanged_both_verify(http: HttpReceiver, client: guard.Client) -> None:
    await hook(Target(http.url, (KEY, OLD)), client).send(delivery(), now())
    posted = http.posted[0]
    for key in (KEY, OLD):
        Verifier(base64.b64encode(key).decode()).verify(posted.body, posted.headers)
    assert [each[:3] for each in posted.headers["webhook-signature"].split(" ")] == ["v1,", "v1,"]


async def test_a_cloudevent_in_binary_mode_is_read_by_the_reference_library(
    http: HttpReceiver, client: guard.Client
) -> None:
    sent = delivery(breach(id="ü %22", item='default/ticket/ü "%', policy="p"))
    await hook(Target(http.url, (KEY,), "cloudevents"), client).send(sent, now())
    posted = http.posted[0]
    Verifier(SECRET).verify(posted.body, posted.headers)
    event = from_http_event(HTTPMessage(posted.headers, posted.body), JSONFormat())
    assert (event.get_id(), event.get_source()) == (sent.message_id, "/plazo/notifier")
    assert json.loads(posted.body) == event.get_data()
    assert json.loads(posted.body)["breach_id"] == BREACH_ID
    assert event.get_subject() == 'default/ticket/ü "%'


async def test_a_cloudevent_in_structured_mode_has_everything_in_its_body(
    http: HttpReceiver, client: guard.Client
) -> None:
    sent = delivery()
    await hook(Target(http.url, (KEY,), "cloudevents-structured"), client).send(sent, now())
    posted = http.posted[0]
    Verifier(SECRET).verify(posted.body, posted.headers)
    assert posted.headers["content-type"] == "application/cloudevents+json; charset=utf-8"
    told = json.loads(posted.body)
    assert problems("cloudevent", told) == []
    assert (told["id"], told["type"], told["standing"]) == (sent.message_id, "sla.clock.breached.v1", "open")


async def test_a_repeat_has_the_same_id_and_body_and_a_new_time(http: HttpReceiver, client: guard.Client) -> None:
    at = now()
    channel = posting(http, client)
    await channel.send(delivery(), at)
    await channel.send(delivery(), at + 60 * SECOND)
    first, second = http.posted
    assert first.body == second.body
    assert first.headers["webhook-id"] == second.headers["webhook-id"]
    assert int(second.headers["webhook-timestamp"]) - int(first.headers["webhook-timestamp"]) == 60


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        *((status, "delivered") for status in (200, 201, 202, 204)),
        # a redirect is not followed: the file has to name the right place
        *((status, "retry") for status in (301, 302, 307, 308)),
        # about this message: it would be refused again
        *((status, "refused") for status in (400, 405, 406, 410, 411, 413, 414, 415, 422, 431, 451, 501, 505)),
        # about the place or the moment: can be put right
        *((status, "retry") for status in (401, 402, 403, 404, 407, 408, 409, 421, 423, 424, 425, 429)),
        *((status, "retry") for status in (500, 502, 503, 504, 507, 520)),
    ],
)
async def test_an_answer_decides_what_becomes_of_a_webhook(
    status: int, expected: str, http: HttpReceiver, client: guard.Client
) -> None:
    http.answer = lambda _posted: Answer(status, {"location": f"{http.url}/elsewhere"})
    outcome = await posting(http, client).send(delivery(), now())
    assert (outcome.result, outcome.status) == (expected, status)
    assert len(http.posted) == 1


@pytest.mark.parametrize(
    ("status", "header", "expected"),
    [
        (429, "7", 7 * SECOND),
        (503, "7", 7 * SECOND),
        (429, "soon", None),  # not readable: as if it was not there
        (204, "7", None),  # it was taken: there is nothing to wait for
        (410, "7", None),
    ],
)
async def test_a_wait_that_the_receiver_asks_for_is_handed_on(
    status: int, header: str, expected: int | None, http: HttpReceiver, client: guard.Client
) -> None:
    http.answer = lambda _posted: Answer(status, {"retry-after": header})
    assert (await posting(http, client).send(delivery(), now())).after == expected


@pytest.mark.parametrize(
    "query",
    [
        "/a%2Fb?sig=x%2By%3D&next=a+b",  # signed addresses: another spelling would be another address
        "/a;b=c/%E2%82%AC?q=%26",
        "?flag&empty=",
    ],
)
async def test_an_address_is_asked_as_it_is_written(query: str, http: HttpReceiver, client: guard.Client) -> None:
    await posting(http, client, query=query).send(delivery(), now())
    assert http.posted[0].path == "/hook" + query


async def test_a_login_in_an_address_is_shown_to_the_receiver(http: HttpReceiver, client: guard.Client) -> None:
    target = Target(http.url.replace("//", "//team:pa%3A55@"), (KEY,))
    await hook(target, client).send(delivery(), now())
    assert http.posted[0].headers["authorization"] == "Basic " + base64.b64encode(b"team:pa:55").decode()


async def test_a_connection_serves_one_alert_after_the_other_and_nothing_else_is_remembered(
    http: HttpReceiver, client: guard.Client
) -> None:
    http.answer = lambda _posted: Answer(200, {"set-cookie": "session=1"}, b"taken")
    channel = posting(http, client)
    for _ in range(3):
        assert (await channel.send(delivery(), now())).answer == "200 Said so taken"
    assert http.connections == 1
    assert "cookie" not in http.posted[-1].headers


async def test_a_connection_that_breaks_is_tried_again(http: HttpReceiver, client: guard.Client) -> None:
    http.answer = lambda _posted: Answer(0)
    outcome = await posting(http, client).send(delivery(), now())
    assert (outcome.result, outcome.status) == ("retry", None)


async def test_of_a_long_answer_only_the_beginning_is_read(http: HttpReceiver, client: guard.Client) -> None:
    # It announces a gigabyte and sends 8 KiB of it: whoever waits for the rest waits until the time limit.
    http.answer = lambda _posted: Answer(500, {"content-length": str(1 << 30)}, b"no " * 2700)
    outcome = await posting(http, client).send(delivery(), now())
    assert outcome.status == 500
    assert len(outcome.answer) == ANSWER_CHARACTERS


async def test_what_a_receiver_echoes_of_its_secrets_is_not_kept(http: HttpReceiver, client: guard.Client) -> None:
    channel = posting(http, client, query="/t0ken?key=pa55word")
    http.answer = lambda posted: Answer(403, body=f"{SECRET} {posted.path} \0 denied".encode())
    answer = (await channel.send(delivery(), now())).answer
    assert answer.startswith("403 Said so ***")
    assert not [secret for secret in (SECRET, "t0ken", "pa55word") if secret in answer]


# --- mails


async def test_a_mail_is_addressed_dated_and_says_it_is_automatic(mail: MailReceiver) -> None:
    at = now()
    await mailing(mail.port, to=("a@example.com", "Bea <b@example.com>")).send(delivery(), at)
    received = mail.mails[0]
    assert mail.addressees == [["a@example.com", "b@example.com"]]
    assert received["From"] == "Plazo <plazo@example.com>"
    assert received["Subject"] == "[Plazo] Breached: ticket 42, first response (standard-tickets)"
    assert received["Auto-Submitted"] == "auto-generated"
    assert int(parsedate_to_datetime(received["Date"]).timestamp()) == at // SECOND
    assert "default/ticket/42" in received.get_content()


async def test_a_repeated_mail_has_the_same_message_id(mail: MailReceiver) -> None:
    sent = delivery()
    for at in (now(), now() + SECOND):
        await mailing(mail.port).send(sent, at)
    assert [each["Message-ID"] for each in mail.mails] == [f"<{sent.id}@example.com>"] * 2


async def test_all_mails_about_a_breach_and_its_warnings_are_one_thread(mail: MailReceiver) -> None:
    warned = breach("event-0", "sla.clock.warning.v1", breach_id=None, warning="80%")
    for found in (warned, breach()):
        await mailing(mail.port).send(delivery(found), now())
    alert, broken = f"<alert-{alert_id(breach())}@example.com>", f"<breach-{BREACH_ID}@example.com>"
    assert [each["References"] for each in mail.mails] == [alert, f"{alert} {broken}"]


@pytest.mark.parametrize(
    ("command", "reply", "expected", "status"),
    [
        ("DATA", "554 5.7.1 looks like spam", "refused", 554),  # about the message
        ("DATA", "451 4.3.0 try later", "retry", 451),
        ("RCPT", "550 5.1.1 no such mailbox", "refused", 550),  # about every addressee
        ("RCPT", "450 4.2.0 greylisted", "retry", 450),
        ("MAIL", "550 5.7.0 not you", "retry", 550),  # about the installation: its settings can be put right
    ],
)
async def test_a_mail_servers_reply_decides_what_becomes_of_a_mail(
    command: str, reply: str, expected: str, status: int, mail: MailReceiver
) -> None:
    mail.says[command] = reply
    outcome = await mailing(mail.port).send(delivery(), now())
    assert (outcome.result, outcome.status) == (expected, status)
    assert reply[4:] in outcome.answer


async def test_a_mail_that_some_addressees_get_is_delivered_and_says_who_did_not(mail: MailReceiver) -> None:
    mail.says["RCPT b@example.com"] = "550 no such mailbox"
    outcome = await mailing(mail.port, to=("a@example.com", "b@example.com")).send(delivery(), now())
    assert outcome.result == "delivered"
    assert "refused: b@example.com 550" in outcome.answer
    assert mail.addressees == [["a@example.com"]]


async def test_a_server_without_starttls_gets_no_mail_in_the_clear(mail: MailReceiver) -> None:
    channel = mailing(mail.port, smtp=Smtp(host="127.0.0.1", port=mail.port))
    outcome = await channel.send(delivery(), now())
    assert outcome.result == "retry"
    assert mail.mails == []


async def test_a_password_that_is_refused_can_be_put_right_and_is_not_kept(mail: MailReceiver) -> None:
    smtp = Smtp(host="127.0.0.1", port=mail.port, starttls=False, username="plazo", password_env="P")
    settings = Email.model_validate({"to": "a@example.com", "from": "p@example.com", "smtp": smtp})
    sent: Delivery = delivery()
    outcome = await MailChannel(Envelope(settings, "pa55word", guard.trusting(None))).send(sent, now())
    assert outcome.result == "retry"
    assert "pa55word" not in outcome.answer
