"""Alerts in a channel of Mattermost, by an incoming webhook.

A 400 or 501 is mostly about the webhook (deleted, or switched off for the server), which can be put right: refused is
only what Mattermost cannot read, or finds too long.
"""

from __future__ import annotations

from typing import Any, Final

from yarl import URL

from services.notifier.card import Card, card
from services.notifier.channels.fitting import COLORS, OVER, fitted
from services.notifier.channels.posting import GONE, Answer, Poster
from services.notifier.delivery import ChannelName, Delivery, Outcome, Result
from services.notifier.writing import Writer
from shared.events import Instant

CONCURRENCY: Final = 2
TITLE: Final = 500
TEXT: Final = 7_000  # characters of an attachment's; those of a message may be 16,383
_MARKDOWN: Final = frozenset("\\`*_[]()~|<>#!")
_OF_THE_MESSAGE: Final = ("web.incoming_webhook.parse", "web.incoming_webhook.text", "model.post.is_valid")


class MattermostChannel:
    """A channel of Mattermost."""

    name: ChannelName = "mattermost"

    def __init__(
        self, room: tuple[str, str | None], poster: Poster, writer: Writer, *, concurrency: int = CONCURRENCY
    ) -> None:
        """Take *room*, a webhook's URL and the channel that is meant if it is not the webhook's own."""
        self.concurrency = concurrency
        url, self._channel = room
        self._url = URL(url)
        self._poster = poster
        self._writer = writer

    async def send(self, delivery: Delivery, now: Instant) -> Outcome:
        """Post the message once."""
        return await self._poster.attempt(self._post(delivery, now))

    async def _post(self, delivery: Delivery, now: Instant) -> Outcome:
        answer = await self._poster.post_json(self._url, message(card(delivery, self._writer), self._channel))
        return self._poster.outcome(answer, now, _meaning(answer))


def message(shown: Card, channel: str | None = None) -> dict[str, Any]:
    """The post, with one attachment."""
    attachment = {
        "fallback": fitted(shown.title, TITLE, _quiet),
        "color": OVER if shown.is_over else COLORS[shown.severity],
        "title": fitted(shown.title, TITLE, _escape),
        "text": fitted("\n".join(shown.lines), TEXT, _escape) + _link(shown),
    }
    return {"attachments": [attachment], **({} if channel is None else {"channel": channel})}


def _link(shown: Card) -> str:
    return "" if shown.url is None else f"\n\n[{''.join(map(_escape, shown.button))}]({shown.url})"


def _escape(character: str) -> str:
    return "\\" + character if character in _MARKDOWN else _quiet(character)


def _quiet(character: str) -> str:
    # What follows an @ is called, all of a channel even; behind a space without width nobody is.
    return "@\u200b" if character == "@" else character


def _meaning(answer: Answer) -> Result:
    if answer.meaning == "delivered" or answer.status in (GONE, 413):
        return answer.meaning
    return "refused" if str(answer.told.get("id", "")).startswith(_OF_THE_MESSAGE) else "retry"
