"""Inhibition: while something is broken, what follows from it is not told. PURE.

A rule names what inhibits (`source`), what is muted meanwhile (`target`), and the fields in which the two are equal. An
open source is known by its key: the rule, and the values of those fields.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Final, NamedTuple, Protocol
from uuid import UUID

import msgspec

from services.notifier.delivery import alert_id
from services.notifier.matching import NOTHING, Conditions, texts, value_of
from shared.breach_records import TYPE_NAMES, BreachRecord, PublishedRecord
from shared.events import Instant

BREACHED: Final = "sla.clock.breached.v1"
ENDS: Final = frozenset({"sla.breach.stopped.v1", "sla.breach.cancelled.v1", "sla.breach.retracted.v1"})


class Source(NamedTuple):
    """An open breach that mutes others."""

    alert: UUID
    since: Instant  # when it was first heard of


Sources = Mapping[str, tuple[Source, ...]]  # by their key


@dataclass(frozen=True, slots=True)
class Rule:
    """While an open breach matches *source*, what matches *target* and is equal to it in *equal* is muted."""

    name: str
    source: Conditions
    target: Conditions
    equal: tuple[str, ...]

    def of_source(self, record: PublishedRecord) -> str | None:
        """The key under which *record* inhibits; None where it does not. Only a breach does."""
        return self._key(record) if record.type == BREACHED and self.source.hold(record) else None

    def of_target(self, record: PublishedRecord) -> str | None:
        """The key by which *record* is muted; None where the rule is not about it."""
        return self._key(record) if self.target.hold(record) else None

    def _key(self, record: PublishedRecord) -> str | None:
        # What neither has is not equal: else all items without a group would be one group.
        values = [sorted(texts(value_of(record, name)) - {NOTHING}) for name in self.equal]
        return msgspec.json.encode((self.name, values)).decode() if all(values) else None


class Inhibiting(Protocol):
    """Whoever holds notices, and must know what is open while it does."""

    @property
    def inhibit(self) -> tuple[Rule, ...]:
        """The rules in use."""

    def knowing(self, sources: Sources) -> AbstractContextManager[None]:
        """For a while, in which nothing is awaited, *sources* are open."""


class Nothing:
    """Inhibits nothing."""

    inhibit: tuple[Rule, ...] = ()

    def knowing(self, sources: Sources) -> AbstractContextManager[None]:  # there are none
        """Nothing changes."""
        return nullcontext()


def muting(rules: tuple[Rule, ...], record: PublishedRecord, sources: Sources, heard_at: Instant | None) -> str | None:
    """Why *record* is muted, for people; None where it is not.

    Args:
        rules: in the order of the file.
        record: what was published. Its own alert does not mute it, and the end of what was heard of before a source
            opened is told all the same.
        sources: what is open, by its key.
        heard_at: when the alert of *record* was first heard of; None of a silent source.
    """
    own, ends = alert_id(record), record.type in ENDS
    for rule in rules:
        for source in sources.get(rule.of_target(record) or "", ()):
            told_before = ends and heard_at is not None and heard_at < source.since
            if source.alert != own and not told_before:
                return f"inhibited by rule {rule.name}" + (f", equal in {', '.join(rule.equal)}" if rule.equal else "")
    return None


def is_warning(record: PublishedRecord) -> bool:
    """Whether *record* tells of what is about to break."""
    return isinstance(record, BreachRecord) and TYPE_NAMES[record.type] == "warning"
