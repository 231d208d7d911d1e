"""Local webhook receivers as a process of their own: those under /fast answer at once, /slow after 20 seconds.

    python -m tests.bench.webhooks

It prints its port. GET /arrivals gives what was posted so far: msgpack of [path, id of the item, µs since 1970].
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

import httpx2
import msgspec

from deploy.local.tether import Command, Tethered
from tests.receivers import Answer, Posted, http_receiver

SLOW_S: Final = 20.0
SLOW: Final = "/slow"


class Arrival(NamedTuple):
    """An alert that a receiver got."""

    path: str
    item: str
    at: int  # µs since 1970


class _Data(msgspec.Struct):
    id: str


class _Body(msgspec.Struct):
    data: _Data


@dataclass(frozen=True, slots=True)
class Webhooks:
    """The receivers, running."""

    url: str
    pid: int

    async def arrivals(self) -> list[Arrival]:
        """What arrived so far, in order."""
        async with httpx2.AsyncClient() as client:
            answer = await client.get(f"{self.url}/arrivals", timeout=30.0)
        return msgspec.msgpack.decode(answer.content, type=list[Arrival])


@contextmanager
def webhooks(folder: Path, name: str) -> Iterator[Webhooks]:
    """Receivers on a free port, until the end of the block."""
    log = folder / f"{name}.log"
    process = Tethered(Command([sys.executable, "-m", __name__], log))
    try:
        while not (port := log.read_text().strip()).isdecimal():
            assert process.ended(0.05) is None, f"the receivers ended by themselves: {port[-500:]}"
        yield Webhooks(f"http://127.0.0.1:{port}", process.pid)
    finally:
        process.stop()


async def serve() -> None:
    """Receive until the process is ended."""
    arrivals: list[Arrival] = []
    decode = msgspec.json.Decoder(_Body).decode

    def answer(posted: Posted) -> Answer:
        if posted.method == "GET":
            return Answer(200, body=msgspec.msgpack.encode(arrivals))
        arrivals.append(Arrival(posted.path, decode(posted.body).data.id, time.time_ns() // 1000))
        if posted.path != SLOW:
            return Answer()
        waited = asyncio.Event()
        asyncio.get_running_loop().call_later(SLOW_S, waited.set)
        return Answer(hold=waited)

    async with http_receiver() as receiver:
        receiver.answer = answer
        print(receiver.port, flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(serve())
