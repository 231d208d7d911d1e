"""What every channel over HTTP keeps to, opened from `notify.yaml` and tried on stand-ins of the real receivers."""

from __future__ import annotations

import asyncio
import base64
import json
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace
from typing import Any, Final
from uuid import UUID

import pytest

from services.notifier import routes_file
from services.notifier.channels import guard
from services.notifier.channels.catalogue import Outside, open_channels
from services.notifier.delivery import ANSWER_CHARACTERS, AlertStanding, AlertView, Channel, Delivery
from services.notifier.reach import Reach, allowed
from shared.events import SECOND, Instant
from tests.factories import DUE, breach, delivery, silence
from tests.receivers import Answer, HttpReceiver, Posted, http_receiver
from tests.vendors import ANSWERING

HOOK: Final = "whsec_" + base64.b64encode(bytes(range(32))).decode()
SLACK: Final = "xoxb-1234567890-s3cr3ts3cr3t"
TELEGRAM: Final = "123456:ABC-DEF1234ghIkl-zyx57W2v1u123ew11"
ROUTING: Final = "0123456789abcdef0123456789abcdef"
OPSGENIE: Final = "eb243592-faa2-4ba2-a551-1afdf565c889"
ALERT: Final = UUID("0d1b4a4e-6c7f-8a55-9d7c-2f0a54a9a001")
LINK: Final = "https://plazo.example.com/v1/acknowledge?alert=0d1b&by=ana&signature=abc"
SETTINGS: Final = {
    "webhook": "webhook: {url: '%s/t0ken-of-url', secret_env: HOOK, timeout: TIMEOUT}",
    "slack": "slack: {url_env: URL, timeout: TIMEOUT}",
    "slack-bot": "slack: {token_env: SLACK, channel: C024BE91L, api: '%s', timeout: TIMEOUT}",
    "teams": "teams: {url_env: URL, timeout: TIMEOUT}",
    "mattermost": "mattermost: {url_env: URL, timeout: TIMEOUT}",
    "telegram": "telegram: {token_env: TELEGRAM, chat: -1001234, api: '%s', timeout: TIMEOUT}",
    "pagerduty": "pagerduty: {key_env: ROUTING, api: '%s', timeout: TIMEOUT}",
    "opsgenie": "opsgenie: {key_env: OPSGENIE, api: '%s', timeout: TIMEOUT}",
    "alertmanager": "alertmanager: {url_env: URL, timeout: TIMEOUT}",
}
HOSTILE: Final = breach(
    id="1\r\nBcc: all@example.com\u2028\x1b[31m<!channel> @all <b>&amp;</b> [x](http://evil) *_~`",
    policy="<@U1> \\ \" ' ]] %0d%0a {{ 7*7 }} 🔴" * 40,
    attributes={"<a>\r\nb": "\r\n.\r\n"},
)


def now() -> Instant:
    return time.time_ns() // 1000


@dataclass
class Vendor:
    """One kind of receiver, a stand-in of it, and a way to open its channel."""

    kind: str
    http: HttpReceiver
    client: guard.Client

    def channel(self, timeout: str = "5s", client: guard.Client | None = None, port: int = 0) -> Channel:
        """The channel, as a file opens it."""
        url = f"http://127.0.0.1:{port or self.http.port}"
        secrets = {"HOOK": HOOK, "SLACK": SLACK, "TELEGRAM": TELEGRAM, "ROUTING": ROUTING, "OPSGENIE": OPSGENIE}
        settings = SETTINGS[self.kind].replace("%s", url).replace("TIMEOUT", timeout)
        text = f"receivers: {{a: {{{settings}}}}}\nroutes: [{{receivers: [a]}}]"
        environment = {**secrets, "URL": f"{url}/services/t0ken-of-url"}
        outside = Outside(environment, client or self.client, guard.trusting(None), lambda _line: None, "1.2.3")
        return open_channels(routes_file.parse(text, "notify.yaml"), outside)["a"]

    async def send(self, sent: Delivery | None = None, at: Instant | None = None) -> Any:
        """What comes of one attempt."""
        return await self.channel().send(sent or delivery(), at or now())

    def always(self, answer: Answer) -> None:
        """Let it answer so, whatever it is sent."""
        self.http.answer = lambda _posted: answer

    def bodies(self) -> list[Any]:
        """What was posted, as values."""
        return [json.loads(each.body) for each in self.http.posted]


