"""The names that systems have for statuses, and what they mean here."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from typer.testing import CliRunner

from services.__main__ import command_line
from services.ingest.settings import Settings
from services.ingest.status_file import built_in, extended
from services.ingest.statuses import CATEGORIES, NO_STATUSES, StatusTable
from shared.configuration import load
from shared.errors import BadDocument, Refused
from tests.factories import ticket_event

OWN = """
systems:
  acme-desk:
    sources: ["/acme/desk", "/acme/*/desk"]
    statuses: {Waiting: pending, "17": resolved}
  zendesk:
    sources: ["/support"]
    statuses: {with the vendor: on_hold, solved: closed}
"""


def mapped(table: StatusTable, source: str, status: Any) -> dict[str, Any]:
    """The attributes after mapping."""
    return table.mapped(ticket_event(source=source, attributes={"status": status, "group": "g"})).attributes


def problems(text: str) -> list[str]:
    """What is wrong with a user's file, each with its place."""
    with pytest.raises(BadDocument) as caught:
        extended(text, "own.yaml")
    return [str(problem) for problem in caught.value.problems]


class TestMapping:
    @pytest.mark.parametrize(
        ("source", "status", "category"),
        [
            ("/zendesk", "solved", "resolved"),
            ("https://acme.zendesk.com", "SOLVED", "resolved"),  # as its webhooks write it
            ("/desk/Jira/1", " Waiting for customer ", "pending"),
            ("/freshdesk", 4, "resolved"),  # an id, as a number or as text
            ("/freshdesk", "4", "resolved"),
            ("/glpi", 5, "resolved"),
            ("/zammad", "pending close", "pending"),
            ("/zammad", "merged", "merged"),
            ("/chatwoot", "snoozed", "on_hold"),
            ("/twilio", "wrapping", "open"),
            ("/dixa", "abandoned", "closed"),
        ],
    )
    def test_a_name_becomes_its_category_and_stays_beside_it(self, source: str, status: Any, category: str) -> None:
        assert mapped(built_in(), source, status) == {"status": category, "source_status": status, "group": "g"}

    @pytest.mark.parametrize("status", sorted(CATEGORIES))
    def test_a_category_means_itself(self, status: str) -> None:
        assert mapped(built_in(), "/zendesk", status)["status"] == status
        assert mapped(built_in(), "/unknown", status) == {"status": status, "group": "g"}

    @pytest.mark.parametrize("status", ["strange", "", None, True, 99, 1.5, ["open"], {"a": 1}])
    def test_what_the_table_does_not_have_passes_through(self, status: Any) -> None:
        assert mapped(built_in(), "/zendesk", status) == {"status": status, "source_status": status, "group": "g"}
        assert mapped(built_in(), "/unknown", status) == {"status": status, "group": "g"}

    def test_an_event_without_a_status_stays_as_it_is(self) -> None:
        event = ticket_event(source="/zendesk", attributes={"group": "g"})
        assert built_in().mapped(event) is event

    def test_an_event_that_was_mapped_stays_as_it_is(self) -> None:
        event = ticket_event(source="/zendesk", attributes={"status": "solved", "source_status": "Solved"})
        assert built_in().mapped(event) is event

    @given(st.sampled_from(["/zendesk", "/zammad", "/x"]), st.sampled_from(["solved", "merged", "open", "x", 5, None]))
    def test_mapping_twice_is_as_good_as_once(self, source: str, status: Any) -> None:
        once = built_in().mapped(ticket_event(source=source, attributes={"status": status}))
        assert built_in().mapped(once) == once

    def test_a_table_of_nothing_maps_nothing(self) -> None:
        assert mapped(NO_STATUSES, "/zendesk", "solved") == {"status": "solved", "group": "g"}

    @pytest.mark.parametrize(
        ("source", "status", "system"),
        [
            ("/zendesk", "strange", "zendesk"),
            ("/unknown", "solved", "other"),
            ("/unknown", 7, "other"),
            ("/zendesk", "solved", None),  # mapped
            ("/unknown", "open", None),  # a category
            ("/unknown", None, None),  # removes the status
        ],
    )
    def test_what_is_not_mapped_is_known_by_its_system(self, source: str, status: Any, system: str | None) -> None:
        table = built_in()
        event = table.mapped(ticket_event(source=source, attributes={"status": status}))
        assert table.unmapped(event.source, event.attributes) == system

    def test_very_many_sources_are_no_harm(self) -> None:
        table = built_in()
        for number in range(20_005):
            assert mapped(table, f"/zendesk/{number}", "solved")["status"] == "resolved"

    def test_the_rest_of_the_event_is_the_same(self) -> None:
        event = ticket_event(source="/zendesk", attributes={"status": "solved"})
        assert replace(built_in().mapped(event), attributes=event.attributes) == event


