"""Exclusions: spans of time in which the clocks of matching items stand still, whatever they promise.

They are no part of a promise: those of the newest files hold for every clock, so that one that is added after the fact
holds for what has happened too.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from hashlib import sha256
from typing import Any, Final

from services.timer.business_hours import BusinessHours
from services.timer.conditions import Conditions, matches
from services.timer.expression import Expression
from services.timer.net_hours import Closure, Hours, NetHours
from services.timer.reading import Reading
from shared.events import Instant

_MEMO_SIZE: Final = 32_768  # combinations of values; a flood of others only empties the memo


@dataclass(frozen=True, slots=True)
class Exclusion:
    """A span of time that does not count for the items that match, as of each instant in it."""

    name: str
    since: Instant
    until: Instant  # the first instant after it
    reason: str
    applies_to: Conditions = field(default_factory=dict)  # empty covers all items
    when: Expression | None = None  # must hold beside it

    def covers(self, kind: str, attributes: Mapping[str, Any]) -> bool:
        """Whether an item of this kind with these attributes is covered."""
        if not matches(self.applies_to, {**attributes, "kind": kind}):
            return False
        return self.when is None or self.when.holds(kind, attributes)


class Exclusions:
    """All exclusions of the files, asked for an item as of an instant."""

    def __init__(self, exclusions: Iterable[Exclusion] = ()) -> None:
        self.all = tuple(sorted(exclusions, key=lambda each: (each.since, each.until, each.name)))
        self.revision = _revision(self.all)  # the same for the same exclusions; empty without any
        self._reading = Reading(
            (each.applies_to for each in self.all),
            (each.when for each in self.all),
        )
        self._reads = self._reading.names
        self._closures: dict[tuple[Any, ...], tuple[Closure, ...]] = {}
        self._net: dict[tuple[Closure, ...], dict[BusinessHours, NetHours]] = {}

    def __bool__(self) -> bool:
        return bool(self.all)

    @property
    def reads(self) -> frozenset[str] | None:
        """The attributes that decide which of them cover an item; None: any may."""
        return self._reads

    def concern(self, attributes: frozenset[str]) -> bool:
        """Whether a change of these attributes can change which of them cover an item."""
        return bool(attributes) if self._reads is None else not self._reads.isdisjoint(attributes)

    def closures(self, kind: str, attributes: Mapping[str, Any]) -> tuple[Closure, ...]:
        """The spans that do not count for an item, apart from each other, the earliest first.

        Where several cover an instant, it is told to be the one's that began first. Memoised on what is read.
        """
        key = self._reading.key(attributes, kind)
        found = self._closures.get(key)
        if found is None:
            if len(self._closures) >= _MEMO_SIZE:
                self._closures.clear()
            found = self._closures[key] = _apart(each for each in self.all if each.covers(kind, attributes))
        return found

    def net(self, gross: BusinessHours, kind: str, attributes: Mapping[str, Any]) -> Hours:
        """The hours that count for an item; one object for the same hours and closures, *gross* itself without any."""
        closures = self.closures(kind, attributes) if self.all else ()
        if not closures:
            return gross
        known = self._net.setdefault(closures, {})
        net = known.get(gross)
        if net is None:
            net = known[gross] = NetHours(gross, closures)
        return net


def _apart(exclusions: Iterable[Exclusion]) -> tuple[Closure, ...]:
    found: list[Closure] = []
    for each in exclusions:
        start = max(each.since, found[-1].end) if found else each.since
        if start < each.until:
            found.append(Closure(start, each.until, each.name, each.reason))
    return tuple(found)


def _revision(exclusions: tuple[Exclusion, ...]) -> str:
    if not exclusions:
        return ""
    content = [asdict(each) for each in exclusions]
    return sha256(json.dumps(content, sort_keys=True, default=sorted).encode()).hexdigest()[:16]


NO_EXCLUSIONS: Final = Exclusions()
