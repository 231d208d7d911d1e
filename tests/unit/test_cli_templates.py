"""`./plazo templates render`, and what `./plazo lint --routes` says of templates."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from typer.testing import CliRunner, Result

from services.__main__ import command_line
from services.notifier.templates.library import PARTS
from services.notifier.templates.view import KINDS
from shared.breach_records import PublishedRecord
from tests.factories import breach, silence

ROUTES = "receivers: {a: {console: {}, language: es, zone: Europe/Madrid}}\nroutes: [{receivers: [a]}]\ntemplates: our"


def run(*arguments: str) -> Result:
    return CliRunner().invoke(command_line(arguments), arguments)


def names_in(result: Result) -> list[str]:
    return [line.removeprefix("--- ") for line in result.stdout.splitlines() if line.startswith("--- ")]


def own(folder: Path, name: str, text: str) -> Path:
    file = folder / "our" / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    return folder / "our"


def test_a_sample_breach_is_shown_in_every_form() -> None:
    result = run("templates", "render", "--language", "es", "--zone", "Europe/Madrid")
    assert result.exit_code == 0
    assert [line for line in result.stdout.splitlines() if line.startswith("--- ")] == [
        f"--- breached.{part}" for part in PARTS
    ]
    assert "13:00:00 CET" in result.stdout


def test_all_kinds_are_shown_on_demand() -> None:
    result = run("templates", "render", "--all", "--part", "line")
    assert [line for line in result.stdout.splitlines() if line.startswith("--- ")] == [
        f"--- {kind}.line" for kind in KINDS
    ]


def test_one_part_stands_alone_so_that_it_can_go_into_a_file() -> None:
    result = run("templates", "render", "--kind", "digest", "--part", "html")
    assert result.stdout.startswith("<!doctype html>")


@pytest.mark.parametrize(
    ("event", "expected"), [(breach(item="default/ticket/77"), "Breached: ticket 77"), (silence(), "Silent: source")]
)
def test_an_event_of_ones_own_is_shown(tmp_path: Path, event: PublishedRecord, expected: str) -> None:
    file = tmp_path / "event.json"
    file.write_bytes(msgspec.json.encode({"specversion": "1.0", "source": "/plazo", **msgspec.to_builtins(event)}))
    assert run("templates", "render", "--event", str(file), "--part", "subject").stdout.startswith(
        f"[Plazo] {expected}"
    )


def test_a_template_that_fails_is_named_and_ends_with_status_1(tmp_path: Path) -> None:
    folder = own(tmp_path, "en/subject.j2", "{{ x }}")
    result = run("templates", "render", "--templates", str(folder), "--part", "subject")
    assert (result.exit_code, result.stderr) == (1, f"{folder}/en/subject.j2:1: 'x' is undefined\n")


@pytest.mark.parametrize(
    "option", [("--language", "klingon"), ("--zone", "Nowhere"), ("--kind", "nothing"), ("--part", "x")]
)
def test_an_option_that_cannot_be_meant_is_refused(option: tuple[str, str]) -> None:
    assert run("templates", "render", *option).exit_code == 2


def test_lint_checks_the_templates_beside_the_routes(tmp_path: Path) -> None:
    folder = own(tmp_path, "es/line.j2", "{{ event.id }}\n{{ evnt.id }}")
    (tmp_path / "notify.yaml").write_text(ROUTES)
    result = run("lint", "--routes", str(tmp_path / "notify.yaml"))
    assert result.exit_code == 1
    assert f"{folder}/es/line.j2:2: 'evnt' is undefined" in result.stdout


@pytest.mark.parametrize("command", [("templates", "--help"), ("templates", "render", "--help")])
def test_help_has_an_example(command: tuple[str, ...]) -> None:
    assert "Example:" in run(*command).stdout
