"""What some expressions of `when` mean, each written out in Python beside its text."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

Attributes = Mapping[str, Any]

# Compared with their types; what needs an attribute that is absent, or of another type, does not hold.
EXPRESSIONS: Final[Mapping[str, Callable[[Attributes], bool]]] = {
    'item.priority == "urgent"': lambda item: item.get("priority") == "urgent",
    'has(item.customer) && item.customer in ["acme", "bolt"]': lambda item: item.get("customer") in ("acme", "bolt"),
    "!has(item.assignee)": lambda item: "assignee" not in item,
    'kind != "call"': lambda item: item["kind"] != "call",
    "has(item.vip) && item.vip == true": lambda item: item.get("vip") is True,
    'item.group == "g1" || item.group == "g2"': lambda item: item.get("group") in ("g1", "g2"),
    'item.status != "open"': lambda item: item.get("status", "open") != "open",
    'item.priority == "urgent" || item.priority == "low"': lambda item: item.get("priority") in ("urgent", "low"),
}


def holds(expression: str, attributes: Attributes) -> bool:
    """Whether one of these expressions holds for an item."""
    return EXPRESSIONS[expression](attributes)
