"""Expressions in policies and exclusions: they see `kind`, and the item's attributes as `item`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from shared.expression import Formula, check


@dataclass(frozen=True)
class Expression(Formula):
    """An expression about an item; equal to another one with the same text."""

    def holds(self, kind: str, attributes: Mapping[str, Any]) -> bool:
        """Whether an item matches; where it cannot be evaluated, the item does not."""
        return self.outcome(kind, attributes) is True

    def outcome(self, kind: str, attributes: Mapping[str, Any]) -> bool | str:
        """What it says of an item, or why it cannot be evaluated for it."""
        return self.answer({"kind": kind}, attributes)


def checked(text: object) -> Expression:
    """The expression in *text*, checked as far as that is possible without an item.

    Raises:
        ValueError: *text* is no expression, names what does not exist, or never gives true or false.
    """
    return Expression(check(text, {"kind": "ticket"}))
