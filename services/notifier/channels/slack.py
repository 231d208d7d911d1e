"""Alerts in a channel of Slack: by an incoming webhook, or by a bot, which edits its message as the alert goes on.

A message that is edited notifies nobody. So what somebody has to act on is said again in the message's thread, and
shown in the channel. A bot's answer is 200 whatever it says: its `ok` and `error` count. Words of an error that are not
listed here are about the place (a channel that the bot is not in, a token that was changed), and are tried again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from yarl import URL

from services.notifier.card import Card, card
from services.notifier.channels.fitting import fitted
from services.notifier.channels.posting import GONE, WHOLE_BYTES, Answer, Poster
from services.notifier.delivery import AlertStanding, ChannelName, Delivery, Outcome, Result
from services.notifier.writing import Writer
from shared.events import Instant

CONCURRENCY: Final = 1  # Slack takes a message a second and channel
SECTION: Final = 3_000  # characters of a section
NOTICE: Final = 2_000  # of what a notification shows; Slack cuts a text at 40,000
LINK: Final = 3_000  # of a button
MARKS: Final[Mapping[AlertStanding, str]] = {
    "warning": ":warning:",
    "open": ":red_circle:",
    "acknowledged": ":eyes:",
    "ended": ":white_check_mark:",
    "retracted": ":heavy_multiplication_x:",
}
_NO_MORE: Final = frozenset(
    {
        *("account_inactive", "token_revoked", "is_archived"),  # of a bot
        *("channel_is_archived", "no_active_hooks", "no_service", "no_team"),  # of a webhook
    }
)
_OF_THE_MESSAGE: Final = frozenset(
    {"invalid_arguments", "invalid_blocks", "invalid_blocks_format", "invalid_payload", "msg_too_long", "no_text"}
)
_CANNOT_EDIT: Final = frozenset({"cant_update_message", "edit_window_closed", "message_not_found", "thread_not_found"})
_ESCAPES: Final = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}


class SlackHook:
    """A channel of Slack, by an incoming webhook: each message stands for itself."""

    name: ChannelName = "slack"

    def __init__(self, url: str, poster: Poster, writer: Writer, *, concurrency: int = CONCURRENCY) -> None:
        self.concurrency = concurrency
        self._url = URL(url)
        self._poster = poster
        self._writer = writer

    async def send(self, delivery: Delivery, now: Instant) -> Outcome:
        """Post the message once."""
        return await self._poster.attempt(self._post(delivery, now))

    async def _post(self, delivery: Delivery, now: Instant) -> Outcome:
        answer = await self._poster.post_json(self._url, message(card(delivery, self._writer)))
        return _outcome(self._poster, answer, answer.text.strip(), now)


class SlackBot:
    """A channel of Slack, by a bot."""

    name: ChannelName = "slack"

    def __init__(
        self, api: str, room: tuple[str, str], poster: Poster, writer: Writer, *, concurrency: int = CONCURRENCY
    ) -> None:
        """Take *room*, a channel's id and the bot's token."""
        self.concurrency = concurrency
        self._api = URL(api)
        self._channel, token = room
        self._headers = {"authorization": f"Bearer {token}"}
        self._poster = poster
        self._writer = writer

    async def send(self, delivery: Delivery, now: Instant) -> Outcome:
        """Post the message once, or edit the one that there is."""
        return await self._poster.attempt(self._send(delivery, now))

    async def _send(self, delivery: Delivery, now: Instant) -> Outcome:
        shown = card(delivery, self._writer)
        channel, _, stamp = (delivery.handle or "").partition(":")
        if delivery.count > 1:
            # A message about many belongs to none of them: what happens to one must not take its place.
            return replace(await self._post(shown, now), handle=None)
        if not stamp:
            return await self._post(shown, now)
        place = {"channel": channel, "ts": stamp}
        edited, error = await self._call("chat.update", {**place, **message(shown)}, now)
        if error in _CANNOT_EDIT:
            return await self._post(shown, now)
        if edited.result != "delivered" or not shown.is_loud:
            return edited
        again = {"channel": channel, "thread_ts": stamp, "reply_broadcast": True, **message(shown)}
        told, _ = await self._call("chat.postMessage", again, now)
        return replace(told, handle=delivery.handle)

    async def _post(self, shown: Card, now: Instant) -> Outcome:
        return (await self._call("chat.postMessage", {"channel": self._channel, **message(shown)}, now))[0]

    async def _call(self, method: str, arguments: Mapping[str, Any], now: Instant) -> tuple[Outcome, str]:
        # (what came of it, the word of its error)
        answer = await self._poster.post_json(self._api / method, arguments, self._headers, most=WHOLE_BYTES)
        told = answer.told
        if answer.meaning != "delivered":
            return self._poster.outcome(answer, now), ""
        if told.get("ok") is True:
            handle = f"{told.get('channel', arguments['channel'])}:{told.get('ts', '')}"
            said = self._poster.clean(f"{answer.status} ok {handle}")
            return Outcome("delivered", said, answer.status, handle=handle), ""
        error = str(told.get("error", ""))
        return _outcome(self._poster, answer, error or "retry", now), error


def message(shown: Card) -> dict[str, Any]:
    """The text of the notification, and the blocks of the message."""
    section = {"type": "section", "text": {"type": "mrkdwn", "verbatim": True, "text": _section(shown)}}
    return {
        "text": fitted(shown.title, NOTICE, _escape),
        "blocks": [section, *_buttons(shown)],
        "unfurl_links": False,
        "unfurl_media": False,
    }


def _section(shown: Card) -> str:
    title = fitted(shown.title, SECTION // 2, _escape)
    head = f"{MARKS[shown.standing]} *{title}*" if title else MARKS[shown.standing]
    rest = fitted("\n".join(shown.lines), SECTION - len(head) - 1, _escape)
    return f"{head}\n{rest}" if rest else head


def _buttons(shown: Card) -> list[dict[str, Any]]:
    if shown.url is None or len(shown.url) > LINK:
        return []
    button = {
        "type": "button",
        "action_id": "acknowledge",
        "text": {"type": "plain_text", "text": shown.button},
        "url": shown.url,
    }
    return [{"type": "actions", "elements": [button]}]


def _escape(character: str) -> str:
    return _ESCAPES.get(character, character)


def _outcome(poster: Poster, answer: Answer, error: str, now: Instant) -> Outcome:
    if error in _NO_MORE:
        said = poster.outcome(answer, now, "refused")
        return Outcome("refused", said.answer, answer.status, gone=True)
    return poster.outcome(answer, now, _meaning(answer, error))


def _meaning(answer: Answer, error: str) -> Result:
    if error in _OF_THE_MESSAGE or answer.status in (GONE, 413):
        return "refused"
    return "delivered" if error in ("ok", "") and answer.meaning == "delivered" else "retry"
