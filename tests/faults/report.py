"""A line for each row as it ends, and at the end what is shown elsewhere and how many rows hold."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Final

import pytest

from tests.faults.matrix import ELSEWHERE, Row

_NAME_WIDTH: Final = 72


class Report:
    """A pytest plugin in the place of pytest's own report; *only* chooses rows by number or name."""

    def __init__(self, only: str | None) -> None:
        self._only = only
        self._rows: dict[str, Row] = {}
        self._seconds: dict[str, float] = {}
        self._begun = time.monotonic()
        self.passed = 0
        self.failed = 0
        self._ended: set[str] = set()  # of these it is told already that they failed

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Keep the chosen rows, in the order of their numbers."""
        for item in items:
            mark = item.get_closest_marker("fault")
            if mark is not None:
                self._rows[item.nodeid] = mark.args[0]._replace(name=_named(mark.args[0].name, item))
        items[:] = [item for item in items if item.nodeid in self._rows and self._is_chosen(item.nodeid)]
        items.sort(key=lambda item: (self._rows[item.nodeid].number or 1_000, item.nodeid))

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """A file that cannot be read has failed."""
        if report.failed:
            self.failed += 1
            print(report.longreprtext, flush=True)

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        """Time runs from here, also for what the row needs first."""
        self._begun = time.monotonic()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Tell how a row ended: by its call, or by the first of its phases that failed."""
        seconds = time.monotonic() - self._begun
        if report.skipped:
            self._tell(report, f"SKIP {_reason(report)}", seconds)
        elif report.failed and report.nodeid not in self._ended:
            self.failed += 1
            self._ended.add(report.nodeid)
            self._tell(report, "FAIL", seconds)
            print(f"{report.longreprtext}\n{_logs(report)}", flush=True)
        elif report.when == "teardown" and report.nodeid not in self._ended:
            self.passed += 1
            self._tell(report, "PASS", seconds)

    def summary(self) -> str:
        """What the run ends with."""
        lines = []
        if self._only is None:
            lines += [f"{number:>3}  not here: {why}" for number, why in ELSEWHERE.items()]
        return "\n".join([*lines, f"{self.passed} passed, {self.failed} failed"])

    def _is_chosen(self, nodeid: str) -> bool:
        return self._only is None or self._rows[nodeid].is_meant(self._only)

    def _tell(self, report: pytest.TestReport, outcome: str, seconds: float) -> None:
        print(f"{self._rows[report.nodeid]!s:<{_NAME_WIDTH}} {outcome} {seconds:6.1f} s", flush=True)
        for line in report.capstdout.splitlines():
            print(f"     {line}", flush=True)


def _reason(report: pytest.TestReport) -> str:
    return str(report.longrepr[2]) if isinstance(report.longrepr, tuple) else report.longreprtext


def _logs(report: pytest.TestReport) -> str:
    """Where to read on: pytest keeps the folders of its last runs."""
    folders = [Path(str(value)) for name, value in report.user_properties if name == "folder"]
    return "\n".join(f"log: {log}" for folder in folders for log in sorted(folder.glob("*.log")))


def _named(name: str, item: pytest.Item) -> str:
    """The name of a row, and of several cases of it which."""
    _, _, case = item.name.partition("[")
    return f"{name} ({case.removesuffix(']')})" if case else name
