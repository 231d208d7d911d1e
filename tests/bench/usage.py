"""What processes use: CPU time and resident memory, as the kernel counts them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import psutil

TICKS: Final = os.sysconf("SC_CLK_TCK")


def cpu_seconds(pid: int) -> float:
    """CPU time that a process has used."""
    return _ticks(pid, 11, 12)


def tree_cpu_seconds(pid: int) -> float:
    """CPU time that a process and its children have used, those included that have ended."""
    process = psutil.Process(pid)
    living = [pid, *(child.pid for child in process.children(recursive=True))]
    return sum(_ticks(each, 11, 12) for each in living) + _ticks(pid, 13, 14)


def memory_mib(pid: int) -> float:
    """Resident memory of a process."""
    return _status(pid, "VmRSS")


def peak_mib(pid: int) -> float:
    """The most resident memory that a process ever had."""
    return _status(pid, "VmHWM")


class Meter:
    """CPU seconds of some processes from now on."""

    def __init__(self, processes: Mapping[str, int]) -> None:
        self._processes = dict(processes)
        self._before = self._each()

    def read(self) -> dict[str, float]:
        """name -> CPU seconds since the meter was made."""
        return {name: now - self._before[name] for name, now in self._each().items()}

    def _each(self) -> dict[str, float]:
        return {name: tree_cpu_seconds(pid) for name, pid in self._processes.items()}


def _ticks(pid: int, *places: int) -> float:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    except (FileNotFoundError, ProcessLookupError):
        return 0.0  # it ended just now: its parent has what it used
    return sum(int(fields[place]) for place in places) / TICKS


def _status(pid: int, name: str) -> float:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name)) / 1024
