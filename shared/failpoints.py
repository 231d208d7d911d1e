"""Places at which a process ends, or is stopped, if a test said so when it was started.

Between every two steps of the path of a record stands a call with the place's name. It is a look into a dictionary
that is empty, 40 ns, once a batch, never once a record.
"""

from __future__ import annotations

import os
import signal
from typing import Final, Literal, NamedTuple, get_args

Name = Literal[
    "after_poll",
    "before_produce",
    "after_produce",
    "before_commit",
    "after_commit",
    "before_marking",
    "after_http",
    "after_release",
]
Action = Literal["exit", "stop"]
NAMES: Final[tuple[Name, ...]] = get_args(Name)
ACTIONS: Final[tuple[Action, ...]] = get_args(Action)
STATUS: Final = 9  # of a process that ended at a failpoint


class Fault(NamedTuple):
    """What happens at which failpoint, at which time that it is passed."""

    name: Name
    time: int = 1
    action: Action = "exit"


_set: Final[dict[str, Fault]] = {}  # nothing, but in a test of faults
_passed: Final[dict[str, int]] = {}


def failpoint(name: Name) -> None:
    """Do nothing, unless a fault was set for this place."""
    if name in _set:
        _pass(_set[name])


def arm(fault: Fault) -> None:
    """Let a fault happen; called at the start of a process, or never."""
    _set[fault.name] = fault


def parse(text: str) -> Fault:
    """The fault that *text* names: `after_commit`, `after_commit:3` (the third time), `after_commit:3:stop`.

    Raises:
        ValueError: says what was expected.
    """
    name, _, rest = text.partition(":")
    time, _, action = rest.partition(":")
    known = next((each for each in NAMES if each == name), None)
    what = next((each for each in ACTIONS if each == (action or "exit")), None)
    count = int(time or "1") if (time or "1").isdecimal() else 0
    if known is None or what is None or count < 1:
        names, actions = ", ".join(NAMES), ", ".join(ACTIONS)
        raise ValueError(
            f"expected NAME, NAME:TIME or NAME:TIME:ACTION with a name of {names}, a time from 1 and an action of"
            f" {actions}, got {text!r}"
        )
    return Fault(known, count, what)


def _pass(fault: Fault) -> None:
    passed = _passed[fault.name] = _passed.get(fault.name, 0) + 1
    if passed != fault.time:
        return
    if fault.action == "stop":
        os.kill(os.getpid(), signal.SIGSTOP)  # goes on here at SIGCONT, as after a long sleep of the machine
    else:
        os._exit(STATUS)  # as a power cut: nothing is finished, nothing is told
