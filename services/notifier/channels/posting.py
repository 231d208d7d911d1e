"""One attempt over HTTP, as every channel that POSTs makes it: bounded in time and in what is read, without secrets.

What a status means, where a channel knows no better:

    2xx            delivered
    FINAL          refused: the receiver says of this very message that it will not take it
    410            refused, and the endpoint is gone: nothing more is sent there until somebody looks at it
    everything else, redirects too, and no answer: retried, and so is an address that may not be reached. Whatever is
    wrong with the place or the moment (a gone key, a missing page, an overload) can be put right while the schedule
    runs. A redirect is never followed.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Coroutine, Mapping
from dataclasses import dataclass
from typing import Any, Final

import aiohttp
import msgspec
from yarl import URL

from services.notifier.channels.guard import Client, Forbidden
from services.notifier.delivery import Outcome, Result, kept_answer
from services.notifier.retry import retry_after
from shared.events import Instant

GONE: Final = 410
FINAL: Final = frozenset({400, 405, 406, GONE, 411, 413, 414, 415, 422, 431, 451, 501, 505})
ANSWER_BYTES: Final = 4_096  # of an answer are read; the rest is left unread and the connection closed
WHOLE_BYTES: Final = 65_536  # of one that says what counts in JSON, and may repeat the message in it
_DECODER: Final = msgspec.json.Decoder(dict[str, Any])


@dataclass(frozen=True, slots=True)
class Manner:
    """How a channel posts: as whom, how long an attempt may take, and what must not be kept of an answer."""

    version: str
    timeout_s: float
    secrets: tuple[str, ...]  # in every form in which an answer may echo them


@dataclass(frozen=True, slots=True)
class Answer:
    """What a receiver answered, its body as far as it was read."""

    status: int
    reason: str
    headers: Mapping[str, str]
    text: str

    @property
    def told(self) -> Mapping[str, Any]:
        """The JSON object that the body is; empty where it is none."""
        try:
            return _DECODER.decode(self.text)
        except msgspec.DecodeError:
            return {}

    @property
    def meaning(self) -> Result:
        """What the status says of the message."""
        if 200 <= self.status < 300:
            return "delivered"
        return "refused" if self.status in FINAL else "retry"


class Poster:
    """Makes the attempts of one receiver; *client* is shared by all of them and closed by whoever opened it."""

    def __init__(self, client: Client, manner: Manner) -> None:
        self._client = client
        self._manner = manner
        self._agent = f"plazo/{manner.version}"

    async def attempt(self, sending: Coroutine[Any, Any, Outcome]) -> Outcome:
        """What *sending* comes to, in bounded time; what the network does to it is an outcome, too."""
        try:
            async with asyncio.timeout(self._manner.timeout_s):
                return await sending
        except TimeoutError:
            return Outcome("retry", f"no answer within {self._manner.timeout_s:g} s")
        except (aiohttp.ClientError, OSError) as exc:
            return Outcome("retry", self.clean(_trouble(exc)))

    async def post(self, url: URL, body: bytes, headers: Mapping[str, str], *, most: int = ANSWER_BYTES) -> Answer:
        """The answer to one POST, of which at most *most* bytes are read.

        Raises:
            aiohttp.ClientError, OSError: nothing was sent, or no answer came.
        """
        named = {"content-type": "application/json", "user-agent": self._agent, **headers}
        async with self._client.post(url, body, named) as response:
            text = await _beginning(response, most)
        return Answer(response.status, response.reason or "", response.headers, text)

    async def post_json(
        self, url: URL, value: Any, headers: Mapping[str, str] | None = None, *, most: int = ANSWER_BYTES
    ) -> Answer:
        """The answer to one POST of *value* as JSON; raises as `post` does."""
        return await self.post(url, msgspec.json.encode(value), headers or {}, most=most)

    def outcome(self, answer: Answer, now: Instant, result: Result | None = None) -> Outcome:
        """What comes of *answer*: what its status means, unless the channel knows its *result* better."""
        said = self.clean(f"{answer.status} {answer.reason} {answer.text[:ANSWER_BYTES]}")
        settled = answer.meaning if result is None else result
        if settled != "retry":
            gone = settled == "refused" and answer.status == GONE
            return Outcome(settled, said, answer.status, gone=gone)
        return Outcome("retry", said, answer.status, retry_after(answer.headers.get("retry-after"), now))

    def clean(self, text: str) -> str:
        """*text* as it may be kept and shown."""
        return kept_answer(text, self._manner.secrets)


def _trouble(exc: BaseException) -> str:
    found: BaseException | None = exc
    while found is not None:
        if isinstance(found, Forbidden):
            return f"not sent: {found}"
        if isinstance(found, ssl.SSLCertVerificationError) and not isinstance(found, aiohttp.ClientError):
            return f"its certificate is not trusted: {found.verify_message} (NOTIFIER_CA_FILE adds authorities)"
        found = found.__cause__ or found.__context__  # the client's own errors hide them
    return f"{type(exc).__name__}: {exc}"


async def _beginning(response: aiohttp.ClientResponse, most: int) -> str:
    found = b""
    while len(found) < most and (part := await response.content.read(most - len(found))):
        found += part
    return found.decode(errors="replace")
