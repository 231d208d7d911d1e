"""How a migration is shown: a line for each clock that changes, in three formats, and the records of migrations."""

from __future__ import annotations

import csv
import io
import json
from datetime import UTC, datetime
from uuid import UUID

import pytest
from typer.testing import CliRunner

from services.__main__ import command_line
from services.cli.moved import MOST_ROWS, Format, show_records, sink_of, summary
from services.timer import fold
from services.timer.migration import Foreseen, Migration, Selection, foreseen
from services.timer.migration_store import Place, Progress
from tests.histories import at, history
from tests.unit.test_move import NEW, OLD, two

RULES = two(OLD, NEW)
DECIDED = Migration(UUID(int=7), at("08:30"), RULES.versions[-1][1].version, "=contract", "ana")


def change(item: str = "default/ticket/1") -> Foreseen:
    """A resolution of eight hours that becomes one of two."""
    story = history("08:00 created")
    return foreseen(DECIDED, item, fold.refold(story, RULES), story, RULES)


def shown(form: Format, *found: Foreseen) -> str:
    """What is written of changes in a format."""
    output = io.StringIO()
    sink = sink_of(form, output)
    for each in found:
        sink.show(each)
    sink.end()
    return output.getvalue()


def test_a_line_of_json_has_both_ends_of_every_change() -> None:
    [line] = shown("jsonl", change()).splitlines()
    old, new = (policies.version for _, policies in RULES.versions)
    assert json.loads(line) == {
        "item": "default/ticket/1",
        "metric": "resolution",
        "cycle": 1,
        "effect": "moves",
        "policy_from": "p",
        "policy_to": "p",
        "version_from": old,
        "version_to": new,
        "state_from": "running",
        "state_to": "running",
        "target_s_from": 28_800,
        "target_s_to": 7_200,
        "due_at_from": "2026-01-05T16:00:00Z",
        "due_at_to": "2026-01-05T10:00:00Z",
        "breached_at_from": None,
        "breached_at_to": None,
    }


def test_a_spreadsheet_shows_what_it_is_given_and_runs_nothing() -> None:
    [row] = csv.DictReader(io.StringIO(shown("csv", change("=cmd/ticket/1"))))
    assert (row["item"], row["due_at_to"], row["breached_at_to"]) == ("'=cmd/ticket/1", "2026-01-05T10:00:00Z", "")


def test_a_table_shows_what_changes_from_what_to_what() -> None:
    text = " ".join(shown("table", change()).split())
    assert "default/ticket/1 resolution 1 moves p " in text
    assert "2026-01-05T16:00:00Z → 2026-01-05T10:00:00Z" in text
    assert shown("table") == ""


def test_a_table_says_how_much_it_leaves_out() -> None:
    lines = shown("table", *[change()] * (MOST_ROWS + 5)).splitlines()
    assert lines[-1].startswith("… and 5 more: --format jsonl or csv")


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        ({}, "0 items looked at, 0 change"),
        ({"items": 3}, "3 items looked at, 0 change"),
        (
            {"items": 3, "events": 2, "moves": 1, "breaches": 2},
            "3 items looked at, 2 change; of their clocks 2 breach by it, 1 move",
        ),
        (
            {"items": 3, "quarantined": 1},
            "3 items looked at, 0 change; 1 quarantined items are left alone",
        ),
    ],
)
def test_the_sum_says_what_there_is_to_say(counts: dict[str, int], expected: str) -> None:
    assert summary(counts) == expected


@pytest.mark.parametrize(
    ("finished", "abandoned", "state"),
    [
        # it goes on, or was cut off
        (None, False, "unfinished"),
        (datetime(2026, 1, 5, 9, tzinfo=UTC), False, "done"),
        # somebody gave up the rest
        (datetime(2026, 1, 5, 9, tzinfo=UTC), True, "abandoned"),
    ],
)
def test_a_record_says_who_decided_what_and_why_and_how_far_it_is(
    finished: datetime | None, abandoned: bool, state: str
) -> None:
    started = datetime(2026, 1, 5, 8, 30, tzinfo=UTC)
    progress = Progress(
        DECIDED, Selection(tenant="acme"), started, finished, abandoned, Place(0, "a"), (), {"items": 2, "events": 1}
    )
    for form in ("jsonl", "csv", "table"):
        output = io.StringIO()
        show_records([progress], form, output)
        text = " ".join(output.getvalue().split())
        for expected in (str(DECIDED.id), state, "2026-01-05T08:30:00Z", "acme", "ana"):
            assert expected in text
    assert output.getvalue().count("\n") == 2


def test_no_migrations_are_no_error() -> None:
    output = io.StringIO()
    show_records([], "jsonl", output)
    assert output.getvalue() == ""


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--to", "v", "--recount-only"], "only one of --to, --policies and --recount-only"),
        (["--apply", "--list"], "only one of --apply, --resume, --abandon and --list"),
        (["--apply"], "--apply needs a reason"),
        (["--apply", "--reason", "  "], "--apply needs a reason"),
        (["--apply", "--reason", "x" * 2_001], "expected at most 2000 characters"),
    ],
)
def test_options_that_contradict_each_other_are_refused(options: list[str], expected: str) -> None:
    arguments = ["migrate-policies", *options]
    result = CliRunner().invoke(command_line(arguments), arguments)
    assert result.exit_code == 2
    assert expected in " ".join(result.output.replace("│", " ").split())
