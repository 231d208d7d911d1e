"""A child process that ends when the process that started it ends, however that happens.

`Tethered` starts this very file as a small process between the two. It holds the reading end of a pipe; when the
writing end closes, because the starter asked or because it is gone, the child gets its stop signal, and later a kill.
It needs the standard library only, so that it starts in some 20 ms.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import pwd
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

PATIENCE_S = 15.0
"""How long a child may take to stop by itself before it is killed."""

_CAP_DAC_OVERRIDE = 1
_CAPABILITIES_VERSION_3 = 0x20080522
_PR_SET_KEEPCAPS, _PR_CAP_AMBIENT, _PR_CAP_AMBIENT_RAISE = 8, 47, 2


@dataclass(frozen=True, slots=True)
class Command:
    """What to run, and how: what it prints is added to the file *log*.

    *stdin* is a file that the command reads from. *user* is the account to run as, which only root may choose; None
    keeps the starter's.
    """

    argv: list[str]
    log: Path
    stdin: Path = Path(os.devnull)
    stop_signal: signal.Signals = signal.SIGTERM
    env: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))
    user: str | None = None


class Tethered:
    """A running command that never outlives this process."""

    def __init__(self, command: Command) -> None:
        """Start *command* in a session of its own, so that Ctrl-C in the terminal does not reach it.

        Raises:
            OSError: the program cannot be started.
        """
        tether = [sys.executable, "-I", "-S", __file__, str(int(command.stop_signal)), command.user or ""]
        tether.append(str(command.stdin))
        with command.log.open("ab") as log:
            self._tether = subprocess.Popen(
                [*tether, *command.argv],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                env=dict(command.env),
                start_new_session=True,
            )
        assert self._tether.stdin is not None and self._tether.stdout is not None  # noqa: S101, PT018 - both are pipes
        self._asked, self._said = self._tether.stdin, self._tether.stdout
        self._status: int | None = None
        first = self._said.readline()
        if not first:
            self.stop()
            raise OSError(f"{command.argv[0]} cannot be started: {last_line(command.log)}")
        self.pid = int(first)
        """The command's own process, not the tether's."""

    def ended(self, wait_s: float = 0.0) -> int | None:
        """The exit status once it has ended, negative for a signal; None if it still runs after *wait_s* seconds."""
        try:
            self._tether.wait(wait_s)
        except subprocess.TimeoutExpired:
            return None
        return self.wait()

    def wait(self) -> int:
        """Wait until it has ended by itself; its exit status, negative for a signal."""
        self._tether.wait()
        if self._status is None:
            # A tether that was killed itself could not say how the command ended.
            self._status = int(self._said.read() or -signal.SIGKILL)
            self._close()
        return self._status

    def stop(self) -> int:
        """Ask the command to stop, wait until it has, and give its exit status."""
        self._asked.close()
        return self.wait()

    def kill(self) -> None:
        """End the command at once, as a power cut would, and wait until it is gone."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)
        self.stop()

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the command."""
        os.kill(self.pid, number)

    def _close(self) -> None:
        self._asked.close()
        self._said.close()


def last_line(log: Path) -> str:
    """The last line of *log* that says anything; of several, the last that names an error."""
    lines = [line.strip() for line in log.read_text(errors="replace").splitlines() if line.strip()]
    errors = [line for line in lines if "FATAL" in line or "ERROR" in line or "rror:" in line]
    return (errors or lines or ["it said nothing"])[-1]


def _hold(stop_signal: int, user: str, stdin: str, argv: list[str]) -> None:
    """Run *argv* until it ends or until standard input does; print its process id, and then its exit status."""
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    # What the command prints belongs to the log: standard output is the tether's own line to the starter.
    with Path(stdin).open("rb") as given:
        child = subprocess.Popen(argv, stdin=given, stdout=sys.stderr, preexec_fn=lambda: _prepare(user))  # noqa: PLW1509 - there are no threads yet
    print(child.pid, flush=True)
    signal.signal(signal.SIGTERM, lambda *_: child.send_signal(stop_signal))
    threading.Thread(target=_stop_at_end_of_input, args=(child, stop_signal), daemon=True).start()
    print(child.wait(), flush=True)


def _stop_at_end_of_input(child: subprocess.Popen[bytes], stop_signal: int) -> None:
    # Nothing is ever written: reading gives the end, when the last writing end is closed.
    os.read(0, 1)
    child.send_signal(stop_signal)
    try:
        child.wait(PATIENCE_S)
    except subprocess.TimeoutExpired:
        child.kill()


def _prepare(user: str) -> None:
    """Make this process the command's: default signals, and *user* if one is named."""
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)
    if user:
        _become(user)


def _become(user: str) -> None:
    """Leave root for *user*, who can still pass through root's closed folders to the files that it is given."""
    account = pwd.getpwnam(user)
    libc = ctypes.CDLL(None, use_errno=True)
    linux = sys.platform.startswith("linux")
    if linux:
        libc.prctl(_PR_SET_KEEPCAPS, 1, 0, 0, 0)
    os.setgroups([])
    os.setgid(account.pw_gid)
    os.setuid(account.pw_uid)
    if linux:
        _keep_override(libc)


def _keep_override(libc: ctypes.CDLL) -> None:
    # Where root has no such capability the calls fail, and the command then says itself what it may not read.
    bit = 1 << _CAP_DAC_OVERRIDE
    header = (ctypes.c_uint32 * 2)(_CAPABILITIES_VERSION_3, 0)
    sets = (ctypes.c_uint32 * 6)(bit, bit, bit, 0, 0, 0)
    libc.capset(header, sets)
    libc.prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_RAISE, _CAP_DAC_OVERRIDE, 0, 0)


if __name__ == "__main__":
    _hold(int(sys.argv[1]), sys.argv[2], sys.argv[3], sys.argv[4:])
