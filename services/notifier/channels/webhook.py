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

import httpx2
from standardwebhooks import Webhook as Signer

from services.notifier import message
from services.notifier.channels.guard import Forbidden
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

    def __init__(
        self, target: Target, client: httpx2.AsyncClient, *, version: str, concurrency: int = CONCURRENCY
    ) -> None:
        self.concurrency = concurrency
        self._target = target
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
        except (httpx2.HTTPError, httpx2.InvalidURL, OSError) as exc:
            return Outcome("retry", self._clean(_trouble(exc)))

    async def _post(self, delivery: Delivery, now: Instant) -> Outcome:
        body = message.body(delivery.record)
        request = self._client.build_request(
            "POST", self._target.url, content=body, headers=self._headers(delivery, now, body)
        )
        response = await self._client.send(request, stream=True, follow_redirects=False)
        try:
            said = await _beginning(response)
        finally:
            await response.aclose()
        answer = self._clean(f"{response.status_code} {response.reason_phrase} {said}")
        if response.is_success:
            return Outcome("delivered", answer, response.status_code)
        if response.status_code in FINAL:
            return Outcome("refused", answer, response.status_code)
        after = retry_after(response.headers.get("retry-after"), now)
        return Outcome("retry", answer, response.status_code, after)

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
        if isinstance(found, ssl.SSLCertVerificationError):
            return f"its certificate is not trusted: {found.verify_message} (NOTIFIER_CA_FILE adds authorities)"
        found = found.__cause__ or found.__context__  # the pool of connections hides causes
    return f"{type(exc).__name__}: {exc}"


async def _beginning(response: httpx2.Response) -> str:
    found = b""
    async for part in response.aiter_raw():
        found += part
        if len(found) >= ANSWER_BYTES:
            break
    return found[:ANSWER_BYTES].decode(errors="replace")
