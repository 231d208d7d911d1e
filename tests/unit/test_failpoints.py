"""Failpoints do nothing unless they are set, and stand where the documentation says."""

from __future__ import annotations

import ast
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from typing import Final

import pytest

from shared.configuration import CommonSettings, load
from shared.errors import Refused
from shared.failpoints import NAMES, STATUS, Fault, failpoint, parse
from tests.documentation import DOCS, ROOT, first_column

PASSES: Final = """
import sys
from shared.failpoints import arm, failpoint, parse
arm(parse(sys.argv[1]))
for number in range(1, 5):
    failpoint("after_poll")
    failpoint("after_commit")
    print(number, flush=True)
"""


def process(fault: str) -> subprocess.Popen[str]:
    """A process that passes two failpoints four times."""
    command = [sys.executable, "-c", PASSES, fault]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT)


def calls() -> Iterator[str]:
    """The names of the failpoints that the code passes."""
    for part in ("services", "shared"):
        for path in (ROOT / part).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "failpoint":
                    (name,) = node.args
                    assert isinstance(name, ast.Constant), path
                    yield str(name.value)


def test_a_failpoint_that_is_not_set_does_nothing() -> None:
    for name in NAMES:
        failpoint(name)


@pytest.mark.parametrize(
    ("fault", "printed"),
    [
        ("after_commit", ""),  # the first time
        ("after_commit:3", "1\n2\n"),  # the third time
        ("after_commit:5", "1\n2\n3\n4\n"),  # never passed so often: ends by itself
    ],
)
def test_a_process_ends_at_the_failpoint_that_is_set(fault: str, printed: str) -> None:
    with process(fault) as running:
        output, _ = running.communicate(timeout=30)
    assert output == printed
    assert running.returncode == (0 if printed.count("\n") == 4 else STATUS)


def test_a_process_is_stopped_at_a_failpoint_and_goes_on() -> None:
    with process("after_poll:2:stop") as running:
        _, status = os.waitpid(running.pid, os.WUNTRACED)
        assert os.WIFSTOPPED(status)
        running.send_signal(signal.SIGCONT)
        output, _ = running.communicate(timeout=30)
    assert output == "1\n2\n3\n4\n"
    assert running.returncode == 0


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("after_http", Fault("after_http")),
        ("before_commit:12", Fault("before_commit", 12)),
        ("before_commit:1:stop", Fault("before_commit", 1, "stop")),
    ],
)
def test_a_fault_is_read(text: str, fault: Fault) -> None:
    assert parse(text) == fault


@pytest.mark.parametrize("text", ["after_lunch", "after_poll:0", "after_poll:x", "after_poll:1:jump", ":", "-1"])
def test_a_fault_that_cannot_be_read_is_refused_with_what_is_expected(text: str) -> None:
    with pytest.raises(Refused, match=r"FAIL_AT: expected NAME.* after_poll, .*stop"):
        load(CommonSettings, {"KAFKA_BOOTSTRAP": "localhost:9092", "FAIL_AT": text})


def test_every_failpoint_is_passed_somewhere_and_documented() -> None:
    assert set(calls()) == set(NAMES)
    assert first_column(DOCS / "development.md", "Failpoints") == list(NAMES)
