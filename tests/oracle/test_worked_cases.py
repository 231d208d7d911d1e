"""The second opinion on the worked cases that lie beside a checkout: what it says there was worked out by others."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.oracle.rows import rows
from tests.oracle.test_hours import answer

CASES = Path(__file__).resolve().parents[3] / "shared" / "data" / "conformance"
UNTIL = {"mixed": "2026-12-20T00:00:00Z", "peers": "2035-01-01T00:00:00Z"}

pytestmark = pytest.mark.skipif(not CASES.is_dir(), reason="the worked cases do not lie beside this checkout")


def lines(name: str) -> list[dict[str, Any]]:
    """The objects of a file of JSON lines."""
    return [json.loads(line) for line in (CASES / name).read_text().splitlines()]


def told(row: dict[str, Any]) -> dict[str, Any]:
    """A row without what the expectations leave open: the due time of a paused or cancelled clock."""
    return {**row, "due_at": None} if row["state"] in ("paused", "cancelled") else row


def test_hours_are_as_worked_out() -> None:
    calendars = json.loads((CASES / "hours.calendars.json").read_text())["calendars"]
    answers = [answer(calendars, each) for each in lines("hours.questions.jsonl")]
    assert answers == [each["result"] for each in lines("hours.expected.jsonl")]


@pytest.mark.parametrize("name", UNTIL)
def test_clocks_are_as_worked_out(name: str) -> None:
    shown = rows((CASES / f"{name}.policies.json").read_text(), lines(f"{name}.events.jsonl"), UNTIL[name])
    assert [told(row) for row in shown] == [told(row) for row in lines(f"{name}.expected.jsonl")]
