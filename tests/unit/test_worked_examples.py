"""The rules of other help desks as worked examples, and the page that says where Plazo differs on purpose."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from services.timer import backtest
from services.timer.policy_file import load
from services.timer.rulebook import Rulebook
from tests import histories

EXAMPLES: Final[list[dict[str, Any]]] = yaml.safe_load(Path(__file__).with_name("worked_examples.yaml").read_text())
COMPARISON: Final = Path(__file__).resolve().parents[2] / "docs" / "comparison.md"
PRODUCTS: Final = {"Zendesk", "Jira Service Management", "ServiceNow", "Zammad", "Frappe Helpdesk", "GLPI", "Chatwoot"}


def rulebook(example: dict[str, Any]) -> Rulebook:
    """The example's policies, which may name its own calendars and those of `histories`."""
    calendars = example.get("calendars", "")
    policies = example["policies"].strip().replace("\n", "\n  ")
    text = f"{histories.CALENDARS}  {calendars}\npolicies:\n  {policies}\n"
    return Rulebook(((0, load({"policies.yaml": text})),))


@pytest.mark.parametrize("example", EXAMPLES, ids=[each["name"] for each in EXAMPLES])
def test_every_clock_ends_as_worked_out(example: dict[str, Any]) -> None:
    rules, until = rulebook(example), example.get("until", "+28 00:00")
    events = histories.history(example["story"], example.get("kind", "ticket"))
    assert histories.clocks(events, rules, until) == example["clocks"]
    if "told" in example:
        told = backtest.published(events, rules, histories.at(until))
        assert [histories.told(output) for output in told] == example["told"]


def test_every_product_whose_rules_are_known_has_examples() -> None:
    assert {example["product"] for example in EXAMPLES} >= PRODUCTS


def test_names_are_their_own() -> None:
    assert len({example["name"] for example in EXAMPLES}) == len(EXAMPLES)


@pytest.mark.parametrize("example", [each for each in EXAMPLES if "differs" in each], ids=lambda each: each["name"])
def test_every_difference_is_explained(example: dict[str, Any]) -> None:
    assert f"*{example['name']}*" in " ".join(COMPARISON.read_text().split())
