"""Receivers of alerts for tests: an HTTP server that answers as it is told, and a mail server."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from email.message import EmailMessage
from email.parser import BytesParser
from email.policy import default
from typing import Any

from aiosmtpd.smtp import SMTP


@dataclass(frozen=True)
class Posted:
    """A request as it arrived."""

    method: str
    path: str
    headers: dict[str, str]  # names in small letters
    body: bytes


@dataclass(frozen=True)
class Answer:
    """What the server answers; a status of 0 closes the connection without a word, a *hold* is waited for first."""

    status: int = 204
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    hold: asyncio.Event | None = None


class HttpReceiver:
    """Keeps what is posted to it; *answer* decides by the request."""

    def __init__(self) -> None:
        self.answer: Callable[[Posted], Answer] = lambda _posted: Answer()
        self.posted: list[Posted] = []
        self.changed = asyncio.Condition()
        self.port = 0
        self.connections = 0

    @property
    def url(self) -> str:
        """Where to post to."""
        return f"http://127.0.0.1:{self.port}/hook"

    async def until(self, reached: Callable[[list[Posted]], bool], *, within_s: float = 15.0) -> None:
        """Wait until what was posted is as *reached* wants it."""
        async with asyncio.timeout(within_s), self.changed:
            await self.changed.wait_for(lambda: reached(self.posted))

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer the requests of one connection."""
        self.connections += 1
        try:
            while (posted := await _request(reader)) is not None:
                async with self.changed:
                    self.posted.append(posted)
                    self.changed.notify_all()
                answer = self.answer(posted)
                if answer.hold is not None:
                    await answer.hold.wait()
                if answer.status == 0:
                    break
                writer.write(_bytes(answer))
                await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # the client has gone: what it sent is kept
        finally:
            writer.close()


@asynccontextmanager
async def http_receiver(tls: ssl.SSLContext | None = None) -> AsyncIterator[HttpReceiver]:
    """A started HTTP receiver on a free port; with *tls*, for https."""
    receiver = HttpReceiver()
    server = await asyncio.start_server(receiver.serve, "127.0.0.1", 0, ssl=tls)
    receiver.port = server.sockets[0].getsockname()[1]
    try:
        yield receiver
    finally:
        server.close()


async def _request(reader: asyncio.StreamReader) -> Posted | None:
    line = await reader.readline()
    if not line:
        return None
    method, path, _ = line.decode().split(" ", 2)
    headers = {}
    while header := (await reader.readline()).decode().strip():
        name, _, value = header.partition(":")
        headers[name.lower()] = value.strip()
    return Posted(method, path, headers, await reader.readexactly(int(headers.get("content-length", "0"))))


def _bytes(answer: Answer) -> bytes:
    headers = {"content-length": str(len(answer.body)), **answer.headers}
    head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"HTTP/1.1 {answer.status} Said so\r\n{head}\r\n".encode() + answer.body


class MailReceiver:
    """Keeps the mails that it takes; a reply in *says* (by SMTP command) is given instead of the usual one."""

    def __init__(self) -> None:
        self.mails: list[EmailMessage] = []
        self.says: dict[str, str] = {}
        self.addressees: list[list[str]] = []
        self.hold: asyncio.Event | None = None
        self.port = 0

    async def handle_MAIL(self, _server: Any, _session: Any, envelope: Any, address: str, _options: Any) -> str:  # noqa: N802 # the library's name
        """Take a sender."""
        if "MAIL" in self.says:
            return self.says["MAIL"]
        envelope.mail_from = address
        return "250 OK"

    async def handle_RCPT(self, _server: Any, _session: Any, envelope: Any, address: str, _options: Any) -> str:  # noqa: N802 # the library's name
        """Take an addressee, or not."""
        refusal = self.says.get(f"RCPT {address}", self.says.get("RCPT"))
        if refusal:
            return refusal
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:  # noqa: N802 # the library's name
        """Take the mail."""
        if self.hold is not None:
            await self.hold.wait()
        if "DATA" in self.says:
            return self.says["DATA"]
        self.mails.append(BytesParser(policy=default).parsebytes(envelope.content))
        self.addressees.append(list(envelope.rcpt_tos))
        return "250 taken"


@asynccontextmanager
async def mail_receiver() -> AsyncIterator[MailReceiver]:
    """A started mail server on a free port."""
    receiver = MailReceiver()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: SMTP(receiver, hostname="mail.test", loop=loop), "127.0.0.1", 0)
    receiver.port = server.sockets[0].getsockname()[1]
    try:
        yield receiver
    finally:
        server.close()
