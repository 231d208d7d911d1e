"""Which fault strikes whom, when and for how long: chosen by a seed, and by nothing that happens in the run."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from enum import StrEnum
from typing import Final, NamedTuple

from shared.failpoints import Name

PROCESSES: Final = ("ingest-1", "ingest-2", "timer-1", "timer-2", "notifier-1", "notifier-2")
SERVERS: Final = ("kafka", "postgres")
PLACES: Final[Mapping[str, Sequence[Name]]] = {
    "ingest": ("after_poll", "before_produce", "after_produce", "before_marking"),
    "timer": ("after_poll", "before_commit", "after_commit", "before_produce", "after_produce", "before_marking"),
    "notifier": ("after_poll", "before_commit", "after_commit", "before_marking", "after_http", "after_release"),
}


class Fault(StrEnum):
    """What can happen."""

    KILL = "kills"  # a process ends as by a power cut
    STOP = "stops"  # a process stands still, and goes on: a machine that sleeps, a container that is throttled
    LEAVE = "orderly stops"  # a process is asked to end, as by a new version
    RESTART = "server restarts"  # a server ends as by a power cut, and starts again
    CUT = "cut connections"  # all connections of a process to a server are torn off
    HOLD = "silent networks"  # nothing arrives between a process and a server, and nobody is told
    SLOW = "slow networks"  # everything between them takes longer


class Strike(NamedTuple):
    """One fault."""

    at_s: float
    fault: Fault
    whom: str  # a process or a server; of a network, the process at its end
    server: str  # of a network, the server at its other end
    lasts_s: float  # until the process or the server comes back, or the network is mended


# A fault a second and a half: twelve kills a minute, and each server once in two minutes. Processes need two or three
# seconds to start, so at any time some are away.
EVERY_S: Final = 1.5
_SHARES: Final[Mapping[Fault, float]] = {
    Fault.KILL: 0.30,
    Fault.STOP: 0.15,
    Fault.LEAVE: 0.05,
    Fault.RESTART: 0.025,
    Fault.CUT: 0.2,
    Fault.HOLD: 0.1,
    Fault.SLOW: 0.175,
}
# The longest that a fault lasts. A lease lives for 3 s, a group's session for 6: some outlast both, most do not.
_LONGEST_S: Final[Mapping[Fault, float]] = {
    Fault.KILL: 6.0,
    Fault.STOP: 9.0,
    Fault.LEAVE: 6.0,
    Fault.RESTART: 5.0,
    Fault.CUT: 0.0,
    Fault.HOLD: 5.0,
    Fault.SLOW: 8.0,
}


def strikes(seed: int, seconds: float) -> Iterator[Strike]:
    """The faults of a run, the earliest first."""
    pick = random.Random(seed)
    at_s = 0.0
    while (at_s := at_s + pick.expovariate(1 / EVERY_S)) < seconds:
        [fault] = pick.choices(list(_SHARES), list(_SHARES.values()))
        whom = pick.choice(SERVERS if fault is Fault.RESTART else PROCESSES)
        # Most are short: what is hard to get right is what comes back in the middle of something.
        lasts_s = _LONGEST_S[fault] * pick.random() ** 2
        yield Strike(round(at_s, 3), fault, whom, pick.choice(SERVERS), round(lasts_s, 3))


def place(seed: int, process: str, start: int) -> str:
    """`FAIL_AT` of a process at its start of that number: every third time a place at which it will end by itself."""
    pick = random.Random(f"{seed}/{process}/{start}")
    if pick.random() > 1 / 3:
        return ""
    return f"{pick.choice(PLACES[process.partition('-')[0]])}:{pick.randint(1, 40)}"
