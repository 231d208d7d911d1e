"""Events a second that decoding and folding take in one process, beside a fixed reference loop."""

from __future__ import annotations

import time
from typing import Final

import msgspec

from services.timer import backtest as backtests
from services.timer.policy_file import load
from services.timer.rulebook import Rulebook
from shared.cloudevents import decode_structured
from tests.bench.figures import at_least
from tests.bench.policies import SAMPLE
from tests.bench.work import Work
from tests.bench.workload import Shape, lifecycles

PER_CORE: Final = 80_000.0  # events a second
EVENTS: Final = 100_000  # at most: it takes them at one speed, however many there are


async def backtest(work: Work) -> None:
    """Events a second that decoding and folding take on one core, and the ratio to decoding their JSON alone."""
    now = time.time_ns() // 1000
    values = [value for _, value in lifecycles(Shape(min(EVENTS, work.sizes.events)), now)]
    rulebook = Rulebook(((0, load({SAMPLE.name: SAMPLE.read_text()})),))
    for _ in work.turns(f"{len(values):,} events"):
        # By CPU time, which is what a core has to give: what else runs meanwhile does not count.
        begun = time.process_time()
        rows = backtests.run((decode_structured(value) for value in values), rulebook, now)
        folded = time.process_time() - begun
        assert rows, "the backtest gave no clocks"
        begun = time.process_time()
        for value in values:
            msgspec.json.decode(value)
        reference = time.process_time() - begun
        work.series.add(
            "backtest_per_s", len(values) / folded, "events/s", at_least(PER_CORE), note="of one core's time"
        )
        work.series.used("backtest_per_s", {"backtest": folded})
        work.series.add("backtest_ratio", folded / reference, "× plain JSON decoding")
        work.keep()
