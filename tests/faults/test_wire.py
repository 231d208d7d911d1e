"""The network of the faults: what it passes on, holds, cuts and refuses."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest

from tests.faults.wire import Trap, Way, Wire, wire


@pytest.fixture
async def line() -> AsyncIterator[Wire]:
    """A wire to a server that says again what it hears."""

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            while heard := await reader.read(100):
                writer.write(heard)
        writer.close()

    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    async with wire(server.sockets[0].getsockname()[1]) as made:
        yield made
    server.close()
    await server.wait_closed()


class Client:
    """One connection through the wire."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def hears(self, count: int) -> bytes:
        """So many bytes of the answer, or all until its end."""
        async with asyncio.timeout(10.0):
            try:
                return await self.reader.readexactly(count)
            except asyncio.IncompleteReadError as exc:
                return exc.partial
            except ConnectionError:
                return b""


@asynccontextmanager
async def client(line: Wire) -> AsyncIterator[Client]:
    """Connect for the length of the block."""
    made = Client(*await asyncio.open_connection("127.0.0.1", line.port))
    yield made
    made.writer.close()
    with suppress(ConnectionError):
        await made.writer.wait_closed()


async def test_what_is_sent_arrives(line: Wire) -> None:
    async with client(line) as one:
        one.writer.write(b"hello")
        assert await one.hears(5) == b"hello"


@pytest.mark.parametrize("ways", [(), (Way.TO_SERVER,), (Way.TO_CLIENT,)])
async def test_what_is_held_arrives_when_it_is_released(line: Wire, ways: tuple[Way, ...]) -> None:
    async with client(line) as one:
        line.hold(*ways)
        one.writer.write(b"hello")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(one.reader.readexactly(1), 0.1)
        line.release()
        assert await one.hears(5) == b"hello"


async def test_nobody_connects_while_it_refuses(line: Wire) -> None:
    async with client(line) as one:
        line.refuse()
        assert await one.hears(1) == b""
    with pytest.raises(ConnectionError):
        await asyncio.open_connection("127.0.0.1", line.port)
    await line.listen()
    async with client(line) as again:
        again.writer.write(b"hello")
        assert await again.hears(5) == b"hello"


async def test_a_trap_cuts_the_connection_once_its_bytes_have_passed(line: Wire) -> None:
    line.trap = Trap(Way.TO_SERVER, b"COMMIT")
    async with client(line) as one:
        one.writer.write(b"COMMIT")
        assert await one.hears(6) == b""
    assert line.trap.sprung.is_set()
    async with client(line) as two:
        two.writer.write(b"COMMIT")  # it springs once
        assert await two.hears(6) == b"COMMIT"


async def test_a_trap_does_what_it_is_told(line: Wire) -> None:
    line.trap = Trap(Way.TO_SERVER, b"COMMIT", act=lambda: line.hold(Way.TO_CLIENT))
    async with client(line) as one:
        one.writer.write(b"COMMIT")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(one.reader.readexactly(1), 0.1)
        line.release()
        assert await one.hears(6) == b"COMMIT"
