"""The keys of an OpenID Connect issuer: found, kept, and asked for again when a token names a new one."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeVar

import httpx2
import msgspec
import structlog
from joserfc.jwk import Key

from shared.callers import Caller
from shared.errors import Denied, Unavailable
from shared.events import SECOND, Instant, Span
from shared.http_settings import is_trustworthy
from shared.tokens import Signer, caller_of, key_for, public_keys, signer
from shared.trust import Trust

log = structlog.get_logger(__name__)
Told = TypeVar("Told")
Fetch = Callable[[str], Awaitable[bytes]]
AGE_S: Final = 600.0
"""How old keys get before they are asked for again: so long does a key that the issuer took back go on opening."""

AGAIN: Final[Span] = 10 * SECOND
"""Between two requests at least: tokens with made-up keys must not turn us on the issuer."""

KEPT: Final[Span] = 86_400 * SECOND
"""How long keys go on while the issuer does not answer."""

_TIMEOUT_S: Final = 5.0
_LARGEST: Final = 262_144  # bytes of an answer; sets of keys have a few thousand


class _Discovery(msgspec.Struct, frozen=True):
    issuer: str
    jwks_uri: str


class _KeySet(msgspec.Struct, frozen=True):
    keys: list[dict[str, Any]]


class Issuer:
    """Tells who shows a token."""

    def __init__(self, trust: Trust, fetch: Fetch, now: Callable[[], Instant], *, jwks_url: str | None = None) -> None:
        self._trust = trust
        self._fetch = fetch
        self._now = now
        self._jwks_url = jwks_url
        self._keys: list[Key] = []
        self._fetched_at: Instant | None = None
        self._asked_at: Instant | None = None
        self._answers = False  # whether the issuer did when it was asked last
        self._turn = asyncio.Lock()

    async def caller(self, token: str) -> Caller:
        """Who shows *token*.

        Raises:
            Denied: it opens nothing; says why.
            Unavailable: the issuer's keys are not known, and it does not answer.
        """
        asked = signer(token, self._trust)
        key = await self._key(asked)
        return caller_of(token, key, self._trust, now=self._now())

    async def round(self) -> float:
        """Ask for the keys; the seconds until they are to be asked for again."""
        async with self._turn:
            await self._refresh()
        return AGE_S if self._answers else AGAIN / SECOND

    async def _key(self, asked: Signer) -> Key:
        key = key_for(asked, self._current())
        if key is None:
            async with self._turn:  # who waited finds what another one fetched
                key = key_for(asked, self._current())
                if key is None and not self._lately(self._asked_at, AGAIN):
                    await self._refresh()
                    key = key_for(asked, self._current())
        if key is not None:
            return key
        if not (self._answers and self._current()):
            raise Unavailable("The issuer of the tokens does not answer; try again.")
        raise Denied("The token's key is none of the issuer's.")

    def _current(self) -> list[Key]:
        return self._keys if self._lately(self._fetched_at, KEPT) else []

    def _lately(self, at: Instant | None, within: Span) -> bool:
        # A clock that was set back makes nothing recent.
        return at is not None and 0 <= self._now() - at < within

    async def _refresh(self) -> None:
        self._asked_at, self._answers = self._now(), False
        try:
            self._keys = await self._published()
        except Unavailable as exc:  # told to operators only: callers have no need of the address
            log.warning("the issuer's keys were not read", issuer=self._trust.issuer, error=str(exc))
            return
        self._fetched_at, self._answers = self._now(), True

    async def _published(self) -> list[Key]:
        url = self._jwks_url or await self._discovered()
        found = public_keys((await self._read(url, _KeySet)).keys)
        if not found:
            raise Unavailable(f"{url} has no key that could be used")
        return found

    async def _discovered(self) -> str:
        url = f"{self._trust.issuer.rstrip('/')}/.well-known/openid-configuration"
        told = await self._read(url, _Discovery)
        if told.issuer != self._trust.issuer:
            raise Unavailable(f"{url} is of the issuer {told.issuer}, expected {self._trust.issuer}")
        if not is_trustworthy(told.jwks_uri):
            raise Unavailable(f"{url} names keys at {told.jwks_uri}, expected an https:// address")
        return told.jwks_uri

    async def _read(self, url: str, kind: type[Told]) -> Told:
        try:
            return msgspec.json.decode(await self._fetch(url), type=kind)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as exc:
            raise Unavailable(f"{url} is not what an issuer answers: {exc}") from exc


async def fetch(url: str) -> bytes:
    """What *url* answers; redirects are not followed.

    Raises:
        Unavailable: nothing, too much, or no success.
    """
    body = bytearray()
    try:
        async with (
            asyncio.timeout(_TIMEOUT_S),
            httpx2.AsyncClient(timeout=_TIMEOUT_S) as client,
            client.stream("GET", url) as answer,
        ):
            if answer.status_code != 200:
                raise Unavailable(f"{url} answers {answer.status_code}")
            async for part in answer.aiter_bytes():
                body += part
                if len(body) > _LARGEST:
                    raise Unavailable(f"{url} answers more than {_LARGEST} bytes")
    except (httpx2.HTTPError, httpx2.InvalidURL, TimeoutError) as exc:
        raise Unavailable(f"{url}: {str(exc) or type(exc).__name__}") from exc
    return bytes(body)
