"""Alerts in Microsoft Teams: cards that are posted to a workflow (`When a Teams webhook request is received`).

A workflow answers 202 before it posts the card, and can be switched off by its owner: then it says 400 with a code.
A text run of a card knows no Markdown, so nothing needs to be escaped.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from yarl import URL

from services.notifier.card import Card, card
from services.notifier.channels.fitting import fitted, utf8
from services.notifier.channels.posting import Answer, Poster
from services.notifier.delivery import AlertStanding, ChannelName, Delivery, Outcome, Result
from services.notifier.writing import Writer
from shared.events import Instant

CONCURRENCY: Final = 1  # Teams takes four requests a second
TEXT_BYTES: Final = 8_000  # of the words, which stand in the message twice as long at most; it may have 28 KB
COLORS: Final[Mapping[AlertStanding, str]] = {
    "warning": "warning",
    "open": "attention",
    "acknowledged": "accent",
    "ended": "good",
    "retracted": "default",
}
_SWITCHED_OFF: Final = ("WorkflowTriggerIsNotEnabled", "DirectApiAuthorizationRequired")


class TeamsChannel:
    """A channel or chat of Microsoft Teams."""

    name: ChannelName = "teams"

    def __init__(self, url: str, poster: Poster, writer: Writer, *, concurrency: int = CONCURRENCY) -> None:
        self.concurrency = concurrency
        self._url = URL(url, encoded=True)
        self._poster = poster
        self._writer = writer

    async def send(self, delivery: Delivery, now: Instant) -> Outcome:
        """Post the card once."""
        return await self._poster.attempt(self._post(delivery, now))

    async def _post(self, delivery: Delivery, now: Instant) -> Outcome:
        answer = await self._poster.post_json(self._url, message(card(delivery, self._writer)))
        return self._poster.outcome(answer, now, _meaning(answer))


def message(shown: Card) -> dict[str, Any]:
    """The message with one adaptive card."""
    title = _run(fitted(shown.title, TEXT_BYTES // 2, size=utf8), weight="bolder", color=COLORS[shown.standing])
    lines = fitted("\n".join(shown.lines), TEXT_BYTES // 2, size=utf8).split("\n")
    content: dict[str, Any] = {
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": "1.4",
        "msteams": {"width": "Full"},
        "body": [title, *(_run(line, spacing="small") for line in lines if line)],
    }
    if shown.url is not None:
        content["actions"] = [{"type": "Action.OpenUrl", "title": shown.button, "url": shown.url}]
    attachment = {"contentType": "application/vnd.microsoft.card.adaptive", "contentUrl": None, "content": content}
    return {"type": "message", "attachments": [attachment]}


def _run(text: str, *, spacing: str = "default", **style: str) -> dict[str, Any]:
    return {"type": "RichTextBlock", "spacing": spacing, "inlines": [{"type": "TextRun", "text": text or " ", **style}]}


def _meaning(answer: Answer) -> Result:
    if answer.status == 400 and any(code in answer.text for code in _SWITCHED_OFF):
        return "retry"
    return answer.meaning
