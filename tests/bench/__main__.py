"""`make bench`: measures on a real broker and a real database on this machine, prints a table, keeps the figures.

    python -m tests.bench [--only NAME] [--runs N] [--markdown]

The figures go to `.bench/latest.json`, those of each benchmark as soon as they are known. Sizes are taken from the
environment (EVENTS=20000 and so on); figures of other sizes than usual are not held to their goals. The exit status is
0 also where a goal is not met, and 1 where a benchmark could not run.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import shutil
import subprocess
import sys
import time
from typing import Final

from rich.console import Console

from shared.logs import configure
from tests.bench.catalogue import BENCHMARKS
from tests.bench.figures import Series, keep, kept, markdown, table
from tests.bench.harness import ROOT
from tests.bench.sizes import Sizes, unusual
from tests.bench.work import RUNS, Work
from tests.servers import Kind, choose_broker

OUT: Final = ROOT / ".bench"
FILE: Final = OUT / "latest.json"
console = Console()
if not console.is_terminal:
    console = Console(width=180)  # a table that is cut to 80 columns cannot be read in a log


def run(name: str, runs: int) -> None:
    """Run one benchmark here, and keep its figures."""
    sizes = Sizes()
    broker = choose_broker()
    apart = {} if broker.kind is Kind.REAL else {"TEST_BROKER": broker.kind.value}
    series = Series(name, {**unusual(sizes, BENCHMARKS[name].sizes), **apart})

    def keep_so_far() -> None:
        keep(FILE, name, series.figures(), list(BENCHMARKS))

    folder = OUT / name
    shutil.rmtree(folder, ignore_errors=True)
    work = Work(name, runs, sizes, folder, series, say=_say, keep=keep_so_far)
    asyncio.run(BENCHMARKS[name].measure(work))
    keep_so_far()
    shutil.rmtree(folder, ignore_errors=True)  # what a benchmark leaves that failed is kept: its logs say why


def run_all(names: list[str], runs: int) -> list[str]:
    """Run benchmarks, each in a process of its own, so that none finds the memory of another; those that failed."""
    failed = []
    for number, name in enumerate(names, start=1):
        console.rule(f"{name}: {number} of {len(names)}, about {BENCHMARKS[name].minutes:g} min")
        argv = [sys.executable, "-m", "tests.bench", "--only", name, "--runs", str(runs), "--quiet"]
        if subprocess.run(argv, cwd=ROOT, check=False).returncode:
            failed.append(name)
    return failed


def _say(text: str) -> None:
    console.print(f"[dim]{time.strftime('%H:%M:%S')}[/] {text}", highlight=False)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=list(BENCHMARKS), default=os.environ.get("ONLY") or None)
    parser.add_argument("--runs", type=int, default=int(os.environ.get("RUNS") or RUNS))
    parser.add_argument("--markdown", action="store_true", help="measure nothing: print what is kept, for a page")
    parser.add_argument("--quiet", action="store_true", help="print no table")
    return parser.parse_args()


def main() -> int:
    """Run what was asked for."""
    arguments = _arguments()
    if arguments.markdown:
        print(markdown(kept(FILE)))
        return 0
    configure("warning", "console")
    Sizes()  # what is wrong with them is said before anything runs
    failed: list[str] = []
    if arguments.only:
        run(arguments.only, arguments.runs)
    else:
        steady = bool(os.environ.get("STEADY"))
        chosen = [name for name, each in BENCHMARKS.items() if steady or not each.by_name_only]
        failed = run_all(chosen, arguments.runs)
    if not arguments.quiet:
        figures = [figure for figure in kept(FILE) if arguments.only in (None, figure.benchmark)]
        console.print(table(figures))
    for name in failed:
        console.print(f"[red]{name} could not run; what it left is in {OUT / name}[/]")
    return 1 if failed else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)  # what was measured until then is kept
