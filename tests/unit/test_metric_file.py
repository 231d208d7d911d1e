"""Metrics in files: the built-in ones, what users may write, and how mistakes are named."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from typer.testing import CliRunner

from services.__main__ import command_line
from services.timer import metric_file
from services.timer.effects import Happenings
from services.timer.lease_store import StoredVersion
from services.timer.metric import Change, Metric, Trigger
from services.timer.metric_file import built_in, built_in_text, metrics_in
from services.timer.occurrences import Occurrence
from services.timer.policies import Policies
from services.timer.policy_file import json_schema, load
from services.timer.policy_set import PolicySet
from services.timer.policy_versions import PolicyVersions
from shared.errors import BadDocument
from shared.events import Instant
from tests.documentation import DOCS, examples
from tests.fakes_timer import Time

TEXT = """calendars:
  c: {time_zone: UTC, hours: {mon-sun: '00:00-24:00'}}
policies:
- {name: p, applies_to: {}, calendar: c, targets: {%s: 1h}}
"""


def loaded(definitions: str, target: str = "resolution") -> PolicySet:
    return load({"f": TEXT % target + f"metrics:\n{definitions}"})


def mistakes(definitions: str, target: str = "resolution", **others: str) -> list[str]:
    with pytest.raises(BadDocument) as caught:
        load({"f": TEXT % target + f"metrics:\n{definitions}", **others})
    return [str(problem) for problem in caught.value.problems]


class TestBuiltIn:
    def test_there_are_eight(self) -> None:
        assert " ".join(built_in()) == (
            "first_response next_response periodic_update resolution pickup answer assignment handling"
        )

    def test_each_can_start_and_be_met_in_every_kind_in_which_it_can_start_at_all_but_replies_to_calls(self) -> None:
        def can(metric: Metric, kind: str) -> bool:
            return kind in metric.kinds and any(each.happens_in(kind) for each in metric.starts)

        kinds = {name: [kind for kind in metric.kinds if can(metric, kind)] for name, metric in built_in().items()}
        assert kinds["pickup"] == ["chat"]
        assert kinds["answer"] == ["call"]
        assert kinds["handling"] == ["chat", "call"]
        assert kinds["next_response"] == ["ticket", "chat"]
        unmet = {
            (name, kind)
            for name, starting in kinds.items()
            for kind in starting
            if not any(each.happens_in(kind) for each in built_in()[name].stops)
        }
        assert unmet == {("first_response", "call")}

    def test_the_command_shows_the_file(self) -> None:
        result = CliRunner().invoke(command_line(["metrics"]), ["metrics"])
        assert (result.exit_code, result.stdout) == (0, built_in_text())

    def test_what_is_copied_into_a_policy_file_means_the_same(self) -> None:
        copied = load({"f": TEXT % "resolution", "metrics.yaml": built_in_text()})
        assert copied.metrics == built_in()
        assert copied.version == load({"f": TEXT % "resolution"}).version


class TestOwn:
    def test_the_examples_of_the_docs_are_accepted(self) -> None:
        (text,) = examples(DOCS / "policies.md", "yaml", "metrics")
        found = load({"f": TEXT % "vendor_time", "docs": text}).metrics
        assert [*found][len(built_in()) :] == ["first_reply", "vendor_time", "requester_wait", "talk_time"]
        assert found["next_response"] != built_in()["next_response"]

    def test_a_built_in_one_gives_way_and_keeps_its_place(self) -> None:
        found = loaded("  first_response: {starts: created, stops: assigned}").metrics
        assert [*found] == [*built_in()]
        assert found["first_response"] == Metric("first_response", (Trigger("created"),), (Change("assigned"),))

    def test_a_target_can_name_one_of_another_file(self) -> None:
        other = "metrics: {own: {starts: created, stops: over}}"
        assert load({"f": TEXT % "own", "other": other}).terms("ticket", {}, 0)["own"][0].metric == "own"

    def test_every_definition_is_part_of_the_version(self) -> None:
        definitions = (
            "  own: {starts: created, stops: over}",
            "  own: {starts: created, stops: over, repeats: true}",
            "  own: {starts: created, stops: [over, {becomes: {group: a}}]}",
            "  own: {starts: created, stops: [over, {becomes: {group: [a, b]}}]}",
            "  own: {starts: created, stops: [over, {leaves: {group: [a, b]}}]}",
            "  own: {starts: created, stops: over, pauses: never}",
            "  own: {starts: created, stops: over, pauses: {group: a}}",
            "  own: {starts: {occurrence: created, counts_when: {group: a}}, stops: over}",
            "  {}",
        )
        assert len({loaded(text).version for text in definitions}) == len(definitions)
        with_description = "  own: {description: for people, starts: created, stops: over}"
        assert loaded(with_description).version == loaded(definitions[0]).version

    def test_a_trigger_by_the_type_of_an_event_counts_what_whom_it_names_said_in_public(self) -> None:
        metric = loaded(
            "  own: {starts: {event: [ticket.customer_replied, ticket.updated]}, stops: {event: ticket.agent_replied,"
            " public: any, author: bot}}"
        ).metrics["own"]
        assert metric.starts == (
            Trigger("ticket.customer_replied", frozenset({"customer"}), public=True),
            Trigger("ticket.updated", public=True),
        )
        assert metric.stops == (Trigger("ticket.agent_replied", frozenset({"bot"}), public=None),)

    def test_the_schema_for_editors_knows_them(self) -> None:
        definitions = json_schema()["$defs"]
        assert {"starts", "stops"} == set(definitions["MetricModel"]["required"])
        assert "occurrence" in definitions["TriggerModel"]["properties"]


@pytest.mark.parametrize(
    ("definition", "expected"),
    [
        ("{stops: over}", "metrics.own.starts: is required"),
        ("{starts: created}", "metrics.own.stops: is required"),
        ("{starts: [], stops: over}", "metrics.own.starts: expected at least one entry"),
        ("{starts: created, stops: []}", "metrics.own.stops: expected at least one entry"),
        ("{starts: created, stops: replied}", "metrics.own.stops: expected one of created, queued, agent_reply, "),
        ("{starts: chat.accepted, stops: over}", "metrics.own.starts: expected one of created, queued, agent_reply, "),
        ("{starts: created, stops: [over, {occurrence: x}]}", "metrics.own.stops[1].occurrence: expected one of"),
        ("{starts: {event: ticket.made}, stops: over}", "metrics.own.starts.event: expected types of events (call."),
        ("{starts: created, stops: {event: [chat.ended, x]}}", "metrics.own.stops.event[1]: expected types of events"),
        (
            "{starts: created, stops: {}}",
            "metrics.own.stops: expected exactly one of occurrence, event, becomes, leaves",
        ),
        (
            "{starts: created, stops: {occurrence: over, event: chat.ended}}",
            "metrics.own.stops: expected exactly one of occurrence, event, becomes, leaves",
        ),
        ("{starts: created, stops: {becomes: {}}}", "metrics.own.stops.becomes: expected at least one attribute"),
        ("{starts: created, stops: {leaves: {kind: chat}}}", "metrics.own.stops.leaves: expected at least one attrib"),
        ("{starts: created, stops: {becomes: {group: []}}}", "stops.becomes.group: expected at least one entry"),
        ("{starts: created, stops: {occurrence: over, author: bot}}", "stops: expected `author` and `public` beside"),
        ("{starts: created, stops: {becomes: {group: a}, public: any}}", "stops: expected `author` and `public` besi"),
        ("{starts: created, stops: {event: chat.ended, author: boss}}", "stops.author: expected 'agent', 'customer',"),
        ("{starts: created, stops: {event: chat.ended, when: {x: y}}}", "metrics.own.stops.when: is not known here"),
        ("{starts: created, stops: 5}", "metrics.own.stops: expected a mapping, got 5"),
        ("{starts: over, stops: agent_reply}", "metrics.own.starts: expected what happens while the item is open; wi"),
        ("{starts: final, stops: agent_reply}", "metrics.own.starts: expected what happens while the item is open; w"),
        ("{starts: {event: ticket.closed}, stops: over}", "starts: expected what happens while the item is open; with"),
        ("{starts: created, stops: over, cancels: over}", "metrics.own: expected each thing once among stops, abandon"),
        (
            "{starts: created, stops: over, goes_on: always}",
            "metrics.own: expected no `over` among stops, abandons and",
        ),
        ("{starts: created, stops: over, goes_on: x}", "metrics.own.goes_on: expected 'never', 'required' or 'always'"),
        ("{starts: created, stops: over, kinds: mail}", "metrics.own.kinds: expected 'ticket', 'chat' or 'call'"),
        (
            "{starts: created, stops: over, pauses: often}",
            "metrics.own.pauses: expected policy, never, or attributes to values, got 'often'",
        ),
        ("{starts: created, stops: over, repeat: true}", "metrics.own.repeat: is not known here"),
        ("5", "metrics.own: expected a mapping, got 5"),
    ],
)
def test_a_mistake_in_a_metric_is_named(definition: str, expected: str) -> None:
    found = mistakes(f"  own: {definition}")
    assert found[0].startswith("f:6: ")
    assert expected in found[0]


@pytest.mark.parametrize("name", ["Own", "own-time", "2nd", "own time", "x" * 64])
def test_a_name_of_other_letters_is_a_mistake(name: str) -> None:
    (problem,) = mistakes(f"  {name}: {{starts: created, stops: over}}")
    assert problem.startswith(f"f:6: metrics.{name}: ")


def test_a_metric_is_defined_once_in_all_files() -> None:
    assert mistakes("  own: {starts: created, stops: over}", g="metrics: {own: {starts: created, stops: over}}") == [
        "g:1: metrics.own: is already defined in f"
    ]


def test_a_target_of_a_metric_that_does_not_exist_lists_those_that_do() -> None:
    assert mistakes("  own: {starts: created, stops: over}", "ours") == [
        "f:4: policies[0].targets.ours: expected the name of a metric (first_response, next_response, periodic_update, "
        "resolution, pickup, answer, assignment, handling, own), got 'ours'"
    ]


def test_all_mistakes_are_told_at_once() -> None:
    found = mistakes("  own: {starts: x, stops: y}\n  other: {starts: created, stops: over, repeats: perhaps}", "ours")
    assert [problem.partition(" ")[0] for problem in found] == ["f:4:", "f:6:", "f:6:", "f:7:"]


class TestWithAVersion:
    """What a version was computed with is kept with it."""

    class Store:
        """The versions in the database."""

        def __init__(self) -> None:
            self.stored: list[StoredVersion] = []

        async def register_version(self, version: StoredVersion) -> None:
            """Store a version."""
            self.stored.append(version)

        async def versions(self, known: Sequence[Instant]) -> list[StoredVersion]:
            """The versions that are not known yet."""
            return [each for each in self.stored if each.effective_from not in known]

    async def test_the_built_in_metrics_are_registered(self, tmp_path: Path) -> None:
        (tmp_path / "policies.yaml").write_text(TEXT % "resolution")
        store = self.Store()
        await Policies(store, tmp_path, now=Time()).register()
        assert store.stored[0].files[metric_file.FILE] == built_in_text()

    async def test_it_keeps_those_of_an_earlier_release(self) -> None:
        store = self.Store()
        earlier = "metrics: {resolution: {starts: created, stops: assigned}, gone: {starts: created, stops: over}}"
        store.stored.append(StoredVersion("v1", 0, {"f": TEXT % "gone", metric_file.FILE: earlier}, None))
        versions = PolicyVersions(store)
        await versions.look()
        assert versions.rulebook().version("v1").metrics == metrics_in(earlier)

    async def test_one_from_before_they_were_kept_has_those_of_now(self) -> None:
        store = self.Store()
        store.stored.append(StoredVersion("v1", 0, {"f": TEXT % "resolution"}, None))
        versions = PolicyVersions(store)
        await versions.look()
        assert versions.rulebook().version("v1").metrics == built_in()


class TestArranged:
    """The triggers of metrics, as the fold asks for them."""

    @staticmethod
    def happenings(*metrics: Metric) -> Happenings:
        return Happenings(metrics)

    @pytest.mark.parametrize("occurrence", ["created", "agent_reply", "customer_message", "over"])
    def test_what_needs_no_look_at_the_event_is_answered_by_one_object(self, occurrence: Occurrence) -> None:
        found = self.happenings(*built_in().values())
        assert found[occurrence, ""] is found[occurrence, ""]
        assert not found[occurrence, "ticket.updated"].uncertain

    def test_no_state_of_the_built_in_metrics_is_watched_but_who_has_the_item(self) -> None:
        assert self.happenings(*built_in().values()).watched == {"assignee"}
