"""What a benchmark is given to do its work."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.bench.figures import Series
from tests.bench.harness import Bench, Site, open_site
from tests.bench.sizes import Sizes
from tests.bench.usage import memory_mib
from tests.processes import PlazoProcess

RUNS: Final = 3  # of which a figure is the median, unless somebody asks for another number


@dataclass(frozen=True)
class Work:
    """One benchmark's sizes, number of runs, folder, and where its figures and its words go."""

    name: str
    runs: int
    sizes: Sizes
    folder: Path
    series: Series
    say: Callable[[str], None]
    keep: Callable[[], None]  # writes the figures so far to the file

    def open_site(self) -> AbstractAsyncContextManager[Site]:
        """A broker and a database for this benchmark."""
        return open_site(self.folder, time.time_ns() // 1000)

    def turns(self, what: str, count: int | None = None) -> range:
        """The numbers of the runs, from 1."""
        self.say(f"{self.name}: {what}, {count or self.runs} runs")
        return range(1, (count or self.runs) + 1)

    @asynccontextmanager
    async def installations(self, count: int | None = None) -> AsyncIterator[AsyncIterator[tuple[int, Bench]]]:
        """A fresh installation for each run, on one site; the figures are kept after each."""
        async with self.open_site() as site:
            yield self._each(site, count or self.runs)

    async def _each(self, site: Site, count: int) -> AsyncIterator[tuple[int, Bench]]:
        for number in range(1, count + 1):
            self.say(f"{self.name}: run {number} of {count}")
            async with site.installation(f"{self.name}{number}") as bench:
                yield number, bench
            self.keep()


def memory(processes: dict[str, PlazoProcess]) -> float:
    """Resident memory of the services together, in MiB."""
    return sum(memory_mib(process.pid) for process in processes.values())
