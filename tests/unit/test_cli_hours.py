"""`./plazo hours` and `./plazo lint` as a user meets them."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from services.__main__ import command_line
from services.cli.hours import answer_lines
from services.timer.calendars import load_calendars

ROOT = Path(__file__).parents[2]
SAMPLE = ROOT / "deploy/local/policies.yaml"
CASES = ROOT.parent / "shared/data/conformance"
CALENDARS = load_calendars({SAMPLE.name: SAMPLE.read_text()})
MADRID = ("hours", "--calendars", str(SAMPLE), "--calendar", "madrid")


def run(*arguments: str) -> Result:
    return CliRunner().invoke(command_line(arguments), arguments)


def asked(*lines: str | dict[str, Any]) -> tuple[list[dict[str, Any]], list[str]]:
    """The answers to questions on standard input, and what is told beside them."""
    source = io.BytesIO("\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines).encode())
    sink, told = io.BytesIO(), list[str]()
    answer_lines(CALENDARS, source, sink, tell=told.append)
    return [json.loads(line) for line in sink.getvalue().splitlines()], told


@pytest.mark.parametrize(
    ("words", "answer"),
    [
        # Friday afternoon, after closing: two hours of Monday.
        (("add", "2026-03-27T17:00:00+01:00", "2h"), {"result": "2026-03-30T09:00:00Z"}),
        (("add", "2026-03-27T17:00:00+01:00", "7200"), {"result": "2026-03-30T09:00:00Z"}),
        (("subtract", "2026-03-30T11:00:00+02:00", "2h30m"), {"result": "2026-03-27T13:30:00Z"}),
        (("between", "2026-03-27T14:00:00+01:00", "2026-03-30T10:00:00+02:00"), {"result": 7200}),
        (("is-open", "2026-03-27T14:00:00+01:00"), {"result": True}),
        (("is_open", "2026-03-27T15:00:00+01:00"), {"result": False}),
        (("next-open", "2026-03-28T12:00:00Z"), {"result": "2026-03-30T07:00:00Z"}),
        (("next-close", "2026-03-28T12:00:00Z"), {"result": "2026-03-30T12:00:00Z"}),
    ],
)
def test_one_question_on_the_command_line(words: tuple[str, ...], answer: dict[str, Any]) -> None:
    result = run(*MADRID, *words)
    assert (result.exit_code, json.loads(result.stdout)) == (0, answer)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("nextopen", "2026-03-28T12:00:00Z"), "op: expected one of add, subtract, between"),
        (("next-open", "2026"), "at: expected a time like 2026-01-05T08:00:00Z with an offset, got '2026'"),
        (("next-open", "2026-01-05T08:00:00"), "at: expected a time like 2026-01-05T08:00:00Z with an offset"),
        (("add", "2026-03-28T12:00:00Z"), "seconds: is required"),
        (("add", "2026-03-28T12:00:00Z", "4x"), "seconds: expected a duration like 45s"),
        (("add", "2026-03-28T12:00:00Z", "4h", "5h"), "add: expected START SECONDS, got"),
        ((), "expected a question, or --stdin"),
        (("--stdin", "add"), "expected a question, or --stdin"),
    ],
)
def test_bad_words_are_named(words: tuple[str, ...], expected: str) -> None:
    result = run(*MADRID, *words)
    assert (result.exit_code, result.stdout) == (2, "")
    assert expected in " ".join(result.stderr.split())


def test_a_calendar_must_be_named_where_there_are_several() -> None:
    result = run("hours", "--calendars", str(SAMPLE), "is-open", "2026-03-28T12:00:00Z")
    assert result.exit_code == 2
    assert "calendar: expected one of madrid, always" in result.stderr


def test_a_folder_is_one_set_whose_calendars_inherit_from_each_other(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("calendars: {night: {extends: day, hours: {mon: '22:00-06:00'}}}")
    (tmp_path / "b.yaml").write_text("calendars: {day: {time_zone: UTC, hours: {mon: '09:00-17:00'}}}")
    result = run("hours", "--calendars", str(tmp_path), "--calendar", "night", "next-open", "2026-01-05T08:00:00Z")
    assert json.loads(result.stdout) == {"result": "2026-01-05T22:00:00Z"}


def test_what_does_not_exist_is_null_with_an_error() -> None:
    at, first, last = "2026-01-05T08:00:00Z", "1900-01-01T00:00:00Z", "2200-01-01T00:00:00Z"
    answers, told = asked(
        {"calendar": "always", "op": "next_close", "at": at},
        {"calendar": "always", "op": "is_open", "at": "9999-01-01T00:00:00Z"},
    )
    assert answers == [
        {"result": None, "error": f"the calendar never closes after {at}"},
        {"result": None, "error": f"calendars reach from {first} to {last}, not to 9999-01-01T00:00:00+00:00"},
    ]
    assert told == []


def test_fractions_of_a_second_are_kept() -> None:
    start = "2026-01-05T08:00:00Z"
    answers, _ = asked(
        {"calendar": "always", "op": "add", "start": start, "seconds": 0.25},
        {"calendar": "always", "op": "between", "start": start, "end": "2026-01-05T08:00:01.5Z"},
    )
    assert answers == [{"result": "2026-01-05T08:00:00.250000Z"}, {"result": 1.5}]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ('{"op": "is_open"', "line 2: expected an object in JSON"),
        ("[]", "line 2: expected an object in JSON"),
        ("{}", "line 2: op: is required"),
        ('{"op": "isopen"}', "line 2: op: expected one of add"),
        (
            '{"op": "is_open", "calendar": "x", "at": "2026-01-05T08:00:00Z"}',
            "line 2: calendar: expected one of madrid",
        ),
        ('{"op": "is_open", "calendar": 5}', "line 2: calendar: expected the name of a calendar, got 5"),
        ('{"op": "is_open", "calendar": "madrid"}', "line 2: at: is required"),
        ('{"op": "is_open", "calendar": "madrid", "at": "now"}', "line 2: at: expected a time like"),
        ('{"op": "add", "calendar": "madrid", "seconds": "4h"}', "line 2: seconds: expected a number of seconds"),
        # What no float holds.
        ('{"op": "add", "calendar": "madrid", "seconds": 1e400}', "line 2: seconds: expected a number of seconds"),
        ('{"op": ' + "[" * 50_000 + "]" * 50_000 + "}", "line 2: op: expected one of add"),
        ('{"x": ' + "[" * 50_000 + "]" * 50_000 + "}", "line 2: expected an object in JSON, not nested so deeply"),
    ],
)
def test_a_bad_line_is_named_and_keeps_its_place(line: str, expected: str) -> None:
    good = '{"calendar": "always", "op": "is_open", "at": "2026-01-05T08:00:00Z"}'
    answers, told = asked(good, line, good)
    assert [answer["result"] for answer in answers] == [True, None, True]
    assert answers[1]["error"].startswith(expected)
    assert told == [answers[1]["error"]]


def test_bad_lines_do_not_flood_the_terminal() -> None:
    answers, told = asked(*["{}"] * 30)
    assert len(answers) == 30
    assert len(told) == 21
    assert told[-1] == "and 10 more lines that are no questions"


def test_an_answer_comes_before_the_next_question() -> None:
    """A program may keep the command open and ask as it goes."""
    question = b'{"calendar": "madrid", "op": "is_open", "at": "2026-01-05T09:00:00Z"}\n'
    command = [str(ROOT / "plazo"), "hours", "--calendars", str(SAMPLE), "--stdin"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for _ in range(2):
            process.stdin.write(question)
            process.stdin.flush()
            assert process.stdout.readline() == b'{"result":true}\n'
        process.stdin.close()
        assert process.wait() == 0


def test_it_runs_from_any_folder(tmp_path: Path) -> None:
    (tmp_path / "services").mkdir()  # not the one to import
    command = [str(ROOT / "plazo"), *MADRID, "is-open", "2026-01-05T09:00:00Z"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout == '{"result":true}\n'


def test_it_imports_no_client_of_kafka_or_a_database() -> None:
    loaded = "import sys, services.cli.hours; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", loaded], cwd=ROOT, capture_output=True, text=True, check=True)
    assert not {"aiokafka", "sqlalchemy", "asyncpg", "fastapi", "holidays"} & set(done.stdout.split())


@pytest.mark.skipif(not CASES.is_dir(), reason="the worked cases are not beside this checkout")
def test_the_worked_cases_agree() -> None:
    calendars = load_calendars({"hours.calendars.json": (CASES / "hours.calendars.json").read_text()})
    sink, told = io.BytesIO(), list[str]()
    with (CASES / "hours.questions.jsonl").open("rb") as source:
        answer_lines(calendars, source, sink, tell=told.append)
    expected = [json.loads(line) for line in (CASES / "hours.expected.jsonl").read_text().splitlines()]
    assert [json.loads(line) for line in sink.getvalue().splitlines()] == expected
    assert told == []


class TestFiles:
    def test_a_mistake_in_the_file_is_named(self, tmp_path: Path) -> None:
        file = tmp_path / "policies.yaml"
        file.write_text("calendars:\n  c: {time_zone: Mars, hours: {}}\n")
        done = subprocess.run(
            [str(ROOT / "plazo"), "hours", "--calendars", str(file), "is-open", "2026-01-05T09:00:00Z"],
            capture_output=True, text=True, check=False,
        )  # fmt: skip  # as it is typed
        assert done.returncode == 2
        assert done.stderr.startswith(f"{file}:2: calendars.c.time_zone: expected the name of a time zone")

    def test_a_file_that_is_not_there_is_named(self) -> None:
        command = [str(ROOT / "plazo"), "lint", "--policies", "/nowhere.yaml"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (2, "/nowhere.yaml:1: cannot be read: No such file or directory\n")


class TestLint:
    def test_a_good_file_ends_with_0(self) -> None:
        assert run("lint", "--policies", str(SAMPLE)).exit_code == 0

    def test_a_folder_is_one_set_and_findings_end_with_1(self, tmp_path: Path) -> None:
        (tmp_path / "a.yaml").write_text("calendars: {c: {time_zone: UTC, hours: {mon: '09:00-17:00'}}}")
        (tmp_path / "b.yml").write_text(
            "policies: [{name: p, applies_to: {kind: ticket}, calendar: c, targets: {pickup: 4h}}]"
        )
        (tmp_path / "notes.txt").write_text("not a policy")
        result = run("lint", "--policies", str(tmp_path))
        assert (result.exit_code, result.stdout) == (
            1,
            f"{tmp_path}/b.yml:1: policies[0].targets.pickup: policy p: never starts in a ticket\n"
            "  example: ticket without attributes\n"
            "  cure: Remove the target, or cover a chat.\n",
        )

    def test_recorded_events_show_what_is_not_covered(self, tmp_path: Path) -> None:
        events = tmp_path / "events.jsonl"
        event = {"specversion": "1.0", "id": "1", "source": "s", "type": "call.queued", "subject": "7"}
        events.write_text(json.dumps(event | {"time": "2026-01-05T08:00:00Z"}) + "\n")
        result = run("lint", "--policies", str(SAMPLE), "--events", str(events))
        assert result.exit_code == 1
        assert "policy acme-gold: no event has the attribute 'customer'" in result.stdout

    def test_findings_are_told_to_programs(self, tmp_path: Path) -> None:
        file = tmp_path / "a.yaml"
        file.write_text(
            "calendars: {c: {time_zone: UTC, hours: {mon: '09:00-17:00'}}}\n"
            "policies:\n"
            "  - {name: p, applies_to: {kind: ticket, group: g}, calendar: c, targets: {pickup: 4h}}\n"
        )
        (line,) = run("lint", "--policies", str(file), "--format", "jsonl").stdout.splitlines()
        told = json.loads(line)
        (example,) = told.pop("examples")
        assert (example["kind"], example["attributes"], example["item"]) == ("ticket", {"group": "g"}, None)
        assert told == {
            "file": str(file),
            "line": 3,
            "field": "policies[0].targets.pickup",
            "subject": "policy p",
            "message": "never starts in a ticket",
            "cure": "Remove the target, or cover a chat.",
        }

    def test_that_an_expression_decides_is_said_in_place_of_an_example(self, tmp_path: Path) -> None:
        file = tmp_path / "a.yaml"
        file.write_text(
            "calendars: {c: {time_zone: UTC, hours: {mon: '09:00-17:00'}}}\n"
            "policies: [{name: p, applies_to: {kind: ticket}, when: item.a == 1, calendar: c, targets: {pickup: 4h}}]\n"
        )
        result = run("lint", "--policies", str(file))
        assert "  example: none can be made up, because an expression decides" in result.stdout


@pytest.mark.parametrize("command", ["hours", "lint"])
def test_help_has_an_example(command: str) -> None:
    result = run(command, "--help")
    assert result.exit_code == 0
    assert f"./plazo {command} --" in result.stdout


def test_help_lists_every_command() -> None:
    result = run("--help")
    assert result.exit_code == 0
    assert "  hours " in result.stdout
