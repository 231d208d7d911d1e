"""The fold under a virtual clock: what would have happened and been published, and the command that shows it."""

from __future__ import annotations

import csv
import gzip
import io
import json
from pathlib import Path
from random import Random
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner, Result

from services.__main__ import command_line
from services.timer import backtest
from services.timer.backtest import Arrival
from services.timer.rulebook import Rulebook
from shared.events import SECOND, Event, rfc3339
from tests.histories import CALENDARS, at, history, rulebook, told
from tests.strategies_events import UNTIL, histories, rulebooks

LAW = settings(max_examples=100, deadline=None)  # a first question to a calendar compiles a year
POLICY = "- {name: p, applies_to: {}, calendar: always, targets: {resolution: {within: 2h, warn_at: [50%]}}}"
RULES = rulebook(POLICY)


class TestRun:
    def test_a_deadline_at_the_end_itself_has_not_passed(self) -> None:
        story = history("08:00 created")
        assert [row.state for row in backtest.run(story, RULES, at("10:00"))] == ["running"]
        assert [row.state for row in backtest.run(story, RULES, at("10:00") + 1)] == ["breached"]

    def test_what_happened_after_the_end_does_not_count(self) -> None:
        story = history("08:00 created\n09:00 resolved")
        assert [row.state for row in backtest.run(story, RULES, at("08:59"))] == ["running"]
        assert [row.state for row in backtest.run(story, RULES, at("09:00"))] == ["met"]

    def test_open_clocks_are_counted_to_the_end(self) -> None:
        (row,) = backtest.run(history("08:00 created"), RULES, at("09:30"))
        assert (row.elapsed, row.paused) == (5400 * SECOND, 0)

    def test_rows_are_sorted_by_item_metric_and_cycle(self) -> None:
        rules = rulebook("- {name: p, applies_to: {}, calendar: always, targets: {resolution: 2h, next_response: 1h}}")
        story = history(
            "08:00 created\n08:10 agent_replied\n08:20 customer_replied\n08:30 agent_replied\n09:00 customer_replied"
        )
        others = [msgspec.structs.replace(event, subject="0") for event in story]
        found = [(row.item, row.metric, row.cycle) for row in backtest.run(story + others, rules, at("12:00"))]
        assert found == sorted(found)
        assert len(found) == 6


class TestPublished:
    def test_each_thing_is_told_as_soon_as_it_is_certain(self) -> None:
        found = backtest.published(history("08:00 created\n12:00 resolved"), RULES, at("13:00"))
        assert [told(output) for output in found] == [
            "clock.warning resolution 50% 09:00",
            "clock.breached resolution 10:00",
            "breach.stopped resolution 12:00",
        ]
        assert [output.event.detected_at for output in found[1:]] == [
            rfc3339(at("10:00") + 1),
            rfc3339(at("12:00") + 1),
        ]

    def test_an_answer_that_arrives_late_takes_the_breach_back(self) -> None:
        created, resolved = history("08:00 created\n09:30 resolved")
        arrivals = [Arrival(at("08:00"), created), Arrival(at("11:00"), resolved)]
        found = backtest.published_of(arrivals, RULES, at("13:00"))
        assert [told(output) for output in found] == [
            "clock.warning resolution 50% 09:00",
            "clock.breached resolution 10:00",
            "breach.retracted resolution 10:00",
        ]
        assert found[-1].event.detected_at == rfc3339(at("11:00"))

    def test_what_arrives_after_the_end_is_not_known(self) -> None:
        created, resolved = history("08:00 created\n09:30 resolved")
        arrivals = [Arrival(at("08:00"), created), Arrival(at("11:00"), resolved)]
        assert [told(output) for output in backtest.published_of(arrivals, RULES, at("10:30"))][-1:] == [
            "clock.breached resolution 10:00"
        ]

    @LAW
    @given(histories(), rulebooks())
    def test_in_order_exactly_the_breaches_of_the_rows_are_told_and_none_is_taken_back(
        self, events: list[Event], rules: Rulebook
    ) -> None:
        events = sorted(events, key=lambda event: event.order)
        outputs = backtest.published(events, rules, UNTIL)
        broken = [row for row in backtest.run(events, rules, UNTIL) if row.state == "breached"]
        breaches = [output for output in outputs if output.type == "sla.clock.breached.v1"]
        assert sorted((each.event.metric, each.event.cycle, each.time) for each in breaches) == sorted(
            (row.metric, row.cycle, row.breached_at) for row in broken
        )
        assert all(output.type != "sla.breach.retracted.v1" for output in outputs)

    @LAW
    @given(histories(), rulebooks(), st.randoms(use_true_random=False))
    def test_late_arrivals_leave_the_same_breaches_standing(
        self, events: list[Event], rules: Rulebook, random: Random
    ) -> None:
        arrivals = [Arrival(event.time + random.randrange(48) * 3600 * SECOND, event) for event in events]
        arrivals += random.choices(arrivals, k=2)
        outputs = backtest.published_of(sorted(arrivals, key=lambda each: each.at), rules, UNTIL)
        standing = {output.event.breach_id for output in outputs if output.type == "sla.clock.breached.v1"}
        standing -= {output.event.breach_id for output in outputs if output.type == "sla.breach.retracted.v1"}
        broken = [row for row in backtest.run(events, rules, UNTIL) if row.state == "breached"]
        assert len(standing) == len(broken)


