"""`make faults`: every row of the failure matrix on a real broker and a real database, a line a row.

    python -m tests.faults [--only NUMBER|NAME,...]

With SEED or MINUTES in the environment it plays the soak of random faults alone, with that seed, for so long.

The exit status is 0 only if all of them hold.
"""

from __future__ import annotations

import argparse
import gc
import os
import sys
import warnings
from pathlib import Path

import pytest

from tests.faults.report import Report


def main() -> int:
    """Run what was asked for; the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", help="numbers of rows, or parts of their names, with commas between")
    only = parser.parse_args().only or ("soak" if {"SEED", "MINUTES"} & os.environ.keys() else None)
    report = Report(only)
    # Clients of the tests' own leave sockets behind when their broker is killed: no fault of what is tested.
    quiet = ["-p", "no:unraisableexception", "-p", "no:terminal", "-o", "addopts=--strict-markers --strict-config"]
    arguments = [str(Path(__file__).parent), *quiet, "-p", "no:randomly"]
    status = pytest.main(arguments, plugins=[report])
    if status == pytest.ExitCode.NO_TESTS_COLLECTED:
        print(f"no row is {only!r}")
    # What a test that failed left open is told of by the interpreter, and would come behind the last line.
    warnings.simplefilter("ignore", ResourceWarning)
    gc.collect()
    print(report.summary())
    return 0 if status == pytest.ExitCode.OK and report.passed and not report.failed else 1


if __name__ == "__main__":
    sys.exit(main())
