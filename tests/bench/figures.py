"""The figures of a run of benchmarks: values with goals, medians, the file that keeps them, the tables for people."""

from __future__ import annotations

import os
import platform
import statistics
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final, Literal

import msgspec
from rich.table import Table

GIB: Final = 1 << 30


class Goal(msgspec.Struct, frozen=True):
    """What a figure should be."""

    sign: Literal["≤", "≥"]
    limit: float

    def is_met(self, value: float) -> bool:
        """Whether *value* is as it should be."""
        return value <= self.limit if self.sign == "≤" else value >= self.limit

    def __str__(self) -> str:
        return f"{self.sign} {written(self.limit)}"


def at_most(limit: float) -> Goal:
    """A goal that is met up to *limit*."""
    return Goal("≤", limit)


def at_least(limit: float) -> Goal:
    """A goal that is met from *limit* on."""
    return Goal("≥", limit)


class Figure(msgspec.Struct, frozen=True, kw_only=True):
    """One figure as it is kept: the median of its runs."""

    name: str
    value: float
    unit: str
    goal: str | None = None
    met: bool | None = None  # None: it has no goal, or was measured at another size than its goal is meant for
    runs: list[float]  # in the order of running
    cpu_s: dict[str, float] = {}  # process -> CPU seconds in the measured time, the median of the runs
    note: str = ""
    benchmark: str
    sizes: dict[str, str] = {}  # those that were not as usual


class Report(msgspec.Struct, frozen=True):
    """Everything that is kept."""

    machine: str
    figures: list[Figure]


class Series:
    """The values of one benchmark, run by run."""

    def __init__(self, benchmark: str, sizes: Mapping[str, str]) -> None:
        self._benchmark = benchmark
        self._sizes = dict(sizes)
        self._values: dict[str, list[float]] = {}
        self._cpu: dict[str, list[Mapping[str, float]]] = {}
        self._said: dict[str, tuple[str, Goal | None, str]] = {}
        self._ratios: dict[str, float] = {}

    def add(self, name: str, value: float, unit: str, goal: Goal | None = None, *, note: str = "") -> None:
        """Note the value of one more run; of *unit*, *goal* and *note* the last ones count."""
        self._values.setdefault(name, []).append(value)
        self._said[name] = (unit, goal, note)

    def ratio(self, name: str, one: str, other: str, goal: Goal | None = None, *, note: str = "") -> None:
        """Let a figure be the ratio of the medians of two others; its runs are the ratios run by run."""
        pairs = zip(self._values[one], self._values[other], strict=False)  # one may be a run ahead
        self._values[name] = [each / that for each, that in pairs]
        self._said[name] = ("×", goal, note)
        self._ratios[name] = self.median(one) / self.median(other)

    def used(self, name: str, cpu_s: Mapping[str, float]) -> None:
        """Note the CPU seconds of each process in the run of a figure."""
        self._cpu.setdefault(name, []).append(cpu_s)

    def values(self, name: str) -> list[float]:
        """The values of a figure so far."""
        return self._values.get(name, [])

    def median(self, name: str) -> float:
        """The median of a figure so far."""
        return statistics.median(self._values[name])

    def figures(self) -> list[Figure]:
        """The figures so far, in the order in which they came."""
        return [self._figure(name, values) for name, values in self._values.items()]

    def _figure(self, name: str, values: list[float]) -> Figure:
        unit, goal, note = self._said[name]
        value = self._ratios.get(name, statistics.median(values))
        return Figure(
            name=name,
            value=value,
            unit=unit,
            goal=None if goal is None else str(goal),
            met=None if goal is None or self._sizes else goal.is_met(value),
            runs=[round(each, 4) for each in values],
            cpu_s=_medians(self._cpu.get(name, [])),
            note=note,
            benchmark=self._benchmark,
            sizes=self._sizes,
        )


def _medians(runs: Sequence[Mapping[str, float]]) -> dict[str, float]:
    names = dict.fromkeys(name for run in runs for name in run)
    return {name: round(statistics.median(run.get(name, 0.0) for run in runs), 2) for name in names}


def kept(file: Path) -> list[Figure]:
    """The figures of earlier runs."""
    return msgspec.json.decode(file.read_bytes(), type=Report).figures if file.exists() else []


def keep(file: Path, benchmark: str, figures: Iterable[Figure], order: Sequence[str]) -> None:
    """Put *figures* in place of those that *benchmark* gave before; *order* is that of all benchmarks."""
    others = [figure for figure in kept(file) if figure.benchmark != benchmark and figure.benchmark in order]
    found = sorted([*others, *figures], key=lambda figure: order.index(figure.benchmark))
    file.parent.mkdir(exist_ok=True)
    made = file.with_suffix(".new")
    made.write_bytes(msgspec.json.format(msgspec.json.encode(Report(machine(), found))))
    made.replace(file)  # whoever reads meanwhile finds the old ones or the new ones


def machine() -> str:
    """This machine in a few words."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / GIB
    system = f"{platform.system()} {platform.release()}, Python {platform.python_version()}"
    return f"{os.cpu_count()} × {_processor()}, {memory:.0f} GiB, {system}"


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except FileNotFoundError:
        return platform.machine()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())


def written(value: float) -> str:
    """A value as people read it: three digits that count, and all of those before the point."""
    size = abs(value)
    return f"{value:,.0f}" if size >= 100 or value == int(value) else f"{value:,.1f}" if size >= 10 else f"{value:,.2f}"


_COLUMNS: Final = ("figure", "median", "unit", "goal", "met", "runs", "CPU seconds", "note")


def table(figures: Iterable[Figure]) -> Table:
    """The figures as a table for the terminal, without notes: they are long, and `markdown` has them."""
    some = list(figures)
    unusual = {f"{name}={value}" for figure in some for name, value in figure.sizes.items()}
    found = Table(caption=f"not held to their goals: {', '.join(sorted(unusual))}" if unusual else None)
    for name in _COLUMNS[:-1]:
        found.add_column(name, no_wrap=name != "CPU seconds")
    for figure in some:
        found.add_row(*_row(figure)[:-1])
    return found


def markdown(figures: Iterable[Figure]) -> str:
    """The figures as a table for a page of the documentation."""
    rows = [_COLUMNS, ["---"] * len(_COLUMNS), *(_row(figure) for figure in figures)]
    return "\n".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |" for row in rows)


def _row(figure: Figure) -> list[str]:
    met = {None: "", True: "yes", False: "no"}[figure.met]
    span = f"{written(min(figure.runs))}–{written(max(figure.runs))}" if len(figure.runs) > 1 else ""
    cpu = ", ".join(f"{name} {seconds:.1f}" for name, seconds in figure.cpu_s.items())
    sizes = ", ".join(f"{name}={value}" for name, value in figure.sizes.items())
    notes = "; ".join(note for note in (figure.note, sizes) if note)
    return [figure.name, written(figure.value), figure.unit, figure.goal or "", met, span, cpu, notes]