@pytest.fixture
async def client() -> AsyncIterator[guard.Client]:
    async with guard.Client(Reach(*allowed(["127.0.0.1"])), guard.trusting(None)) as opened:
        yield opened


@pytest.fixture(params=list(SETTINGS))
async def vendor(request: pytest.FixtureRequest, client: guard.Client) -> AsyncIterator[Vendor]:
    async with http_receiver() as http:
        http.answer = ANSWERING[request.param]
        yield Vendor(request.param, http, client)


def about(standing: AlertStanding, sent: Delivery | None = None, **changes: Any) -> Delivery:
    """A delivery whose alert stands so, with a link to acknowledge it."""
    by = "ana" if standing == "acknowledged" else None
    return replace(sent or delivery(), alert=AlertView(ALERT, standing, by, LINK), **changes)


STANDINGS: Final[tuple[AlertStanding, ...]] = ("warning", "open", "acknowledged", "ended", "retracted")


# --- what it is sent


async def test_a_delivery_that_is_taken_is_delivered(vendor: Vendor) -> None:
    outcome = await vendor.send()
    assert (outcome.result, outcome.after, outcome.gone) == ("delivered", None, False), outcome
    assert [each.method for each in vendor.http.posted] == ["POST"]
    assert vendor.http.posted[0].headers["user-agent"] == "plazo/1.2.3"


@pytest.mark.parametrize("standing", STANDINGS)
async def test_an_alert_is_taken_however_it_stands(vendor: Vendor, standing: AlertStanding) -> None:
    outcome = await vendor.send(about(standing))
    assert outcome.result == "delivered", outcome


@pytest.mark.parametrize(
    "found", [HOSTILE, silence(source="/<b>\n@all"), breach(id="x" * 30_000), breach(id="🔴" * 9_000)]
)
async def test_no_text_makes_a_message_that_is_not_taken(vendor: Vendor, found: Any) -> None:
    outcome = await vendor.send(about("open", delivery(found)))
    assert outcome.result == "delivered", outcome


async def test_a_digest_is_taken(vendor: Vendor) -> None:
    members = tuple(breach(f"event-{n}", id=str(n), item=f"default/ticket/{n}") for n in range(20))
    outcome = await vendor.send(replace(delivery(), members=members, count=250))
    assert outcome.result == "delivered", outcome


async def test_a_digest_edits_no_message_and_is_edited_by_none(vendor: Vendor) -> None:
    sent = about("open", handle="C024BE91L:1503435956.000247" if vendor.kind == "slack-bot" else "77")
    outcome = await vendor.send(replace(sent, members=(breach(), breach("event-2")), count=2))
    assert (outcome.result, outcome.handle) == ("delivered", None)
    assert len(vendor.http.posted) == 1


async def test_a_repeat_says_the_same(vendor: Vendor) -> None:
    sent, at = about("open"), now()
    for later in (0, 3600 * SECOND):
        await vendor.send(sent, at + later)
    first, second = map(_lasting, vendor.bodies())
    assert first == second


def _lasting(body: Any) -> Any:
    # Until when an alert is open counts from when it is told.
    return [{**each, "endsAt": None} for each in body] if isinstance(body, list) else body


# --- what is answered


@pytest.mark.parametrize("status", [301, 302, 307, 308, 401, 403, 404, 408, 429, 500, 502, 503, 504])
async def test_what_can_be_put_right_is_tried_again(vendor: Vendor, status: int) -> None:
    vendor.always(Answer(status, {"location": f"{vendor.http.url}/elsewhere"}, b"no"))
    outcome = await vendor.send()
    assert (outcome.result, outcome.status, outcome.gone) == ("retry", status, False)
    assert len(vendor.http.posted) == 1  # a redirect is never followed


async def test_a_receiver_that_is_no_more_says_so_of_all(vendor: Vendor) -> None:
    vendor.always(Answer(410))
    outcome = await vendor.send()
    assert (outcome.result, outcome.status, outcome.gone) == ("refused", 410, True)


