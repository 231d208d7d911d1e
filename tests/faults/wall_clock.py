"""`./plazo` with a wall clock that is wrong: `python -m tests.faults.wall_clock FILE COMMAND …`.

FILE holds the seconds by which the clock is ahead; they may change while the process runs, as by a step of the clock.
The monotonic clock goes on as it is, as on a machine whose clock is set.
"""

from __future__ import annotations

import runpy
import sys
import time
from pathlib import Path


def main() -> None:
    """Set the clock wrong, and be `./plazo`."""
    file = Path(sys.argv.pop(1))
    right, right_ns = time.time, time.time_ns

    def ahead_s() -> int:
        return int(file.read_text() or "0")

    time.time = lambda: right() + ahead_s()
    time.time_ns = lambda: right_ns() + ahead_s() * 1_000_000_000
    runpy.run_module("services", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
