"""The HTTP client of all webhooks: it opens connections only to addresses that were looked at.

A name is looked up once; each of its addresses is judged; and the connection goes to the very address that was judged,
while the name stays in the TLS handshake and in the Host header. So an answer of the DNS that changes in between
changes nothing. Proxies of the environment are not used: behind one, nobody here would see the addresses.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from ipaddress import ip_address
from pathlib import Path
from typing import Final, Self

import aiohttp
import httpx2
from aiohttp.abc import ResolveResult
from yarl import URL

from services.notifier.reach import Address, Destination, Reach, bare

KEPT_S: Final = 4.0  # an idle connection: many servers close theirs after five, and what crosses that is sent again

Resolve = Callable[[str, int], Awaitable[Sequence[str]]]


class Forbidden(OSError):
    """No connection was opened, because the address may not be reached."""


async def looked_up(host: str, port: int) -> list[str]:
    """The addresses that the system's resolver has for *host*, in the order in which they are to be tried.

    Raises:
        OSError: it has none.
    """
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(each[4][0]) for each in found))


class _GuardedConnector(aiohttp.TCPConnector):
    # Opens the TCP connections of one scheme's requests, as far as *reach* allows, and keeps them for the next ones.
    # A resolver of the library's own kind would not be asked about a host that is an address already.
    def __init__(self, scheme: str, reach: Reach, tls: ssl.SSLContext, resolve: Resolve) -> None:
        super().__init__(ssl=tls, limit=0, keepalive_timeout=KEPT_S)
        self._scheme = scheme
        self._reach = reach
        self._addresses_of = resolve

    async def _resolve_host(self, host: str, port: int, traces: object = None) -> list[ResolveResult]:
        return [_resolved(host, port, each) for each in await self._judged(host, port)]

    async def _judged(self, host: str, port: int) -> list[Address]:
        try:
            found = [ip_address(each) for each in await self._addresses_of(bare(host), port)]
        except (OSError, UnicodeError) as exc:
            raise OSError(f"{host} has no address") from exc
        if not found:
            raise OSError(f"{host} has no address")
        objection = self._reach.objection(Destination(self._scheme, host, port), found)
        if objection is not None:
            raise Forbidden(objection)
        return found


def _resolved(host: str, port: int, address: Address) -> ResolveResult:
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    return ResolveResult(
        hostname=host, host=str(address), port=port, family=family, proto=0, flags=socket.AI_NUMERICHOST
    )


class Client:
    """Posts to all webhooks of a process; each receiver's own limit bounds how many connections it holds."""

    def __init__(self, reach: Reach, tls: ssl.SSLContext, *, resolve: Resolve = looked_up) -> None:
        self._reach = reach
        self._tls = tls
        self._resolve = resolve
        self._sessions: dict[str, aiohttp.ClientSession] = {}

    async def __aenter__(self) -> Self:
        """The client itself."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close it."""
        await self.aclose()

    def post(
        self, url: URL, body: bytes, headers: Mapping[str, str]
    ) -> AbstractAsyncContextManager[aiohttp.ClientResponse]:
        """The answer to one POST, its body unread; what is not read of it by the end of the block never is.

        There is no limit of time: each attempt has one for everything.

        Raises:
            aiohttp.ClientError, OSError: nothing was sent, or no answer came. Forbidden is the cause of one of them.
        """
        return self._session(url.scheme).post(url, data=body, headers=headers, allow_redirects=False)

    async def aclose(self) -> None:
        """Close all connections."""
        for session in self._sessions.values():
            await session.close()
        self._sessions.clear()

    def _session(self, scheme: str) -> aiohttp.ClientSession:
        # Opened at the first use: it belongs to the loop that runs then.
        if scheme not in self._sessions:
            self._sessions[scheme] = aiohttp.ClientSession(
                connector=_GuardedConnector(scheme, self._reach, self._tls, self._resolve),
                cookie_jar=aiohttp.DummyCookieJar(),
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=None),
                # Nothing of an answer is ever unpacked: a small compressed one could become a large one.
                headers={"accept": "*/*", "accept-encoding": "identity"},
                auto_decompress=False,
                trust_env=False,
            )
        return self._sessions[scheme]


def trusting(ca_file: Path | None) -> ssl.SSLContext:
    """How receivers prove who they are: by the system's certificates, and beside them those in *ca_file* (PEM)."""
    context = httpx2.create_ssl_context()
    if ca_file is not None:
        context.load_verify_locations(ca_file)
    return context
