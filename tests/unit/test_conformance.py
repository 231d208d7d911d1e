"""The worked cases that lie beside a checkout: histories of other systems and made ones, each with its clocks."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from services.cli.backtest import shown
from services.cli.files import read_events, read_texts
from services.timer import backtest
from services.timer.policy_file import load
from services.timer.rulebook import Rulebook
from shared.events import parse_instant

CASES = Path(__file__).resolve().parents[3] / "shared" / "data" / "conformance"
UNTIL = {"mixed": "2026-12-20T00:00:00Z", "peers": "2035-01-01T00:00:00Z"}

pytestmark = pytest.mark.skipif(not CASES.is_dir(), reason="the worked cases do not lie beside this checkout")


def told(row: dict[str, Any]) -> dict[str, Any]:
    """A row without what the expectations leave open: the due time of a paused or cancelled clock."""
    return {**row, "due_at": None} if row["state"] in ("paused", "cancelled") else row


@pytest.mark.parametrize("name", UNTIL)
def test_every_clock_is_as_worked_out_by_hand(name: str) -> None:
    rulebook = Rulebook(((0, load(read_texts(CASES / f"{name}.policies.json"))),))
    events = list(read_events(CASES / f"{name}.events.jsonl"))
    expected = [told(json.loads(line)) for line in (CASES / f"{name}.expected.jsonl").read_text().splitlines()]
    rows = backtest.run(events, rulebook, parse_instant(UNTIL[name]))
    assert [told(shown(row)) for row in rows] == expected
    assert len(expected) > 100