def line(event: Event, **data: Any) -> str:
    """An event as a structured CloudEvent."""
    fields = {"specversion": "1.0", "id": event.id, "source": event.source, "type": event.type}
    fields |= {"subject": event.subject, "time": rfc3339(event.time)}
    return json.dumps({**fields, "data": {"attributes": event.attributes, **data}})


@pytest.fixture
def policy_file(tmp_path: Path) -> Path:
    path = tmp_path / "policies.yaml"
    path.write_text(f"{CALENDARS}policies:\n  {POLICY}\n")
    return path


@pytest.fixture
def events_file(tmp_path: Path) -> Path:
    path = tmp_path / "events.jsonl"
    story = history("08:00 created\n09:30 resolved")
    arrived = [rfc3339(at("08:00")), rfc3339(at("11:00"))]
    path.write_text("\n".join(line(event, arrived_at=time) for event, time in zip(story, arrived, strict=True)))
    return path


def run(policies: Path, events: Path, *arguments: str, until: str = "2026-01-05T12:00:00Z") -> Result:
    words = ("backtest", "--policies", str(policies), "--events", str(events), "--until", until, *arguments)
    return CliRunner().invoke(command_line(words), words)


class TestCommand:
    def test_shows_one_object_a_clock(self, policy_file: Path, events_file: Path) -> None:
        result = run(policy_file, events_file)
        assert result.exit_code == 0
        assert [json.loads(row) for row in result.stdout.splitlines()] == [
            {
                "item": "default/ticket/1",
                "metric": "resolution",
                "cycle": 1,
                "policy": "p",
                "state": "met",
                "started_at": "2026-01-05T08:00:00Z",
                "due_at": "2026-01-05T10:00:00Z",
                "stopped_at": "2026-01-05T09:30:00Z",
                "breached_at": None,
                "target_s": 7200,
                "elapsed_s": 5400,
                "paused_s": 0,
            }
        ]

    def test_reads_gzip(self, policy_file: Path, events_file: Path) -> None:
        zipped = events_file.with_suffix(".gz")
        zipped.write_bytes(gzip.compress(events_file.read_bytes()))
        assert run(policy_file, zipped).stdout == run(policy_file, events_file).stdout

    def test_shows_a_table_and_csv(self, policy_file: Path, events_file: Path) -> None:
        table = run(policy_file, events_file, "--format", "table").stdout.splitlines()
        assert table[0].split()[:3] == ["item", "metric", "cycle"]
        assert table[1].split()[:5] == ["default/ticket/1", "resolution", "1", "p", "met"]
        (row,) = csv.DictReader(io.StringIO(run(policy_file, events_file, "--format", "csv").stdout))
        assert (row["item"], row["breached_at"], row["elapsed_s"]) == ("default/ticket/1", "", "5400")

    def test_csv_is_harmless_in_a_spreadsheet(self, policy_file: Path, events_file: Path) -> None:
        events_file.write_text(
            line(history("08:00 created")[0]).replace('"specversion"', '"tenant": "=1+1", "specversion"')
        )
        assert run(policy_file, events_file, "--format", "csv").stdout.splitlines()[1].startswith("'=1+1/ticket/1")

    def test_with_arrivals_it_tells_what_was_taken_back(
        self, policy_file: Path, events_file: Path, tmp_path: Path
    ) -> None:
        outputs = tmp_path / "outputs.jsonl"
        result = run(policy_file, events_file, "--arrival", "data.arrived_at", "--outputs", str(outputs))
        assert result.stderr == "1 warnings, 1 breaches, 0 stopped late, 0 cancelled, 1 retractions\n"
        assert json.loads(result.stdout)["state"] == "met"
        published = [json.loads(row) for row in outputs.read_text().splitlines()]
        assert [each["type"] for each in published][1:] == ["sla.clock.breached.v1", "sla.breach.retracted.v1"]
        assert published[1]["data"]["breach_id"] == published[2]["data"]["breach_id"]
        assert [each["data"]["sequence"] for each in published] == [1, 2, 3]

    def test_without_arrivals_each_event_arrives_at_its_own_time(
        self, policy_file: Path, events_file: Path, tmp_path: Path
    ) -> None:
        events_file.write_text("\n".join(reversed(events_file.read_text().splitlines())))
        result = run(policy_file, events_file, "--outputs", str(tmp_path / "outputs.jsonl"))
        assert result.stderr == "1 warnings, 0 breaches, 0 stopped late, 0 cancelled, 0 retractions\n"

    def test_what_has_not_arrived_by_the_end_is_not_known(self, policy_file: Path, events_file: Path) -> None:
        result = run(policy_file, events_file, "--arrival", "data.arrived_at", until="2026-01-05T10:30:00Z")
        assert json.loads(result.stdout)["state"] == "breached"

    @pytest.mark.parametrize(
        ("text", "place", "expected"),
        [
            # no JSON
            ("{", "1", "Input data was truncated"),
            # no event of ours
            ('{"specversion":"1.0"}', "1", "missing required field `id`"),
            # a time without an offset
            (line(history("08:00 created")[0]).replace("Z", ""), "1: time", "timezone"),
            # a type that does not exist, on the second line
            ("\n" + line(history("08:00 created")[0]).replace("created", "burnt"), "2: type", "ticket.burnt"),
        ],
    )
    def test_names_what_is_wrong_in_the_events(
        self, policy_file: Path, events_file: Path, text: str, place: str, expected: str
    ) -> None:
        events_file.write_text(text)
        result = run(policy_file, events_file)
        assert f"{events_file}:{place}" in str(result.exception)
        assert expected in str(result.exception)

    @pytest.mark.parametrize("value", ["{}", '{"arrived_at": 3}', '{"arrived_at": "noon"}'])
    def test_names_an_arrival_that_is_no_time(self, policy_file: Path, events_file: Path, value: str) -> None:
        events_file.write_text(line(history("08:00 created")[0]).replace('{"attributes": {}}', value))
        result = run(policy_file, events_file, "--arrival", "data.arrived_at")
        assert f"{events_file}:1: data.arrived_at: expected a time like 2026-01-05T08:00:00Z" in str(result.exception)

    @pytest.mark.parametrize("until", ["soon", "2026-01-05T12:00:00"])
    def test_refuses_an_end_that_is_no_time(self, policy_file: Path, events_file: Path, until: str) -> None:
        result = run(policy_file, events_file, until=until)
        assert result.exit_code == 2
        assert "expected a time like 2026-01-05T08:00:00Z" in result.stderr

    def test_says_where_outputs_cannot_be_written(self, policy_file: Path, events_file: Path, tmp_path: Path) -> None:
        result = run(policy_file, events_file, "--outputs", str(tmp_path / "no" / "such"))
        assert "cannot be written" in str(result.exception)
