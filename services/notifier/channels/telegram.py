"""Alerts in a chat of Telegram, by a bot, which edits its message as the alert goes on.

A message that is edited notifies nobody. So what somebody has to act on is said again, in reply to the message. Most
errors are about the chat or the token and can be put right, so they are tried again; how long to wait stands in the
body of a 429.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from html import escape
from typing import Any, Final

from yarl import URL

from services.notifier.card import Card, card
from services.notifier.channels.fitting import fitted, utf16
from services.notifier.channels.posting import GONE, WHOLE_BYTES, Answer, Poster
from services.notifier.delivery import AlertStanding, ChannelName, Delivery, Outcome, Result
from services.notifier.retry import LONGEST_WAIT
from services.notifier.writing import Writer
from shared.events import SECOND, Instant, Span

CONCURRENCY: Final = 1  # Telegram takes a message a second and chat
TITLE: Final = 1_000
TEXT: Final = 3_000  # with the title and the link below the 4,096 that a message may have
MARKS: Final[Mapping[AlertStanding, str]] = {
    "warning": "⚠️",
    "open": "🔴",
    "acknowledged": "👀",
    "ended": "✅",
    "retracted": "✖️",
}
_NO_MORE: Final = ("bot was blocked", "bot was kicked", "user is deactivated", "group chat was deleted")
_OF_THE_MESSAGE: Final = ("message is too long", "message text is empty", "can't parse entities")
_CANNOT_EDIT: Final = ("message to edit not found", "message can't be edited", "message_id_invalid")
_UNCHANGED: Final = "message is not modified"


@dataclass(frozen=True, slots=True)
class Bot:
    """Who writes, by which API, and where."""

    api: str
    token: str
    chat: str
    topic: int | None = None  # of a group with topics


class TelegramChannel:
    """A chat of Telegram."""

    name: ChannelName = "telegram"

    def __init__(self, bot: Bot, poster: Poster, writer: Writer, *, concurrency: int = CONCURRENCY) -> None:
        self.concurrency = concurrency
        self._methods = URL(bot.api) / f"bot{bot.token}"
        self._place = {"chat_id": bot.chat, **({} if bot.topic is None else {"message_thread_id": bot.topic})}
        self._poster = poster
        self._writer = writer

    async def send(self, delivery: Delivery, now: Instant) -> Outcome:
        """Send the message once, or edit the one that there is."""
        return await self._poster.attempt(self._send(delivery, now))

    async def _send(self, delivery: Delivery, now: Instant) -> Outcome:
        shown = card(delivery, self._writer)
        if delivery.count > 1:
            # A message about many belongs to none of them: what happens to one must not take its place.
            return replace(await self._call("sendMessage", message(shown), now), handle=None)
        if not (delivery.handle or "").isdecimal():
            return await self._call("sendMessage", message(shown), now)
        earlier = int(delivery.handle or "")
        edited = await self._call("editMessageText", {"message_id": earlier, **message(shown)}, now)
        if edited.result == "refused" and not edited.gone and _says(edited.answer, *_CANNOT_EDIT):
            return await self._call("sendMessage", message(shown), now)
        if edited.result != "delivered" or not shown.is_loud:
            return edited
        reply = {"message_id": earlier, "allow_sending_without_reply": True}
        told = await self._call("sendMessage", {"reply_parameters": reply, **message(shown)}, now)
        return replace(told, handle=delivery.handle)

    async def _call(self, method: str, arguments: Mapping[str, Any], now: Instant) -> Outcome:
        answer = await self._poster.post_json(self._methods / method, {**self._place, **arguments}, most=WHOLE_BYTES)
        said = str(answer.told.get("description", ""))
        result = _meaning(answer, said)
        if result == "delivered":
            return self._delivered(answer, arguments)
        outcome = self._poster.outcome(answer, now, result)
        after = _asked(answer) or outcome.after
        return Outcome(result, outcome.answer, answer.status, after, gone=outcome.gone or _says(said, *_NO_MORE))

    def _delivered(self, answer: Answer, arguments: Mapping[str, Any]) -> Outcome:
        sent = answer.told.get("result")
        number = sent.get("message_id") if isinstance(sent, dict) else arguments.get("message_id")
        said = self._poster.clean(f"{answer.status} ok, message {number}")
        return Outcome("delivered", said, answer.status, handle=None if number is None else str(number))


def message(shown: Card) -> dict[str, Any]:
    """The text in Telegram's HTML."""
    title = fitted(shown.title, TITLE, escape, size=utf16)
    lines = fitted("\n".join(shown.lines), TEXT - len(title), escape, size=utf16)
    link = "" if shown.url is None else f'<a href="{escape(shown.url)}">{escape(shown.button)}</a>'
    parts = [f"{MARKS[shown.standing]} <b>{title}</b>", lines, link]
    return {
        "text": "\n".join(part for part in parts if part),
        "parse_mode": "HTML",
        "link_preview_options": {"is_disabled": True},
    }


def _meaning(answer: Answer, said: str) -> Result:
    if answer.meaning == "delivered" and answer.told.get("ok") is True:
        return "delivered"
    if _says(said, _UNCHANGED):
        return "delivered"  # what it should say is what it says
    if _says(said, *_NO_MORE, *_OF_THE_MESSAGE, *_CANNOT_EDIT) or answer.status in (GONE, 413):
        return "refused"
    return "retry"


def _asked(answer: Answer) -> Span | None:
    parameters = answer.told.get("parameters")
    wait = parameters.get("retry_after") if isinstance(parameters, dict) else None
    return min(wait * SECOND, LONGEST_WAIT) if isinstance(wait, int) and wait > 0 else None


def _says(text: str, *words: str) -> bool:
    told = text.lower()
    return any(word in told for word in words)
