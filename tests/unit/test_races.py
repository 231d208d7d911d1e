"""The rules against races are where `tests/faults/races.yaml` says, and so are their tests."""

from __future__ import annotations

import ast

import pytest

from tests.documentation import ROOT
from tests.faults.races import RACES, Rule

RULES = [rule for race in RACES for rule in race.rules]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.says)
def test_a_rule_can_be_taken_out(rule: Rule) -> None:
    text = (ROOT / rule.module).read_text()
    without = rule.taken_out(text)
    assert without != text
    ast.parse(without)  # else a test would fail for want of sense, not of the rule


@pytest.mark.parametrize("test", dict.fromkeys(test for rule in RULES for test in rule.fails))
def test_a_test_that_is_named_for_a_rule_exists(test: str) -> None:
    file, *names = test.split("::")
    tree: ast.AST = ast.parse((ROOT / file).read_text())
    for name in names:
        tree = next(node for node in ast.walk(tree) if getattr(node, "name", None) == name)
