"""Run a command as a job of its own in the terminal, so that Ctrl-C is the command's alone.

`make` would otherwise get the Ctrl-C too and fail, although the command ended as it should. This is what a shell does
for its jobs: the command gets the terminal; when it is stopped (Ctrl-Z), so is everything around it, and both go on
together. It needs the standard library only, so that it starts at once.
"""

from __future__ import annotations

import signal

if __name__ == "__main__":
    # Until there is a command, Ctrl-C ends this at once; the other imports take long enough to be met by one.
    signal.signal(signal.SIGINT, signal.SIG_DFL)

import contextlib
import os
import subprocess
import sys
from types import FrameType

_TERMINAL = 0


def main(argv: list[str]) -> int:
    """Run *argv* to its end; its exit status, 128 + n for signal n."""
    # Without this, a process that is not in the foreground is stopped when it hands the terminal on.
    signal.signal(signal.SIGTTOU, signal.SIG_IGN)
    child = subprocess.Popen(argv, process_group=0, preexec_fn=_take_signals_back)  # noqa: PLW1509 - no threads here
    _pass_signals_to(child.pid)
    status = _wait(child.pid)
    return os.WEXITSTATUS(status) if os.WIFEXITED(status) else 128 + os.WTERMSIG(status)


def _take_signals_back() -> None:
    signal.signal(signal.SIGTTOU, signal.SIG_DFL)


def _pass_signals_to(child: int) -> None:
    passed = {signal.SIGINT: signal.SIGINT, signal.SIGTERM: signal.SIGTERM}
    # A closed terminal ends the command, whatever a hang-up means to it otherwise.
    passed[signal.SIGHUP] = signal.SIGTERM

    def handler(received: int, _: FrameType | None) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child, passed[signal.Signals(received)])

    for received in passed:
        signal.signal(received, handler)


def _wait(child: int) -> int:
    while True:
        lent = _hand_terminal(os.getpgrp(), child)
        _, status = os.waitpid(child, os.WUNTRACED)
        if lent:
            _hand_terminal(child, os.getpgrp())
        if not os.WIFSTOPPED(status):
            return status
        os.killpg(os.getpgrp(), signal.SIGSTOP)
        # Here the shell has let this group go on, in the foreground or behind it.
        os.killpg(child, signal.SIGCONT)


def _hand_terminal(owner: int, to: int) -> bool:
    """Give the terminal from the group *owner* to the group *to*; whether it was the owner's."""
    try:
        if os.tcgetpgrp(_TERMINAL) != owner:
            return False
        os.tcsetpgrp(_TERMINAL, to)
    except OSError:
        return False
    return True


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
