"""Events a second that decoding and folding take in one process, beside a fixed reference loop."""

from __future__ import annotations

import time
from typing import Any

import msgspec

from deploy.local import __file__ as local
from services.timer import backtest
from services.timer.policy_file import load
from services.timer.rulebook import Rulebook
from shared.cloudevents import decode_structured
from shared.events import Instant
from tests.bench.workload import Shape, lifecycles

POLICIES = local.replace("__init__.py", "policies.yaml")


def measure(now: Instant) -> list[dict[str, Any]]:
    """The speed, and how many times as long an event takes as decoding its JSON into plain dicts."""
    values = [value for _, value in lifecycles(Shape(100_000), now)]
    with open(POLICIES, encoding="utf-8") as text:
        rulebook = Rulebook(((0, load({POLICIES: text.read()})),))
    begun = time.perf_counter()
    rows = backtest.run((decode_structured(value) for value in values), rulebook, now)
    folded = time.perf_counter() - begun
    begun = time.perf_counter()
    for value in values:
        msgspec.json.decode(value)
    reference = time.perf_counter() - begun
    assert rows, "the backtest gave no clocks"
    return [
        {"name": "backtest_per_s", "value": len(values) / folded, "unit": "events/s"},
        {"name": "backtest_ratio", "value": folded / reference, "unit": "× plain JSON decoding"},
    ]