class TestTheUsersFile:
    @pytest.mark.parametrize(
        ("source", "status", "category"),
        [
            ("/acme/desk", "waiting", "pending"),
            ("/ACME/eu/desk", 17, "resolved"),
            ("/acme/desk/eu", "waiting", "waiting"),  # a pattern is for the whole source
            ("/support", "with the vendor", "on_hold"),  # one more source of a system that is built in, one more name
            ("/support", "hold", "on_hold"),  # whose names stay
            ("/zendesk", "with the vendor", "on_hold"),
            ("/zendesk", "solved", "closed"),  # unless the user says otherwise
            ("/zammad", "pending close", "pending"),  # other systems stay
        ],
    )
    def test_it_adds_to_what_is_built_in(self, source: str, status: Any, category: str) -> None:
        assert mapped(extended(OWN, "own.yaml"), source, status)["status"] == category

    def test_a_name_that_one_system_of_a_source_lacks_another_may_have(self) -> None:
        text = 'systems: {all: {sources: ["*"], statuses: {done: resolved, solved: closed}}}'
        table = extended(text, "own.yaml")
        assert mapped(table, "/zendesk", "hold")["status"] == "on_hold"
        assert mapped(table, "/zendesk", "solved")["status"] == "closed"  # what the user says comes first
        assert mapped(table, "/anything", "done")["status"] == "resolved"

    def test_every_mistake_is_named_with_its_place(self) -> None:
        text = """
systems:
  zendesk:
    statuses:
      solved: finished
  desk:
    source: ["/desk"]
    statuses: {pending: open}
  other:
    sources: ["/other"]
    statuses: {Done: closed, done: resolved}
"""
        assert problems(text) == [
            "own.yaml:5: systems.zendesk.statuses.solved: expected 'open', 'pending', 'on_hold', 'resolved', "
            "'closed', 'spam' or 'merged'",
            "own.yaml:8: systems.desk.statuses: `pending` is a category itself, so it cannot mean open",
            "own.yaml:7: systems.desk.source: is not known here",
            "own.yaml:11: systems.other.statuses: each name once, whatever its case: done",
        ]

    def test_a_system_of_the_users_own_needs_sources(self) -> None:
        assert problems("systems:\n  zendesk: {}\n  desk: {statuses: {done: closed}}") == [
            "own.yaml:3: systems.desk: is no system that is built in, so it needs `sources`"
        ]

    @pytest.mark.parametrize("text", ["", "[]", "systems: []", "systems: {a: 1}", "a: b: c"])
    def test_what_is_no_such_file_is_refused(self, text: str) -> None:
        assert problems(text)


class TestWhereItIsNamed:
    def test_ingest_reads_it_at_the_start(self, tmp_path: Path) -> None:
        path = tmp_path / "own.yaml"
        path.write_text(OWN)
        settings = load(Settings, {"KAFKA_BOOTSTRAP": "localhost:9092", "STATUSES": str(path)})
        assert mapped(settings.status_table(), "/acme/desk", "waiting")["status"] == "pending"

    def test_mistakes_in_it_are_told_at_the_start(self, tmp_path: Path) -> None:
        path = tmp_path / "own.yaml"
        path.write_text("systems: {desk: {}}")
        with pytest.raises(Refused, match=r"STATUSES: .*own\.yaml:1: systems\.desk: is no system"):
            load(Settings, {"KAFKA_BOOTSTRAP": "localhost:9092", "STATUSES": str(path)})

    def test_a_file_that_is_not_there_is_told_too(self, tmp_path: Path) -> None:
        with pytest.raises(Refused, match=r"STATUSES: .*cannot be read"):
            load(Settings, {"KAFKA_BOOTSTRAP": "localhost:9092", "STATUSES": str(tmp_path / "none.yaml")})

    @pytest.mark.parametrize(("statuses", "state"), [([], "running"), (["--statuses", "own.yaml"], "met")])
    @pytest.mark.parametrize("arrival", [[], ["--arrival", "time"]])
    def test_a_backtest_maps_as_ingest_does(
        self, statuses: list[str], state: str, arrival: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        Path("own.yaml").write_text('systems: {desk: {sources: ["/desk"], statuses: {finished: closed}}}')
        Path("policies.yaml").write_text(
            'calendars: {always: {time_zone: UTC, hours: {mon-sun: ["00:00-24:00"]}}}\n'
            "policies: [{name: p, applies_to: {}, calendar: always, targets: {resolution: 8h}}]"
        )
        lines = [
            {"specversion": "1.0", "id": at, "source": "/desk", "type": "ticket.snapshot", "subject": "1"}
            | {"time": f"2026-01-05T{at}:00:00Z", "data": {"attributes": {"status": status}}}
            for at, status in (("08", "open"), ("09", "finished"))
        ]
        Path("events.jsonl").write_text("\n".join(map(json.dumps, lines)))
        files = ["--policies", "policies.yaml", "--events", "events.jsonl", "--until", "2026-01-05T10:00:00Z"]
        words = ["backtest", *files, *statuses, *arrival]
        done = CliRunner().invoke(command_line(words), words)
        assert done.exit_code == 0, done.output
        assert json.loads(done.stdout.splitlines()[0])["state"] == state
