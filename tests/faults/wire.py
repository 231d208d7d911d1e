"""A TCP port in front of another one, on which a network's faults are played.

Bytes that are held are not lost: as after a split of a real network they arrive once it is mended, unless the
connection was cut meanwhile.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from enum import Enum
from typing import Final

from deploy.local.ports import free_port

_CHUNK: Final = 65_536


class Way(Enum):
    """The direction of bytes."""

    TO_SERVER = "to the server"
    TO_CLIENT = "to the client"


@dataclass
class Trap:
    """Waits for *pattern* in one direction, and springs once: what has it is passed on (or not), and then *act* done.

    Without *act* the connection is cut in which it passed; *passes* False swallows the bytes that have it.
    """

    way: Way
    pattern: bytes
    act: Callable[[], None] | None = None
    passes: bool = True
    sprung: asyncio.Event = field(default_factory=asyncio.Event)

    def springs(self, way: Way, chunk: bytes) -> bool:
        """Whether this is what it waited for."""
        if self.sprung.is_set() or way is not self.way or self.pattern not in chunk:
            return False
        self.sprung.set()
        return True


class _Connection:
    """One client, and the server's end of its connection."""

    def __init__(self, wire: Wire, client: asyncio.StreamWriter, server: asyncio.StreamWriter) -> None:
        self._wire = wire
        self._ends = {Way.TO_SERVER: server, Way.TO_CLIENT: client}

    async def pump(self, reader: asyncio.StreamReader, way: Way) -> None:
        """Pass on what comes, until one end is closed or the network is cut."""
        wire = self._wire
        with suppress(ConnectionError):
            while chunk := await reader.read(_CHUNK):
                if wire.delay_s:
                    await asyncio.sleep(wire.delay_s)
                await wire.flowing[way].wait()
                trap = wire.trap if wire.trap is not None and wire.trap.springs(way, chunk) else None
                if trap is None or trap.passes:
                    self._ends[way].write(chunk)
                    await self._ends[way].drain()
                if trap is not None and trap.act is None:
                    break
                if trap is not None and trap.act is not None:
                    trap.act()
        # What was passed on shall arrive, so the ends are closed and not torn off.
        for end in self._ends.values():
            end.close()

    def cut(self) -> None:
        """Tear both ends off."""
        for end in self._ends.values():
            end.transport.abort()


class Wire:
    """Passes connections to *port* on to *target*, both on 127.0.0.1; *port* 0 takes a free one."""

    def __init__(self, target: int, port: int = 0) -> None:
        self.target = target
        self.port = port or free_port()
        self.delay_s = 0.0  # of each piece of up to 64 KiB, in each direction
        self.trap: Trap | None = None
        self.flowing = {way: asyncio.Event() for way in Way}
        self._connections: set[_Connection] = set()
        self._server: asyncio.Server | None = None
        self.release()

    @property
    def address(self) -> str:
        """`host:port` for clients."""
        return f"127.0.0.1:{self.port}"

    async def listen(self) -> None:
        """Take connections (again)."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)

    def refuse(self) -> None:
        """Cut every connection, and let nobody connect until `listen`."""
        if self._server is not None:
            self._server.close()
        self._server = None
        self.cut()

    def cut(self) -> None:
        """Cut every connection; new ones are taken."""
        for connection in self._connections:
            connection.cut()

    def hold(self, *ways: Way) -> None:
        """Let nothing arrive in these directions (without any, in both) until `release`; nobody is told."""
        for way in ways or Way:
            self.flowing[way].clear()

    def release(self) -> None:
        """Let arrive what was held, and all that follows."""
        for way in Way:
            self.flowing[way].set()

    async def ended(self) -> None:
        """Wait until nothing is left of the connections that were cut."""
        while self._connections:  # noqa: ASYNC110 # each ends by itself
            await asyncio.sleep(0.01)

    async def _serve(self, from_client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        try:
            from_server, to_server = await asyncio.open_connection("127.0.0.1", self.target)
        except OSError:
            to_client.transport.abort()
            return
        connection = _Connection(self, to_client, to_server)
        if self._server is None:  # refused since it was taken
            connection.cut()
            return
        self._connections.add(connection)
        try:
            await asyncio.gather(
                connection.pump(from_client, Way.TO_SERVER), connection.pump(from_server, Way.TO_CLIENT)
            )
        finally:
            for end in (to_client, to_server):
                with suppress(ConnectionError):
                    await end.wait_closed()
            self._connections.discard(connection)


@asynccontextmanager
async def wire(target: int, port: int = 0) -> AsyncIterator[Wire]:
    """A wire that takes connections; cut at the end."""
    made = Wire(target, port)
    await made.listen()
    try:
        yield made
    finally:
        made.refuse()
        made.release()
        await made.ended()
