"""The rules against races, as `races.yaml` names them, and the text of a module without one of them."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import msgspec


class Swap(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Text that stands once in a module, and what takes its place."""

    text: str
    instead: str


class Rule(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A rule, the code that makes it, and the tests that fail without it."""

    says: str
    module: str
    without: tuple[Swap, ...]
    fails: tuple[str, ...]  # file::name

    def taken_out(self, text: str) -> str:
        """The module's *text* without the rule.

        Raises:
            AssertionError: the code is another by now, and `races.yaml` has to follow.
        """
        for swap in self.without:
            count = text.count(swap.text)
            assert count == 1, f"races.yaml, {self.says!r}: {count} times in {self.module}, once expected:\n{swap.text}"
            text = text.replace(swap.text, swap.instead)
        return text


class Race(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Things that can happen in any order, and the rules by which every order comes out right."""

    race: str
    rules: tuple[Rule, ...]


RACES: Final = msgspec.yaml.decode(Path(__file__).with_name("races.yaml").read_bytes(), type=tuple[Race, ...])
