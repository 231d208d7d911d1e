"""`./plazo lint --routes` as a user meets it."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from services.__main__ import command_line
from shared.errors import BadDocument

SAMPLE = Path(__file__).parents[2] / "deploy" / "local" / "notify.yaml"


def run(*arguments: str) -> Result:
    return CliRunner().invoke(command_line(arguments), arguments)


def test_the_sample_has_nothing_to_say_about() -> None:
    assert run("lint", "--routes", str(SAMPLE)).exit_code == 0


def test_a_finding_is_printed_and_ends_with_status_1(tmp_path: Path) -> None:
    file = tmp_path / "notify.yaml"
    file.write_text("receivers:\n  a: {console: {}}\n  b: {console: {}}\nroutes: [{receivers: [a]}]")
    result = run("lint", "--routes", str(file))
    assert (result.exit_code, result.stdout) == (1, f"{file}:3: receivers.b: no route names this receiver\n")


def test_a_file_with_mistakes_is_refused_with_all_of_them(tmp_path: Path) -> None:
    file = tmp_path / "notify.yaml"
    file.write_text("receivers: {a: {console: {}}}\nroutes: [{receivers: [b]}]")
    result = run("lint", "--routes", str(file))
    assert isinstance(result.exception, BadDocument)
    assert "expected one of the receivers a, got 'b'" in str(result.exception)


@pytest.mark.parametrize("command", ["lint", "notifier"])
def test_help_has_an_example(command: str) -> None:
    assert "Example:" in run(command, "--help").stdout
