"""Whatever users give to commands: status 2 and a message that names the place, never a traceback."""

from __future__ import annotations

import gzip
import io
import os
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from services.__main__ import command_line
from services.cli.hours import answer_lines
from services.timer.calendars import load_calendars
from shared.errors import BadDocument, PlazoError
from tests.strategies_hostile import json_texts, nested, structured_events, values

ROOT = Path(__file__).parents[2]
POLICIES = (ROOT / "deploy/local/policies.yaml").read_text()
ROUTES = (ROOT / "deploy/local/notify.yaml").read_text()
TREE = """
receivers:
  terminal: {console: {}}
directory: people.yaml
people_channels:
  email:
    from: plazo@example.com
    smtp: {host: smtp.example.com}
routes:
  - name: acme
    regex:
      customer: acme(-.*)?
    receivers: [terminal]
    audience: [[assignee, manager], on_call]
    continue: true
    routes:
      - match: {severity: high}
        when: elapsed_s > 2.0 * target_s
  - receivers: [terminal]
customers:
  tell: when_planned
  plan: [plan]
  language: es
  from: support@example.com
  smtp: {host: smtp.example.com}
"""
PEOPLE = """
people:
  nora:
    also: [ndiaz]
    channels: {email: nora@example.com}
    language: es
    zone: Europe/Madrid
    quiet_hours: {zone: Europe/Madrid, open: {mon-fri: 08:00-20:00}}
  luis:
    channels:
      email: luis@example.com
groups:
  network:
    members: [nora]
    manager: luis
    on_call: default
on_call:
  default:
    people: [nora, luis]
    zone: Europe/Madrid
    from: 2026-01-05 09:00
    days: 7
    overrides:
      - {from: 2026-01-07, until: 2026-01-08, person: luis}
fallback: [luis]
"""
STATUSES = (ROOT / "services/ingest/statuses.yaml").read_text()
EVENT = (
    b'{"specversion":"1.0","id":"e","source":"/s","type":"ticket.created","subject":"1","time":"2026-01-05T08:00:00Z"}'
)
EXAMPLES = int(os.environ.get("HOSTILE_EXAMPLES", "25"))
FUZZ = settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
HOSTILE = (
    *(
        "null",
        "~",
        "[]",
        "{}",
        "[[]]",
        "{a: {b: c}}",
        "NaN",
        ".inf",
        "-.inf",
        "1e999",
        "-1",
        "0",
        "9" * 40,
        "true",
        "no",
    ),
    *(
        "''",
        "' '",
        "\u0000",
        '"\\0"',
        '"\\ud800"',
        "&a [*a]",
        "*nowhere",
        "!!python/object:os.system {}",
        "!!binary //8=",
        *("!!int ''", "!!int x", "!!bool maybe", "!!float x", "!!timestamp x", "!!unknown x", "!!binary é", "!!set x"),
        "<<",
    ),
    *(
        "2026-02-30",
        "25:00",
        "24:00-00:00",
        "['09:00-08:00']",
        "0s",
        "-4h",
        "99999999999999999d",
        "150%",
        "5m_left",
        "1h 1h",
    ),
    *(
        "Europe/Nowhere",
        "../../etc/passwd",
        "a" * 5_000,
        "é\u202e",
        "=cmd",
        "{{ x }}",
        "|",
        ">",
        "? x",
        "- x",
        "%",
        "@a",
        "`b`",
    ),
    *(
        "a.b.c()",
        "item.x ==",
        "1/0",
        "[0,1][9]",
        "'a' * 999999999",
        "x" + "(" * 200,
        "{country: XX}",
        "{country: ES, subdivision: ZZ}",
    ),
)


@st.composite
def nearly(draw: st.DrawFn, text: str) -> str:
    """*text* (YAML) in which some lines say something else, stand twice, elsewhere, or not at all."""
    lines = text.splitlines()
    for _ in range(draw(st.integers(1, 3))):
        place = draw(st.integers(0, len(lines) - 1))
        key, colon, _ = lines[place].partition(":")
        change = draw(st.sampled_from(("value", "value", "value", "drop", "twice", "indent", "text")))
        if change == "value" and colon:
            lines[place] = f"{key}: {draw(st.sampled_from(HOSTILE))}"
        elif change == "drop" and len(lines) > 1:
            del lines[place]
        elif change == "twice":
            lines.insert(place, lines[place])
        elif change == "indent":
            lines[place] = "  " + lines[place]
        else:
            lines[place] = draw(st.text(max_size=20))
    return "\n".join(lines)


