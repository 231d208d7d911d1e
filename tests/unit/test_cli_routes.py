"""`./plazo lint --routes` and `./plazo routes test` as a user meets them."""

from __future__ import annotations

import json
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


@pytest.mark.parametrize("command", ["lint", "notifier", "routes"])
def test_help_has_an_example(command: str) -> None:
    assert "Example:" in run(command, "--help").stdout


ROUTES = """
receivers: {pager: {console: {}}, all: {console: {}}}
routes:
- {name: urgent, match: {severity: critical}, receivers: [pager]}
- {name: nobody, match: {tenant: quiet}, receivers: []}
- {name: rest, receivers: [all]}
"""


def tried(tmp_path: Path, events: str, *options: str) -> Result:
    routes, event = tmp_path / "notify.yaml", tmp_path / "event.json"
    routes.write_text(ROUTES)
    event.write_text(events)
    return run("routes", "test", "--routes", str(routes), "--event", str(event), *options)


def test_who_would_hear_of_an_event_is_shown_with_the_reason(tmp_path: Path) -> None:
    result = tried(tmp_path, '{"severity": "high"}\n{"tenant": "quiet"}\n')
    assert [" ".join(line.split()) for line in result.stdout.splitlines()] == [
        "Breached: ticket 42, first response · standard-tickets (high) · due 12:00:00Z · detected +3 ms",
        "route line takes it because",
        "urgent 4 no severity is high, not critical",
        "nobody 5 no tenant is default, not quiet",
        "rest 6 yes it takes everything",
        "receiver channel when why",
        "all console at once route rest takes everything",
        "",
        "Breached: ticket 42 of quiet, first response · standard-tickets (high) · due 12:00:00Z · detected +3 ms",
        "route line takes it because",
        "urgent 4 no severity is high, not critical",
        "nobody 5 yes tenant is quiet",
        "nobody hears of it",
        "",
    ]


def test_the_answer_comes_as_json_too(tmp_path: Path) -> None:
    result = tried(tmp_path, '{"severity": "critical"}', "--json", "--at", "2026-02-03T04:05:06+01:00")
    answer = json.loads(result.stdout)
    assert answer["event"] == {
        "id": "0d1b4a4e-6c7f-5a55-9d7c-2f0a54a9e001",
        "type": "sla.clock.breached.v1",
        "about": "default/ticket/42",
    }
    assert answer["at"] == "2026-02-03T03:05:06Z"
    assert [(each["route"], each["takes"], each["decides"]) for each in answer["tried"]] == [("urgent", True, True)]
    assert [(each["receiver"], each["state"], each["due"]) for each in answer["told"]] == [
        ("pager", "pending", "2026-02-03T03:05:06Z")
    ]


@pytest.mark.parametrize(
    ("events", "options", "said"),
    [
        ("{}\n{]", (), "event.json:2: "),
        ('{"severity": "worst"}', (), "event.json:1: data.severity: "),
        ("{}", ("--at", "noon"), "--at"),
    ],
)
def test_what_cannot_be_read_is_named(tmp_path: Path, events: str, options: tuple[str, ...], said: str) -> None:
    result = tried(tmp_path, events, *options)
    assert result.exit_code != 0
    assert said in f"{result.exception}{result.stderr}"
