"""The rows of the failure matrix: how a test is named as one, and which are shown elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

import pytest


class Row(NamedTuple):
    """A fault of the matrix; those that are not in it have a name alone."""

    number: int | None
    name: str

    def is_meant(self, only: str) -> bool:
        """Whether *only* has its number, or a part of its name; several have a comma between them."""
        wanted = [each.strip().lower() for each in only.split(",")]
        return any(each == str(self.number) if each.isdecimal() else each in self.name.lower() for each in wanted)

    def __str__(self) -> str:
        return f"{self.number or '-':>3}  {self.name}"


def row(number: int | None, name: str, *, quick: bool = False) -> pytest.MarkDecorator:
    """Mark a test as a row of the matrix; several tests may be of one. *quick* ones run in `make test` too."""
    return pytest.mark.fault(Row(number, name), quick=quick)


ELSEWHERE: Final[Mapping[int, str]] = {
    17: "evidence that comes late, after the breach: tests/e2e/test_gate.py, tests/e2e/test_disorder.py",
    19: "an item that our own code cannot fold, which cannot be had on order: tests/unit/test_timer_handlers.py",
    25: "a receiver that redirects: tests/contract/test_channels.py",
    26: "an address that must not be called: tests/unit, with a resolver of the test's own",
    30: "nights on which clocks change: tests/oracle/test_hours.py, tests/unit/test_business_hours.py",
    37: "an unclean election needs three brokers on three machines; deploy/topics.yaml asks for what prevents its harm",
    43: "tables under hours of churn: `make bench`, whose figures of steady load hold memory and table sizes",
    45: "an item that is deleted: tests/e2e/test_disorder.py, tests/unit/test_scrubbing.py",
}
"""Rows without a test here: what shows them, or why nothing on one machine can."""