@pytest.mark.parametrize("status", [429, 503])
async def test_a_wait_that_is_asked_for_is_handed_on(vendor: Vendor, status: int) -> None:
    vendor.always(Answer(status, {"retry-after": "7"}, b"slow down"))
    assert (await vendor.send()).after == 7 * SECOND


async def test_a_connection_that_breaks_is_tried_again(vendor: Vendor) -> None:
    vendor.always(Answer(0))
    outcome = await vendor.send()
    assert (outcome.result, outcome.status) == ("retry", None)


async def test_a_receiver_that_does_not_listen_is_tried_again(vendor: Vendor) -> None:
    async with http_receiver() as gone:
        port = gone.port
    outcome = await vendor.channel(port=port).send(delivery(), now())
    assert (outcome.result, outcome.status) == ("retry", None)
    assert outcome.answer


async def test_a_receiver_that_does_not_answer_is_left_after_the_time_limit(vendor: Vendor) -> None:
    never = asyncio.Event()
    vendor.always(Answer(hold=never))
    outcome = await vendor.channel("200ms").send(delivery(), now())
    never.set()
    assert (outcome.result, outcome.answer) == ("retry", "no answer within 0.2 s")


async def test_a_receiver_that_never_ends_its_answer_is_left_after_the_time_limit(vendor: Vendor) -> None:
    vendor.always(Answer(200, {"content-length": str(1 << 30)}, b"{"))
    outcome = await vendor.channel("200ms").send(delivery(), now())
    assert (outcome.result, outcome.answer) == ("retry", "no answer within 0.2 s")


@pytest.mark.parametrize(
    "body", [b"{", b"[]", b"null", b'"ok"', b"\xff\xfe", b"[" * 60_000, b'{"ok": 1}', b'{"error": []}']
)
async def test_no_answer_trips_the_channel(vendor: Vendor, body: bytes) -> None:
    for status in (200, 400, 429):
        vendor.always(Answer(status, {}, body))
        outcome = await vendor.send()
        assert len(outcome.answer) <= ANSWER_CHARACTERS


async def test_what_a_receiver_echoes_of_its_secrets_is_not_kept(vendor: Vendor) -> None:
    def echo(posted: Posted) -> Answer:
        head = f"{posted.path} {posted.headers.get('authorization', '')} {HOOK} ".encode()
        return Answer(403, {}, head + posted.body[:200])

    vendor.http.answer = echo
    answer = (await vendor.send()).answer
    secrets = {
        "webhook": (HOOK, "t0ken-of-url"),
        "slack-bot": (SLACK,),
        "telegram": (TELEGRAM,),
        "pagerduty": (ROUTING,),
        "opsgenie": (OPSGENIE,),
    }
    assert [each for each in secrets.get(vendor.kind, ("t0ken-of-url",)) if each in answer] == []


async def test_an_address_that_may_not_be_reached_is_not_asked(vendor: Vendor) -> None:
    async with guard.Client(Reach(), guard.trusting(None)) as strict:
        outcome = await vendor.channel(client=strict).send(delivery(), now())
    assert (outcome.result, vendor.http.posted) == ("retry", [])
    assert outcome.answer.startswith("not sent: 127.0.0.1, which is loopback")


# --- what each says


@pytest.fixture
def shown(client: guard.Client) -> Callable[[str], Any]:
    """Opens a stand-in of one kind only."""

    def opened(kind: str) -> Any:
        return _Opened(kind, client)

    return opened


class _Opened:
    def __init__(self, kind: str, client: guard.Client) -> None:
        self._kind, self._client = kind, client

    async def __aenter__(self) -> Vendor:
        self._receiver = http_receiver()
        http = await self._receiver.__aenter__()
        http.answer = ANSWERING[self._kind]
        return Vendor(self._kind, http, self._client)

    async def __aexit__(self, *exc: Any) -> None:
        await self._receiver.__aexit__(*exc)


async def test_slack_is_told_in_its_own_markup_and_calls_nobody(shown: Any) -> None:
    async with shown("slack") as slack:
        await slack.send(about("open", delivery(HOSTILE)))
        [told] = slack.bodies()
    text = told["blocks"][0]["text"]["text"]
    assert text.startswith(":red_circle: *Breached: ticket 1")
    assert "&lt;!channel&gt;" in text
    assert told["blocks"][1]["elements"][0]["url"] == LINK


