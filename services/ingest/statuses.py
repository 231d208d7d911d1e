"""What the status names of the systems upstream mean. PURE."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, get_args

from msgspec.structs import replace

from shared.events import Event

Category = Literal["open", "pending", "on_hold", "resolved", "closed", "spam", "merged"]
CATEGORIES: Final = frozenset(get_args(Category))
OTHER: Final = "other"
SOURCES_KNOWN: Final = 10_000  # of so many sources it is remembered to which systems they belong


@dataclass(frozen=True, slots=True)
class System:
    """A system upstream: how the sources of its events are named, and what its status names mean."""

    name: str
    sources: tuple[str, ...]  # patterns, in which `*` stands for any characters
    statuses: Mapping[str, Category]  # by `plain` names


def plain(name: str | float) -> str:
    """A status name as it is compared: without regard to case, space around it, or whether it is a number."""
    return str(name).strip().casefold()


class StatusTable:
    """The systems that are known, those that count first in front."""

    def __init__(self, systems: Sequence[System] = ()) -> None:
        self.systems = tuple(systems)
        self._patterns = [(_pattern(system.sources), system) for system in self.systems]
        self._known: dict[str, tuple[System, ...]] = {}

    def mapped(self, event: Event) -> Event:
        """The event with the category of its status, and the source's own name of it in `source_status`.

        A name that is a category already keeps its meaning, and one that no system has passes through. An event that
        brings a `source_status` was mapped before; so mapping twice is as good as once.
        """
        attributes = event.attributes
        if self.keeps(event.source, attributes):
            return event
        systems, named = self._systems_of(event.source), attributes["status"]
        status = named if _is_category(named) else _meaning(systems, named)
        return replace(event, attributes={**attributes, "status": status, "source_status": named})

    def keeps(self, source: str, attributes: Mapping[str, Any]) -> bool:
        """Whether an event of the source that brings these attributes is as good as mapped."""
        return "status" not in attributes or "source_status" in attributes or not self._systems_of(source)

    def unmapped(self, source: str, attributes: Mapping[str, Any]) -> str | None:
        """The system whose status in the attributes of a mapped event is no category; None without such a status."""
        status = attributes.get("status")
        if status is None or _is_category(status):
            return None
        systems = self._systems_of(source)
        return systems[0].name if systems else OTHER

    def _systems_of(self, source: str) -> tuple[System, ...]:
        known = self._known.get(source)
        if known is None:
            if len(self._known) >= SOURCES_KNOWN:
                self._known.clear()
            known = tuple(system for pattern, system in self._patterns if pattern.fullmatch(source.casefold()))
            self._known[source] = known
        return known


NO_STATUSES: Final = StatusTable()


def _is_category(status: object) -> bool:
    return isinstance(status, str) and status in CATEGORIES


def _meaning(systems: Sequence[System], named: Any) -> Any:
    if isinstance(named, bool) or not isinstance(named, str | int | float):
        return named
    name = plain(named)
    return next((system.statuses[name] for system in systems if name in system.statuses), named)


def _pattern(sources: Sequence[str]) -> re.Pattern[str]:
    ways = (".*".join(map(re.escape, source.casefold().split("*"))) for source in sources)
    return re.compile("|".join(f"(?:{way})" for way in ways), re.DOTALL)
