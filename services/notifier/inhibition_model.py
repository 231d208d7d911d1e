"""Inhibition as `notify.yaml` describes it. PURE."""

from __future__ import annotations

from pydantic import Field

from services.notifier.endpoints.values import Strict
from services.notifier.inhibition import Rule
from services.notifier.route_model import Asked


class InhibitModel(Strict):
    """What mutes what, and in which fields the two are equal."""

    name: str | None = Field(None, min_length=1)
    source: Asked
    target: Asked
    equal: tuple[str, ...] = ()

    def rule(self, at: int) -> Rule:
        """It as a rule; *at* is its place in the file."""
        return Rule(self.name or f"number {at + 1}", self.source.conditions, self.target.conditions, self.equal)
