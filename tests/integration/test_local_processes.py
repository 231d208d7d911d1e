"""Child processes: they say how they ended, never outlive their owner, and own the terminal's Ctrl-C."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
import venv
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from deploy.local.tether import Command, Tethered
from tests.processes import ROOT, PlazoProcess

PATIENT = "import signal, time; signal.signal(signal.SIGTERM, lambda *_: exit(0))\n"
PATIENT += "signal.signal(signal.SIGINT, lambda *_: exit(0)); print('ready', flush=True)\nwhile True: time.sleep(60)"
# These tests may themselves run below make, whose variables would make another make speak of folders.
NOT_BELOW_MAKE = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}


def python(code: str, log: Path) -> Tethered:
    """A tethered Python that runs *code*."""
    return Tethered(Command([sys.executable, "-c", code], log))


@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("pass", 0),
        # What a shell would confuse with a signal's number stays what it is.
        ("exit(143)", 143),
        ("import os; os.kill(os.getpid(), 15)", -15),
    ],
)
def test_the_exit_status_is_the_commands_own(code: str, status: int, tmp_path: Path) -> None:
    assert python(code, tmp_path / "log").wait() == status


def test_a_stopped_command_ends_in_its_own_way(tmp_path: Path) -> None:
    child = python(PATIENT, tmp_path / "log")
    wait_for("ready", (tmp_path / "log").read_text, child)
    assert child.stop() == 0


def test_a_killed_command_is_gone(tmp_path: Path) -> None:
    child = python(PATIENT, tmp_path / "log")
    child.kill()
    assert not psutil.pid_exists(child.pid)
    assert child.wait() == -signal.SIGKILL


def test_a_command_that_does_not_exist_is_named(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="nowhere"):
        Tethered(Command(["/nowhere/program"], tmp_path / "log"))


def test_a_command_ends_when_its_owner_is_killed(tmp_path: Path) -> None:
    code = "import sys; from pathlib import Path; from tests.integration.test_local_processes import PATIENT, python\n"
    code += f"print(python(PATIENT, Path({str(tmp_path / 'log')!r})).pid, flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", code], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as owner:
        assert owner.stdout is not None
        child = psutil.Process(int(owner.stdout.readline()))
        owner.kill()
    child.wait(10)
    assert not child.is_running()


async def test_a_plazo_process_gives_status_and_output(tmp_path: Path) -> None:
    process = PlazoProcess(["--help"], {}, tmp_path / "log")
    process.start()
    assert await process.ended() == 0
    assert "Usage: plazo" in process.output()


async def test_a_plazo_process_that_ends_early_shows_its_output(tmp_path: Path) -> None:
    process = PlazoProcess(["no-such-command"], {}, tmp_path / "log")
    process.start()
    with pytest.raises(AssertionError, match="No such command"):
        await process.ready("http://127.0.0.1:1/healthz/ready")


def test_make_ends_with_the_commands_status_at_ctrl_c(tmp_path: Path) -> None:
    foreground = ROOT / "deploy" / "local" / "foreground.py"
    (tmp_path / "patient.py").write_text(PATIENT)
    (tmp_path / "Makefile").write_text(f"run:\n\t@{sys.executable} -I -S {foreground} {sys.executable} patient.py\n")
    # A small process of its own takes the terminal, because forking one that may have threads is no longer allowed.
    take_terminal = f"import os; os.login_tty(0); os.execvp('make', ['make', '-C', {str(tmp_path)!r}, 'run'])"
    terminal, other_side = pty.openpty()
    with subprocess.Popen([sys.executable, "-c", take_terminal], stdin=other_side, env=NOT_BELOW_MAKE) as make:
        os.close(other_side)
        said = read_until("ready", terminal)
        os.write(terminal, b"\x03")
        said += read_until("Leaving directory", terminal)
    os.close(terminal)
    assert make.returncode == 0, said


def test_an_environment_that_was_interrupted_while_it_was_made_is_made_anew(tmp_path: Path) -> None:
    (tmp_path / "nothing.lock").touch()
    venv.create(tmp_path / ".venv", with_pip=False)
    install = ["sh", str(ROOT / "deploy" / "local" / "install"), "nothing.lock"]
    said = subprocess.run(install, cwd=tmp_path, capture_output=True, text=True, check=True).stdout
    assert said.startswith("Making .venv")
    subprocess.run([str(tmp_path / ".venv" / "bin" / "python"), "-m", "pip", "--version"], cwd=tmp_path, check=True)


def test_make_alone_lists_every_target() -> None:
    listed = subprocess.run(["make"], cwd=ROOT, capture_output=True, text=True, check=True, env=NOT_BELOW_MAKE).stdout
    names = [line.split()[1] for line in listed.splitlines()]
    phony = next(line for line in (ROOT / "Makefile").read_text().splitlines() if line.startswith(".PHONY:"))
    assert names == phony.removeprefix(".PHONY:").split()


def wait_for(text: str, output: Callable[[], str], child: Tethered) -> None:
    """Wait until *output* has *text*, or fail when *child* ends or 10 s are over."""
    for _ in range(1000):
        if text in output():
            return
        assert child.ended(0.01) is None, output()
    raise AssertionError(f"no {text!r} within 10 s: {output()}")


def read_until(text: str, terminal: int) -> str:
    """What the terminal shows up to *text*, or all of it when the other side ends."""
    said = ""
    while text not in said:
        try:
            part = os.read(terminal, 1024)
        except OSError:  # Linux's way to say that nobody writes any more
            break
        if not part:
            break
        said += part.decode()
    return said
