"""What policy files say about sources: what it means, and every mistake with its place."""

from __future__ import annotations

import jsonschema
import pytest
import yaml

from services.timer.policy_file import json_schema, load
from services.timer.silence import MINUTE, SourceRule
from shared.errors import BadDocument
from shared.events import SECOND

POLICIES = """
calendars: {c: {time_zone: UTC, hours: {mon: '09:00-17:00'}}}
policies: [{name: p, applies_to: {}, calendar: c, targets: {answer: 20s}}]
"""


def rules(text: str) -> tuple[SourceRule, ...]:
    """The rules of a file with these sources."""
    return load({"f": f"{POLICIES}sources: {text}"}).sources


def test_without_a_word_about_sources_there_is_no_rule() -> None:
    assert load({"f": POLICIES}).sources == ()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{/a: 15m}", SourceRule("/a", 15 * MINUTE)),  # in short
        ("{/a: never}", SourceRule("/a", "never")),
        ("{/a: learned}", SourceRule("/a")),
        ("{/a: {}}", SourceRule("/a")),
        ("{'*': {silent_after: 5s, severity: critical}}", SourceRule("*", 5 * SECOND, "critical")),
    ],
)
def test_a_rule_says_how_long_and_how_severe(text: str, expected: SourceRule) -> None:
    assert rules(text) == (expected,)


def test_a_rule_has_the_hours_of_its_calendar_whichever_file_it_stands_in() -> None:
    found = load({"a": "sources: {/a: {calendar: c}}", "f": POLICIES})
    assert [(rule.calendar, rule.hours) for rule in found.sources] == [("c", found.calendars["c"])]


def test_rules_keep_the_order_of_the_files() -> None:
    found = load({"b": "sources: {'*': never}", "a": f"{POLICIES}sources: {{/z: 1h, /y: 1h}}"})
    assert [rule.pattern for rule in found.sources] == ["/z", "/y", "*"]


def test_what_is_said_about_sources_belongs_to_the_version() -> None:
    versions = [load({"f": POLICIES}).version]
    versions += [
        load({"f": f"{POLICIES}sources: {text}"}).version
        for text in ("{/a: 1h}", "{/a: 2h}", "{/a: never}", "{/b: 1h}", "{/a: {severity: low}}", "{/a: {calendar: c}}")
    ]
    assert len(set(versions)) == len(versions)
    assert load({"f": f"{POLICIES}sources: {{/a: 60m}}"}).version == versions[1]
    assert load({"f": f"{POLICIES}sources: {{}}"}).version == versions[0]


def test_the_schema_for_editors_knows_sources() -> None:
    text = "sources: {/a: 15m, /b: {silent_after: never, severity: low, calendar: c}}"
    jsonschema.validate(yaml.safe_load(POLICIES + text), json_schema())


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{/a: 15}", "sources./a: expected a duration like 15m or 2h, `learned` or `never`, got 15"),
        ("{/a: soon}", "sources./a: expected a duration like 15m or 2h, `learned` or `never`, got 'soon'"),
        ("{/a: {silent_after: 4s}}", "sources./a.silent_after: expected at least 5s, got '4s'"),
        ("{/a: {after: 4m}}", "sources./a.after: is not known here"),
        ("{/a: {severity: bad}}", "sources./a.severity: expected 'low', 'medium'"),
        ("{/a: {calendar: d}}", "sources./a.calendar: expected the name of a calendar (c), got 'd'"),
        ("{'': 4m}", "sources.: expected at least one character"),
        ("[/a]", "sources: expected a mapping"),
    ],
)
def test_a_mistake_is_named(text: str, expected: str) -> None:
    with pytest.raises(BadDocument) as caught:
        rules(text)
    (problem,) = caught.value.problems
    assert str(problem).startswith("f:4: ")
    assert expected in str(problem)
