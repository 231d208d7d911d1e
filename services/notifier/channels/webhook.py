"""Alerts as HTTP POSTs, as Standard Webhooks says: signed with each key, with one id for all repeats.

What an answer means is in `posting`. The body is that of Standard Webhooks, or a CloudEvent; in binary mode its
attributes are headers, which the signature does not cover.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote

from standardwebhooks import Webhook as Signer
from yarl import URL

from services.notifier.body import body, cloud_event, structured
from services.notifier.channels.posting import Poster
from services.notifier.delivery import ChannelName, Delivery, Outcome
from services.notifier.endpoints.webhook import Mode
from shared.events import SECOND, Instant, moment

CONCURRENCY: Final = 4
_PLAIN: Final = "".join(chr(code) for code in range(0x21, 0x7F) if chr(code) not in '"%')


@dataclass(frozen=True, slots=True)
class Target:
    """Where a webhook goes, with which keys it is signed, the newest first, and what its body is."""

    url: str
    keys: tuple[bytes, ...]
    mode: Mode = "standard"


class WebhookChannel:
    """One webhook receiver."""

    name: ChannelName = "webhook"

    def __init__(self, target: Target, poster: Poster, *, concurrency: int = CONCURRENCY) -> None:
        self.concurrency = concurrency
        self._url = URL(target.url)
        self._mode = target.mode
        self._poster = poster
        self._signers = [Signer(key) for key in target.keys]

    async def send(self, delivery: Delivery, now: Instant) -> Outcome:
        """POST the alert once; bounded in time and in what is read."""
        return await self._poster.attempt(self._post(delivery, now))

    async def _post(self, delivery: Delivery, now: Instant) -> Outcome:
        content, headers = _content(delivery, self._mode)
        answer = await self._poster.post(self._url, content, headers | self._signed(delivery, now, content))
        return self._poster.outcome(answer, now)

    def _signed(self, delivery: Delivery, now: Instant, content: bytes) -> dict[str, str]:
        text, at = content.decode(), moment(now)
        return {
            "webhook-id": delivery.message_id,
            "webhook-timestamp": str(now // SECOND),
            "webhook-signature": " ".join(each.sign(delivery.message_id, at, text) for each in self._signers),
        }


def _content(delivery: Delivery, mode: Mode) -> tuple[bytes, dict[str, str]]:
    if mode == "standard":
        return body(delivery), {}
    event = cloud_event(delivery)
    if mode == "cloudevents-structured":
        return structured(event), {"content-type": "application/cloudevents+json; charset=utf-8"}
    return event.data, _headers(event.attributes)


def _headers(attributes: Mapping[str, str]) -> dict[str, str]:
    # As the HTTP binding of CloudEvents writes them: everything but visible ASCII as %XX of UTF-8.
    named = {f"ce-{name}": quote(value, safe=_PLAIN) for name, value in attributes.items() if name != "datacontenttype"}
    return {"content-type": attributes["datacontenttype"], **named}
