"""The HTTP client of all webhooks: it opens connections only to addresses that were looked at.

A name is looked up once; each of its addresses is judged; and the connection goes to the very address that was judged,
while the name stays in the TLS handshake and in the Host header. So an answer of the DNS that changes in between
changes nothing. Proxies of the environment are not used: behind one, nobody here would see the addresses.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import suppress
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Final

import httpcore2
import httpx2

from services.notifier.reach import Address, Destination, Reach, bare

TRY_S: Final = 3.0  # for one address of several, so that one that does not answer leaves time for the next
LIMITS: Final = httpx2.Limits(max_connections=None, max_keepalive_connections=20)

Resolve = Callable[[str, int], Awaitable[Sequence[str]]]


class Forbidden(httpcore2.ConnectError):
    """No connection was opened, because the address may not be reached."""


async def looked_up(host: str, port: int) -> list[str]:
    """The addresses that the system's resolver has for *host*, in the order in which they are to be tried.

    Raises:
        OSError: it has none.
    """
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(each[4][0]) for each in found))


class GuardedNetwork(httpcore2.AsyncNetworkBackend):
    """Opens the TCP connections of one scheme's requests, as far as *reach* allows."""

    def __init__(self, scheme: str, reach: Reach, resolve: Resolve = looked_up) -> None:
        self._scheme = scheme
        self._reach = reach
        self._resolve = resolve
        self._network = httpcore2.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 # the signature is the library's
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        """A connection to the first address of *host* that answers.

        Raises:
            Forbidden: one of its addresses may not be reached.
            httpcore2.ConnectError, httpcore2.ConnectTimeout: none answers, or there is none.
        """
        *others, last = map(str, await self._addresses(host, port))
        for address in others:
            with suppress(httpcore2.ConnectError, httpcore2.ConnectTimeout):
                return await self._network.connect_tcp(address, port, TRY_S, local_address, socket_options)
        return await self._network.connect_tcp(last, port, timeout, local_address, socket_options)

    async def _addresses(self, host: str, port: int) -> list[Address]:
        try:
            found = [ip_address(each) for each in await self._resolve(bare(host), port)]
        except (OSError, UnicodeError) as exc:
            raise httpcore2.ConnectError(f"{host} has no address") from exc
        if not found:
            raise httpcore2.ConnectError(f"{host} has no address")
        objection = self._reach.objection(Destination(self._scheme, host, port), found)
        if objection is not None:
            raise Forbidden(objection)
        return found

    async def sleep(self, seconds: float) -> None:
        """Wait between two tries, of which this client makes none."""
        await asyncio.sleep(seconds)


class _Guarded(httpx2.AsyncHTTPTransport):
    # The transport makes its pool of connections itself; only the pool takes what opens them.
    def __init__(self, network: GuardedNetwork, tls: ssl.SSLContext) -> None:
        super().__init__(verify=tls)
        self._pool = httpcore2.AsyncConnectionPool(
            ssl_context=tls,
            max_connections=LIMITS.max_connections,
            max_keepalive_connections=LIMITS.max_keepalive_connections,
            keepalive_expiry=LIMITS.keepalive_expiry,
            network_backend=network,
        )


def client(reach: Reach, tls: ssl.SSLContext, *, resolve: Resolve = looked_up) -> httpx2.AsyncClient:
    """The client of all webhooks of a process; each receiver's own limit bounds how many connections it holds."""
    transports = {f"{scheme}://": _Guarded(GuardedNetwork(scheme, reach, resolve), tls) for scheme in ("https", "http")}
    # Nothing of an answer is ever unpacked: a small compressed one could become a large one.
    return httpx2.AsyncClient(
        transport=transports["https://"],
        mounts=transports,
        trust_env=False,
        follow_redirects=False,
        timeout=None,  # each attempt has one limit for everything
        headers={"accept": "*/*", "accept-encoding": "identity"},
    )


def trusting(ca_file: Path | None) -> ssl.SSLContext:
    """How receivers prove who they are: by the system's certificates, and beside them those in *ca_file* (PEM)."""
    context = httpx2.create_ssl_context()
    if ca_file is not None:
        context.load_verify_locations(ca_file)
    return context