async def test_a_hook_of_slack_says_in_a_word_what_is_wrong(shown: Any) -> None:
    cases = [
        (404, b"no_service", ("refused", True)),  # the hook was deleted
        (410, b"channel_is_archived", ("refused", True)),
        (404, b"channel_not_found", ("retry", False)),
        (403, b"action_prohibited", ("retry", False)),
        (400, b"invalid_payload", ("refused", False)),
        (500, b"rollup_error", ("retry", False)),
        (200, b"<html>a proxy's page</html>", ("retry", False)),
    ]
    async with shown("slack") as slack:
        for status, word, expected in cases:
            slack.always(Answer(status, {}, word))
            outcome = await slack.send()
            assert (outcome.result, outcome.gone) == expected, word


async def test_a_bot_of_slack_answers_200_whatever_is_wrong(shown: Any) -> None:
    cases = [
        ("is_archived", ("refused", True)),
        ("token_revoked", ("refused", True)),
        ("account_inactive", ("refused", True)),
        ("msg_too_long", ("refused", False)),
        ("invalid_blocks", ("refused", False)),
        ("channel_not_found", ("retry", False)),  # the bot may be invited yet
        ("not_in_channel", ("retry", False)),
        ("invalid_auth", ("retry", False)),
        ("ratelimited", ("retry", False)),
        ("internal_error", ("retry", False)),
        ("never heard of", ("retry", False)),
    ]
    async with shown("slack-bot") as slack:
        for error, expected in cases:
            body = json.dumps({"ok": False, "error": error}).encode()
            slack.always(Answer(200, {}, body))
            outcome = await slack.send()
            assert (outcome.result, outcome.gone) == expected, error
            assert error in outcome.answer


async def test_a_bot_of_slack_edits_its_message_and_says_again_what_calls_for_somebody(shown: Any) -> None:
    async with shown("slack-bot") as slack:
        first = await slack.send(about("warning"))
        assert first.handle == "C024BE91L:1503435956.000247"
        worse = await slack.send(about("open", handle=first.handle))
        over = await slack.send(about("ended", handle=first.handle))
        paths = [each.path for each in slack.http.posted]
        _, edited, again, ended = slack.bodies()
    assert paths == ["/chat.postMessage", "/chat.update", "/chat.postMessage", "/chat.update"]
    assert (edited["channel"], edited["ts"]) == ("C024BE91L", "1503435956.000247")
    assert (again["thread_ts"], again["reply_broadcast"]) == ("1503435956.000247", True)
    assert ended["blocks"][0]["text"]["text"].startswith(":white_check_mark:")
    assert [each["type"] for each in ended["blocks"]] == ["section"]  # nothing is left to acknowledge
    assert (worse.handle, over.handle) == (first.handle, first.handle)


@pytest.mark.parametrize("error", ["message_not_found", "edit_window_closed", "cant_update_message"])
async def test_a_message_of_slack_that_cannot_be_edited_is_posted_anew(shown: Any, error: str) -> None:
    async with shown("slack-bot") as slack:
        refusal = Answer(200, {}, json.dumps({"ok": False, "error": error}).encode())
        taken = ANSWERING["slack-bot"]
        slack.http.answer = lambda posted: refusal if posted.path.endswith("update") else taken(posted)
        outcome = await slack.send(about("ended", handle="C024BE91L:1.2"))
    assert (outcome.result, outcome.handle) == ("delivered", "C024BE91L:1503435956.000247")


async def test_telegram_edits_its_message_and_says_again_what_calls_for_somebody(shown: Any) -> None:
    async with shown("telegram") as telegram:
        first = await telegram.send(about("warning", delivery(HOSTILE)))
        await telegram.send(about("open", handle=first.handle))
        over = await telegram.send(about("ended", handle=first.handle))
        paths = [each.path for each in telegram.http.posted]
        told, edited, again, _ = telegram.bodies()
    assert [path.rpartition("/")[2] for path in paths] == [
        *("sendMessage", "editMessageText", "sendMessage", "editMessageText"),
    ]
    assert paths[0] == f"/bot{TELEGRAM}/sendMessage"
    assert (first.handle, over.handle) == ("77", "77")
    assert (edited["message_id"], again["reply_parameters"]["message_id"]) == (77, 77)
    assert "&lt;!channel&gt;" in told["text"]
    assert f'<a href="{LINK.replace("&", "&amp;")}">' in told["text"]


