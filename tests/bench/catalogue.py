"""All benchmarks: what each does, about how long, and which sizes it has."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Final

from tests.bench import backtesting, calendars, deliveries, growth, latency, path, restart, steady
from tests.bench.work import Work


@dataclass(frozen=True, slots=True)
class Benchmark:
    """One benchmark."""

    measure: Callable[[Work], Coroutine[Any, Any, None]]
    minutes: float  # that all of its runs take, about, on two cores
    sizes: tuple[str, ...] = ()  # those of `Sizes` that it has
    by_name_only: bool = False  # too long to run with the others


BENCHMARKS: Final = {
    "path_2k": Benchmark(path.path_2k, 4, ("events",)),
    "path_100k": Benchmark(path.path_100k, 5, ("events",)),
    "latency": Benchmark(latency.latency, 6, ("clocks", "seconds")),
    "latency_busy": Benchmark(latency.latency_busy, 7, ("clocks", "seconds", "rate")),
    "burst": Benchmark(latency.burst, 3, ("clocks",)),
    "restart": Benchmark(restart.restart, 4, ("open",)),
    "growth": Benchmark(growth.growth, 10, ("idle", "events", "clocks", "seconds")),
    "notifier": Benchmark(deliveries.notifier, 4, ("deliveries",)),
    "backtest": Benchmark(backtesting.backtest, 0.5, ("events",)),
    "calendar": Benchmark(calendars.calendar, 1),
    "steady": Benchmark(steady.steady, 21, ("minutes",), by_name_only=True),
}
