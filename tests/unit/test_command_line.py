"""The command line as a whole: what it lists, what each command says of itself, and how Ctrl-C ends it early."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from services.__main__ import COMMANDS, command_line
from shared.version import VERSION
from tests.processes import ROOT


def said(*arguments: str) -> str:
    """What the command line answers, in one line."""
    result = CliRunner().invoke(command_line(arguments), list(arguments))
    assert result.exit_code == 0, result.output
    return " ".join(result.output.split())


def test_the_list_of_commands_tells_all_of_each_purpose() -> None:
    listed = said("--help")
    assert [purpose for purpose in COMMANDS.values() if purpose not in listed] == []


@pytest.mark.parametrize("name", COMMANDS)
def test_the_help_of_each_command_has_an_example_of_it(name: str) -> None:
    _, _, example = said(name, "--help").partition("Example")
    assert f"./plazo {name}" in example


def test_the_version_can_be_asked_for() -> None:
    assert said("--version") == f"Plazo {VERSION}"


@pytest.mark.parametrize(
    ("command", "status"),
    [
        # Ctrl-C is how it is meant to end.
        ("run", 0),
        # What was asked for was not done.
        ("backtest", 130),
    ],
)
def test_ctrl_c_before_a_command_begins_is_answered_with_silence(command: str, status: int, tmp_path: Path) -> None:
    (tmp_path / "typer.py").write_text("import signal\nprint('importing', flush=True)\nsignal.pause()\n")
    env = {**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"}
    argv = [sys.executable, "-P", "-m", "services", command]
    with subprocess.Popen(argv, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "importing\n"
        process.send_signal(signal.SIGINT)
        assert process.communicate(timeout=30) == ("", "")
    assert process.returncode == status


def test_without_an_environment_it_says_how_to_get_one(tmp_path: Path) -> None:
    (tmp_path / "plazo").write_bytes((ROOT / "plazo").read_bytes())
    done = subprocess.run(["sh", str(tmp_path / "plazo"), "run"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert "`make setup`" in done.stderr