async def test_telegram_says_in_words_what_is_wrong_and_how_long_to_wait(shown: Any) -> None:
    cases: list[tuple[int, dict[str, Any], str, int | None, bool]] = [
        (
            429,
            {"description": "Too Many Requests: retry after 35", "parameters": {"retry_after": 35}},
            "retry",
            35,
            False,
        ),
        (403, {"description": "Forbidden: bot was blocked by the user"}, "refused", None, True),
        (403, {"description": "Forbidden: bot was kicked from the group chat"}, "refused", None, True),
        (400, {"description": "Bad Request: chat not found"}, "retry", None, False),  # the file can be put right
        (400, {"description": "Bad Request: message is too long"}, "refused", None, False),
        (401, {"description": "Unauthorized"}, "retry", None, False),
        (200, {"ok": False, "description": "odd"}, "retry", None, False),
    ]
    async with shown("telegram") as telegram:
        for status, told, result, wait, gone in cases:
            body = json.dumps({"ok": False, **told}).encode()
            telegram.always(Answer(status, {}, body))
            outcome = await telegram.send()
            after = None if wait is None else wait * SECOND
            assert (outcome.result, outcome.after, outcome.gone) == (result, after, gone), told


@pytest.mark.parametrize(
    ("said", "methods"),
    [
        ("message is not modified", ["editMessageText"]),
        ("message to edit not found", ["editMessageText", "sendMessage"]),
        ("message can't be edited", ["editMessageText", "sendMessage"]),
    ],
)
async def test_a_message_of_telegram_that_cannot_be_edited_is_sent_anew(
    shown: Any, said: str, methods: list[str]
) -> None:
    async with shown("telegram") as telegram:
        refusal = Answer(400, {}, json.dumps({"ok": False, "description": f"Bad Request: {said}"}).encode())
        taken = ANSWERING["telegram"]
        telegram.http.answer = lambda posted: refusal if "edit" in posted.path else taken(posted)
        outcome = await telegram.send(about("ended", handle="5"))
        assert [each.path.rpartition("/")[2] for each in telegram.http.posted] == methods
    assert outcome.result == "delivered"


async def test_pagerduty_has_one_incident_an_alert(shown: Any) -> None:
    async with shown("pagerduty") as pagerduty:
        for standing in STANDINGS:
            await pagerduty.send(about(standing))
        events = pagerduty.bodies()
    assert {each["dedup_key"] for each in events} == {str(ALERT)}
    assert [each["event_action"] for each in events] == ["trigger", "trigger", "acknowledge", "resolve", "resolve"]
    assert events[1]["payload"]["severity"] == "error"
    assert events[1]["links"] == [{"href": LINK, "text": "Acknowledge"}]


async def test_what_happens_to_a_clock_is_one_incident_also_without_an_alert(shown: Any) -> None:
    async with shown("pagerduty") as pagerduty:
        for number, kind in enumerate(("sla.clock.warning.v1", "sla.clock.breached.v1", "sla.breach.stopped.v1")):
            await pagerduty.send(delivery(breach(f"event-{number}", kind)))  # type: ignore[arg-type] # a literal each
        events = pagerduty.bodies()
    assert len({each["dedup_key"] for each in events}) == 1
    assert [each["event_action"] for each in events] == ["trigger", "trigger", "resolve"]


async def test_pagerduty_is_left_alone_for_a_minute_when_it_was_asked_too_often(shown: Any) -> None:
    async with shown("pagerduty") as pagerduty:
        pagerduty.always(Answer(429))
        assert (await pagerduty.send()).after == 60 * SECOND


async def test_opsgenie_has_one_alert_under_its_alias(shown: Any) -> None:
    async with shown("opsgenie") as opsgenie:
        for standing in STANDINGS:
            await opsgenie.send(about(standing))
        paths, told = [each.path for each in opsgenie.http.posted], opsgenie.bodies()
    step = f"/v2/alerts/{ALERT}/%s?identifierType=alias"
    assert paths == ["/v2/alerts", "/v2/alerts", step % "acknowledge", step % "close", step % "close"]
    assert (told[1]["alias"], told[1]["priority"]) == (str(ALERT), "P2")
    assert "Acknowledged by ana" in told[2]["note"]


