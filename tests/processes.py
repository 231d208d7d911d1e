"""Plazo's services as real child processes; they end with the test run, however that ends."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import httpx2

from deploy.local.tether import Command, Tethered

ROOT = Path(__file__).resolve().parents[1]

Condition = Callable[[], Awaitable[bool]]


@dataclass
class PlazoProcess:
    """One `./plazo …` with exactly *env* on top of an environment without settings of the caller's; output in *log*."""

    arguments: list[str]
    env: Mapping[str, str]
    log: Path
    module: str = "services"
    _running: Tethered | None = field(default=None, init=False)

    def start(self) -> None:
        """Start it; what it printed in an earlier run stays in the log."""
        kept = {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR", "LANG") if name in os.environ}
        env = {**kept, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1", **self.env}
        self._running = Tethered(Command([sys.executable, "-m", self.module, *self.arguments], self.log, env=env))

    async def ready(self, url: str, within_s: float = 30.0) -> None:
        """Wait until *url* answers 200.

        Raises:
            AssertionError: it ended, or the time is over; with the last of its output.
        """
        async with httpx2.AsyncClient() as client:

            async def answers() -> bool:
                try:
                    return (await client.get(url, timeout=2.0)).status_code == 200
                except httpx2.TransportError:
                    return False

            await self._until(answers, f"{url} to answer 200", within_s)

    async def said(self, text: str, within_s: float = 30.0) -> None:
        """Wait until the output has *text*.

        Raises:
            AssertionError: it ended, or the time is over; with the last of its output.
        """

        async def is_there() -> bool:
            return text in self.output()

        await self._until(is_there, f"{text!r} to be said", within_s)

    async def stop(self) -> int:
        """Ask it to stop as an orchestrator does, wait, and give its exit status."""
        return await asyncio.to_thread(self._process().stop)

    async def ended(self, within_s: float = 30.0) -> int:
        """Wait until it has ended by itself; its exit status.

        Raises:
            AssertionError: the time is over.
        """
        status = await asyncio.to_thread(self._process().ended, within_s)
        assert status is not None, f"{self} still runs after {within_s} s\n{self.tail()}"
        return status

    def status(self) -> int | None:
        """Its exit status, negative for a signal; None while it runs."""
        return self._process().ended()

    def kill(self) -> None:
        """End it at once, as a power cut would."""
        self._process().kill()

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        self._process().signal(number)

    @property
    def pid(self) -> int:
        """The process id of the present run."""
        return self._process().pid

    def output(self) -> str:
        """All that it printed, in all runs."""
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def tail(self, lines: int = 40) -> str:
        """The last *lines* of its output, for a failed test."""
        return "\n".join(self.output().splitlines()[-lines:])

    async def __aenter__(self) -> PlazoProcess:
        self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    def __str__(self) -> str:
        return " ".join(["./plazo", *self.arguments])

    def _process(self) -> Tethered:
        assert self._running is not None, f"{self} was not started"
        return self._running

    async def _until(self, condition: Condition, what: str, within_s: float) -> None:
        deadline = time.monotonic() + within_s
        while not await condition():
            status = self._process().ended()
            assert status is None, f"{self} ended with status {status} before {what}\n{self.tail()}"
            assert time.monotonic() < deadline, f"{self}: waited {within_s} s for {what}\n{self.tail()}"
            await asyncio.sleep(0.02)