def files(text: str) -> st.SearchStrategy[bytes]:
    """Files that are nearly *text*, or anything."""
    almost = nearly(text).map(lambda found: found.encode(errors="surrogatepass"))
    return st.one_of(almost, almost, almost, st.binary(max_size=30), values().map(lambda value: value or b""))


def ended(*arguments: str) -> tuple[int, str]:
    """(status, message) of a command; anything but an error of ours is a failure."""
    result = CliRunner().invoke(command_line(arguments), list(arguments))
    error = result.exception
    if isinstance(error, PlazoError):
        return 2 if isinstance(error, BadDocument) else 1, str(error)
    assert error is None or isinstance(error, SystemExit), f"{type(error)}: {error}"
    return result.exit_code, result.output


def assert_named(status: int, message: str, file: Path) -> None:
    """A file that is refused is named in the message; in it stands no traceback."""
    assert status in {0, 1, 2}, message
    assert "Traceback" not in message
    if status == 2:
        assert str(file) in message, message


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of sound files, of which each test overwrites one."""
    folder = tmp_path_factory.mktemp("files")
    (folder / "sound.yaml").write_text(POLICIES)
    (folder / "sound.jsonl").write_bytes(EVENT)
    return folder


@FUZZ
@given(text=files(POLICIES))
def test_lint_names_what_is_wrong_in_policies(folder: Path, text: bytes) -> None:
    file = folder / "lint.yaml"
    file.write_bytes(text)
    assert_named(*ended("lint", "--policies", str(file), "--events", str(folder / "sound.jsonl")), file)


@FUZZ
@given(text=files(ROUTES))
def test_lint_names_what_is_wrong_in_routes(folder: Path, text: bytes) -> None:
    file = folder / "routes.yaml"
    file.write_bytes(text)
    assert_named(*ended("lint", "--routes", str(file)), file)


@FUZZ
@given(text=files(TREE))
def test_lint_names_what_is_wrong_in_a_tree_of_routes(folder: Path, text: bytes) -> None:
    file = folder / "tree.yaml"
    file.write_bytes(text)
    (folder / "people.yaml").write_text(PEOPLE)
    status, message = ended("lint", "--routes", str(file))
    assert_named(status, message, folder)  # the directory is refused where the channels of people do not fit it


@FUZZ
@given(text=files(PEOPLE))
def test_lint_names_what_is_wrong_in_the_directory(folder: Path, text: bytes) -> None:
    routes = folder / "with_people.yaml"
    routes.write_text(TREE.replace("people.yaml", "hostile_people.yaml"))
    (folder / "hostile_people.yaml").write_bytes(text)
    assert_named(*ended("lint", "--routes", str(routes)), folder)


@FUZZ
@given(text=files(STATUSES))
def test_lint_names_what_is_wrong_in_status_names(folder: Path, text: bytes) -> None:
    file = folder / "statuses.yaml"
    file.write_bytes(text)
    sound = ("--policies", str(folder / "sound.yaml"), "--events", str(folder / "sound.jsonl"))
    assert_named(*ended("lint", *sound, "--statuses", str(file)), file)


@FUZZ
@given(text=files(POLICIES))
def test_a_backtest_names_what_is_wrong_in_policies(folder: Path, text: bytes) -> None:
    file = folder / "backtest.yaml"
    file.write_bytes(text)
    events = ("--events", str(folder / "sound.jsonl"), "--until", "2026-01-06T00:00:00Z")
    assert_named(*ended("backtest", "--policies", str(file), *events), file)


def recorded() -> st.SearchStrategy[bytes]:
    """Files of events in which some lines are bad, some of them compressed or cut."""
    lines = st.lists(structured_events() | st.just(EVENT) | values().map(lambda value: value or b""), max_size=4)
    whole = lines.map(lambda found: b"\n".join(line.replace(b"\n", b" ") for line in found))
    return whole | whole.map(gzip.compress) | whole.map(lambda text: gzip.compress(text)[:-5])


@FUZZ
@given(text=recorded(), command=st.sampled_from(("backtest", "explain", "replay", "lint")))
def test_events_that_are_none_are_named_by_their_line(folder: Path, text: bytes, command: str) -> None:
    file = folder / "events.jsonl"
    file.write_bytes(text)
    policies = ("--policies", str(folder / "sound.yaml"))
    rest = {
        "backtest": ("backtest", *policies, "--events", str(file), "--until", "2026-01-06T00:00:00Z"),
        "explain": ("explain", "default/ticket/1", *policies, "--events", str(file), "--at", "2026-01-06T00:00:00Z"),
        "replay": ("replay", str(file), "--topic", "t"),
        "lint": ("lint", *policies, "--events", str(file)),
    }
    assert_named(*ended(*rest[command]), file)


@FUZZ
@given(lines=st.lists(values().map(lambda value: value or b"") | json_texts(), max_size=5))
def test_a_calendar_answers_every_question_with_a_result_or_an_error(lines: Sequence[bytes]) -> None:
    sink = io.BytesIO()
    asked = [line.replace(b"\n", b" ") for line in lines if line.strip()]
    answer_lines(CALENDARS, io.BytesIO(b"\n".join(asked)), sink, tell=lambda _: None)
    answers = sink.getvalue().splitlines()
    assert len(answers) == len(asked)
    assert all(b'"error"' in answer or b'"result"' in answer for answer in answers)


CALENDARS = load_calendars({"policies.yaml": POLICIES})
TIMES = ("0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59", "2026-01-05", "now", "", "\ud800", "1" * 500, "NaN")


@pytest.mark.parametrize("time", TIMES)
@pytest.mark.parametrize(
    "words",
    [
        ("backtest", "--policies", "{sound}", "--events", "{events}", "--until", "{time}"),
        ("explain", "default/ticket/1", "--policies", "{sound}", "--events", "{events}", "--at", "{time}"),
        ("hours", "--calendars", "{sound}", "--calendar", "madrid", "is-open", "{time}"),
        ("hours", "--calendars", "{sound}", "--calendar", "madrid", "add", "2026-01-05T08:00:00Z", "{time}"),
        ("hours", "--calendars", "{sound}", "--calendar", "madrid", "between", "{time}", "9000-01-01T00:00:00Z"),
        ("hours", "--calendars", "{sound}", "--calendar", "{time}", "next-open", "2026-01-05T08:00:00Z"),
        ("explain", "{time}", "--policies", "{sound}", "--events", "{events}"),
        ("replay", "{events}", "--topic", "t", "--speed", "{time}"),
        ("migrate-policies", "--resume", "{time}"),
    ],
)
def test_a_word_that_is_none_of_what_is_expected_is_refused(folder: Path, words: Sequence[str], time: str) -> None:
    places = {"sound": str(folder / "sound.yaml"), "events": str(folder / "sound.jsonl"), "time": time}
    status, message = ended(*(word.format(**places) for word in words))
    assert status in {0, 1, 2}, message
    assert "Traceback" not in message


@pytest.mark.parametrize("name", ["", "nowhere.yaml", "a\0b", "x" * 5_000, "/dev/null", "/proc/self/mem", "/"])
@pytest.mark.parametrize("command", ["lint", "backtest", "hours"])
def test_a_file_that_cannot_be_read_is_named(folder: Path, command: str, name: str) -> None:
    words = {
        "lint": ("lint", "--policies", name),
        "backtest": (
            "backtest",
            "--policies",
            str(folder / "sound.yaml"),
            "--events",
            name,
            "--until",
            "2026-01-06T00:00:00Z",
        ),
        "hours": ("hours", "--calendars", name, "--calendar", "madrid", "is-open", "2026-01-05T08:00:00Z"),
    }
    status, message = ended(*words[command])
    assert status in {0, 2}, message
    assert "Traceback" not in message


@pytest.mark.parametrize(
    "value",
    [
        "<<",
        "!!int ''",
        "!!int x",
        "!!bool maybe",
        "!!float x",
        "!!unknown x",
        "!!binary é",
        "!!set x",
        "!python/name:os x",
        "{{ x }}",
        "{[a]: b}",
    ],
)
def test_a_value_of_a_strange_type_is_named_by_its_line(folder: Path, value: str) -> None:
    file = folder / "strange.yaml"
    file.write_text(POLICIES + f"\nstrange: {value}\n")
    status, message = ended("lint", "--policies", str(file))
    assert status == 2
    assert f"{file}:{len(POLICIES.splitlines()) + 2}: strange: " in message


@pytest.mark.parametrize("text", [nested(5_000).decode(), "a: &a [*a, *a]\n", "x: " + "&a [" * 40, "- " * 50_000])
def test_a_file_that_is_nested_without_end_is_refused(folder: Path, text: str) -> None:
    file = folder / "deep.yaml"
    file.write_text(text)
    status, message = ended("lint", "--policies", str(file))
    assert status == 2
    assert str(file) in message