async def test_opsgenie_says_for_how_long_it_counts(shown: Any) -> None:
    async with shown("opsgenie") as opsgenie:
        opsgenie.always(Answer(429, {"x-ratelimit-period-in-sec": "15"}))
        assert (await opsgenie.send()).after == 15 * SECOND


async def test_an_alertmanager_knows_a_breach_and_its_end_by_the_same_labels(shown: Any) -> None:
    async with shown("alertmanager") as alertmanager:
        warned = delivery(breach("event-0", "sla.clock.warning.v1", DUE - 3600 * SECOND, warning="75%"))
        ended = delivery(breach("event-2", "sla.breach.stopped.v1", DUE + 3600 * SECOND))
        for sent in (warned, delivery(), ended):
            await alertmanager.send(sent, DUE)
        first, second, third = alertmanager.bodies()
    assert [each["labels"]["alertname"] for each in first] == ["SlaWarning"]
    assert [each["labels"]["alertname"] for each in second] == ["SlaBreach", "SlaWarning"]
    assert second[0]["labels"] == third[0]["labels"]
    assert (second[0]["startsAt"], second[0]["endsAt"]) == ("2026-01-05T12:00:00Z", "2026-01-12T12:00:00Z")
    assert second[1]["labels"] == first[0]["labels"]
    assert second[1]["endsAt"] == "2026-01-05T12:00:00Z"  # the warning has become a breach
    assert third[0]["endsAt"] == "2026-01-05T13:00:00Z"


async def test_an_alertmanager_gets_each_of_a_digest(shown: Any) -> None:
    members = tuple(breach(f"event-{n}", id=str(n), item=f"default/ticket/{n}") for n in range(3))
    async with shown("alertmanager") as alertmanager:
        await alertmanager.send(replace(delivery(), members=members, count=3))
        [told] = alertmanager.bodies()
    assert [each["labels"]["item"] for each in told] == ["default/ticket/0", "default/ticket/1", "default/ticket/2"]


async def test_teams_shows_words_of_others_as_they_are(shown: Any) -> None:
    async with shown("teams") as teams:
        await teams.send(about("open", delivery(HOSTILE)))
        [told] = teams.bodies()
    content = told["attachments"][0]["content"]
    assert content["body"][0]["inlines"][0]["color"] == "attention"
    assert "[x](http://evil)" in content["body"][0]["inlines"][0]["text"]  # a text run knows no Markdown
    assert content["actions"][0]["url"] == LINK


async def test_a_workflow_of_teams_that_is_switched_off_can_be_switched_on(shown: Any) -> None:
    async with shown("teams") as teams:
        body = b'{"error":{"code":"WorkflowTriggerIsNotEnabled","message":"..."}}'
        teams.always(Answer(400, {}, body))
        assert (await teams.send()).result == "retry"


async def test_mattermost_calls_nobody_and_takes_no_markdown_from_others(shown: Any) -> None:
    async with shown("mattermost") as mattermost:
        await mattermost.send(about("open", delivery(HOSTILE)))
        [told] = mattermost.bodies()
    [attachment] = told["attachments"]
    assert "@all" not in json.dumps(told)
    assert "\\[x\\]\\(http://evil\\)" in attachment["title"]
    assert attachment["text"].endswith(f"[Acknowledge]({LINK})")


async def test_a_hook_of_mattermost_that_is_not_there_can_be_made_anew(shown: Any) -> None:
    cases = [
        (400, "web.incoming_webhook.invalid.app_error", "retry"),
        (501, "web.incoming_webhook.disabled.app_error", "retry"),
        (400, "web.incoming_webhook.parse.app_error", "refused"),
    ]
    async with shown("mattermost") as mattermost:
        for status, word, expected in cases:
            body = json.dumps({"id": word, "message": "..."}).encode()
            mattermost.always(Answer(status, {}, body))
            assert (await mattermost.send()).result == expected, word
