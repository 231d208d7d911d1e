"""All benchmarks: what each does, and about how long."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Final

from tests.bench import backtesting, calendars, path
from tests.bench.work import Work


@dataclass(frozen=True, slots=True)
class Benchmark:
    """One benchmark."""

    measure: Callable[[Work], Coroutine[Any, Any, None]]
    minutes: float  # that all of its runs take, about, on two cores
    by_name_only: bool = False  # too long to run with the others


BENCHMARKS: Final = {
    "path_2k": Benchmark(path.path_2k, 4),
    "path_100k": Benchmark(path.path_100k, 5),
    "backtest": Benchmark(backtesting.backtest, 1),
    "calendar": Benchmark(calendars.calendar, 1),
}
