"""`make bench`: measures on a real broker and a real database on this machine, prints a table, keeps the figures.

    python -m tests.bench [--only NAME] [--runs N]

The figures go to `.bench/latest.json`. Absolute numbers differ between machines and hours: compare within one run.
"""

from __future__ import annotations

import argparse
import asyncio
import platform
import shutil
import statistics
import sys
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import msgspec
from rich.console import Console
from rich.table import Table

from tests.bench import backtesting, calendars, throughput
from tests.bench.harness import ROOT, bench
from tests.bench.workload import Shape

OUT = ROOT / ".bench"
EVENTS = 200_000
Figure = dict[str, Any]
console = Console()


async def path(name: str, shape: Shape, folder: Path) -> list[Figure]:
    """Events a second from the upstream topic to committed positions, and what they cost."""
    async with bench(folder, name) as made:
        found = await throughput.measure(made, shape)
    console.print(f"[bold]{name}[/]: {throughput.describe(found)}")
    micro = 1_000_000 / found.events
    cpu = (found.ingest_cpu_s + found.timer_cpu_s + found.postgres_cpu_s) * micro
    return [
        {"name": f"{name}_per_s", "value": found.per_second, "unit": "events/s"},
        {"name": f"{name}_cpu", "value": cpu, "unit": "µs/event"},
        {"name": f"{name}_memory", "value": found.ingest_mib + found.timer_mib, "unit": "MiB"},
    ]


async def path_2k(folder: Path) -> list[Figure]:
    """The whole path with 2,000 tickets in flight."""
    return await path("path_2k", Shape(EVENTS, in_flight=2_000), folder)


async def path_100k(folder: Path) -> list[Figure]:
    """The whole path with 100,000 tickets in flight."""
    return await path("path_100k", Shape(EVENTS, in_flight=100_000), folder)


async def backtest(_: Path) -> list[Figure]:
    """Events a second that the fold takes from a file, and the ratio to a fixed reference loop."""
    return backtesting.measure(time.time_ns() // 1000)


async def calendar(_: Path) -> list[Figure]:
    """Questions a second to a calendar, beside other libraries."""
    return calendars.measure(console)


BENCHMARKS: dict[str, Callable[[Path], Coroutine[Any, Any, list[Figure]]]] = {
    "path_2k": path_2k,
    "path_100k": path_100k,
    "backtest": backtest,
    "calendar": calendar,
}


def run(names: list[str], runs: int) -> list[Figure]:
    """The median of each figure over *runs*."""
    values: dict[str, list[Figure]] = {}
    for name in names:
        for turn in range(runs):
            console.print(f"[dim]{name}: run {turn + 1} of {runs} …[/]")
            folder = OUT / "run"
            shutil.rmtree(folder, ignore_errors=True)
            for figure in asyncio.run(BENCHMARKS[name](folder)):
                values.setdefault(figure["name"], []).append(figure)
            shutil.rmtree(folder, ignore_errors=True)
    return [
        {**figures[0], "value": statistics.median(figure["value"] for figure in figures)} for figures in values.values()
    ]


def main() -> int:
    """Run what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=sorted(BENCHMARKS))
    parser.add_argument("--runs", type=int, default=3)
    arguments = parser.parse_args()
    figures = run([arguments.only] if arguments.only else list(BENCHMARKS), arguments.runs)
    table = Table("figure", "median", "unit")
    for figure in figures:
        table.add_row(figure["name"], f"{figure['value']:,.1f}", figure["unit"])
    console.print(table)
    OUT.mkdir(exist_ok=True)
    machine = f"{platform.machine()}, Python {platform.python_version()}"
    (OUT / "latest.json").write_bytes(msgspec.json.encode({"machine": machine, "figures": figures}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
