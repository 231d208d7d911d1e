"""Alerts as HTTP POSTs, as Standard Webhooks says: signed, with one id for all repeats.

What an answer means:

    2xx            delivered
    FINAL          refused: the receiver says of this very message that it will not take it (410: of any)
    everything else, redirects too, and no answer: retried, and so is an address that may not be reached. Whatever is
    wrong with the place or the moment (a gone key, a missing page, an overload) can be put right while the schedule
    runs. A redirect is never followed.
"""

from __future__ import annotations

import asyncio
import ssl
from dataclasses import dataclass
from typing import Final

import aiohttp
from standardwebhooks import Webhook as Signer
from yarl import URL

from services.notifier import message
from services.notifier.channels.guard import Client, Forbidden
from services.notifier.delivery import ChannelName, Delivery, Outcome, kept_answer
from services.notifier.retry import retry_after
from services.notifier.secrecy import forms, of_url
from shared.events import SECOND, Instant, moment

FINAL: Final = frozenset({400, 405, 406, 410, 411, 413, 414, 415, 422, 431, 451, 501, 505})
ANSWER_BYTES: Final = 4_096  # of an answer are read; the rest is left unread and the connection closed
CONCURRENCY: Final = 4


@dataclass(frozen=True, slots=True)
class Target:
    """Where a webhook goes, and with which key it is signed."""

    url: str
    key: bytes
    secret: str  # the key as it was written, so that an answer which echoes it can be cleaned
    timeout_s: float


class WebhookChannel:
    """One webhook receiver; *client* is shared by all of them and closed by whoever opened it."""

    name: ChannelName = "webhook"

    def __init__(self, target: Target, client: Client, *, version: str, concurrency: int = CONCURRENCY) -> None:
        self.concurrency = concurrency
        self._target = target
        self._url = URL(target.url)
        self._client = client
        self._signer = Signer(target.key)
        self._agent = f"plazo/{version}"
        self._secrets = forms(target.secret, *of_url(target.url))

    async def send(self, delivery: Delivery, now: Instant) -> Outcome:
        """POST the alert once; bounded in time and in what is read."""
        try:
            async with asyncio.timeout(self._target.timeout_s):
                return await self._post(delivery, now)
        except TimeoutError:
            return Outcome("retry", f"no answer within {self._target.timeout_s:g} s")
        except (aiohttp.ClientError, OSError) as exc:
            return Outcome("retry", self._clean(_trouble(exc)))

    async def _post(self, delivery: Delivery, now: Instant) -> Outcome:
        body = message.body(delivery.record)
        async with self._client.post(self._url, body, self._headers(delivery, now, body)) as response:
            said = await _beginning(response)
        answer = self._clean(f"{response.status} {response.reason or ''} {said}")
        if 200 <= response.status < 300:
            return Outcome("delivered", answer, response.status)
        if response.status in FINAL:
            return Outcome("refused", answer, response.status)
        after = retry_after(response.headers.get("retry-after"), now)
        return Outcome("retry", answer, response.status, after)

    def _headers(self, delivery: Delivery, now: Instant, body: bytes) -> dict[str, str]:
        return {
            "content-type": "application/json",
            "user-agent": self._agent,
            "webhook-id": delivery.message_id,
            "webhook-timestamp": str(now // SECOND),
            "webhook-signature": self._signer.sign(delivery.message_id, moment(now), body.decode()),
        }

    def _clean(self, text: str) -> str:
        return kept_answer(text, self._secrets)


def _trouble(exc: BaseException) -> str:
    found: BaseException | None = exc
    while found is not None:
        if isinstance(found, Forbidden):
            return f"not sent: {found}"
        if isinstance(found, ssl.SSLCertVerificationError) and not isinstance(found, aiohttp.ClientError):
            return f"its certificate is not trusted: {found.verify_message} (NOTIFIER_CA_FILE adds authorities)"
        found = found.__cause__ or found.__context__  # the client's own errors hide them
    return f"{type(exc).__name__}: {exc}"


async def _beginning(response: aiohttp.ClientResponse) -> str:
    found = b""
    while len(found) < ANSWER_BYTES and (part := await response.content.read(ANSWER_BYTES - len(found))):
        found += part
    return found.decode(errors="replace")
