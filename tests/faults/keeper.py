"""A process that is started again whenever it ends, as an orchestrator does it, and what it ended by."""

from __future__ import annotations

import asyncio
import signal
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

from tests.processes import PlazoProcess

LOOK_S: Final = 0.05
REST_S: Final = 0.2  # before it is started again, unless a fault says otherwise
GAVE_UP: Final = 1  # its exit status where a server was away when it started, or a limit was reached


@dataclass
class Kept:
    """One process under its keeper; *made* gives it for its start of a number."""

    name: str
    made: Callable[[int], PlazoProcess]
    ends: Counter[int] = field(default_factory=Counter)  # exit status -> how often
    starts: int = 0
    _process: PlazoProcess | None = None
    _rest_s: float = REST_S

    @property
    def process(self) -> PlazoProcess | None:
        """The present run, None while it is away."""
        return self._process

    async def run(self, over: asyncio.Event) -> None:
        """Start it, again and again, until *over*; then it is asked to stop, and its last exit status is 0."""
        while not over.is_set():
            process = self.made(self.starts)
            self.starts += 1
            process.start()
            self._process = process
            while (status := process.status()) is None and not over.is_set():  # noqa: ASYNC110 # nobody tells
                await asyncio.sleep(LOOK_S)
            self._process = None
            if status is None:
                status = await process.stop()
            self.ends[status] += 1
            rest_s, self._rest_s = self._rest_s, REST_S
            with suppress(TimeoutError):
                async with asyncio.timeout(rest_s):
                    await over.wait()

    def kill(self, away_s: float) -> bool:
        """End it as a power cut would; it starts again after so many seconds. False where it is away already."""
        return self._signal(signal.SIGKILL, away_s)

    def leave(self, away_s: float) -> bool:
        """Ask it to end; it starts again after so many seconds."""
        return self._signal(signal.SIGTERM, away_s)

    async def stop(self, seconds: float) -> bool:
        """Let it stand still for so long; it may be killed meanwhile."""
        process = self._process
        if process is None:
            return False
        with suppress(ProcessLookupError):
            process.signal(signal.SIGSTOP)
            await asyncio.sleep(seconds)
            process.signal(signal.SIGCONT)
        return True

    def _signal(self, number: signal.Signals, away_s: float) -> bool:
        if self._process is None:
            return False
        self._rest_s = max(away_s, REST_S)
        with suppress(ProcessLookupError):
            self._process.signal(number)
        return True
