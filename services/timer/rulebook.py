"""The versions of the policies over time."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property

from services.timer.business_hours import BusinessHours
from services.timer.exclusion import Exclusions
from services.timer.policy_set import PolicySet
from shared.events import Instant


@dataclass(frozen=True, eq=False)  # told apart by identity: what is remembered of one is asked for at every event
class Rulebook:
    """The versions of the policies over time: which one a clock that starts at an instant takes."""

    versions: tuple[tuple[Instant, PolicySet], ...]  # (effective from, policies), the earliest first; at least one

    def at(self, instant: Instant) -> PolicySet:
        """The version in force at *instant*; before the first version, the first."""
        if len(self.versions) == 1:  # the fold asks for every cycle that starts, and most files never change
            return self.versions[0][1]
        place = bisect_right(self.versions, instant, key=lambda version: version[0])
        return self.versions[max(place - 1, 0)][1]

    @cached_property
    def exclusions(self) -> Exclusions:
        """Those of the newest version; they hold for every clock, whatever version it is pinned to."""
        return self.versions[-1][1].exclusions

    @cached_property
    def exclusions_revision(self) -> str:
        """Names the exclusions that hold: what was folded under others is folded again."""
        return self.exclusions.revision

    @cached_property
    def calendar_data(self) -> Mapping[str, str]:
        """Version -> the packages that its calendars are computed with."""
        return {policies.version: policies.calendar_data.name for _, policies in self.versions}

    def version(self, version: str) -> PolicySet:
        """The version with this hash.

        Raises:
            KeyError: it is not known to this process.
        """
        for _, policies in self.versions:
            if policies.version == version:
                return policies
        raise KeyError(version)

    def hours(self, version: str, calendar: str) -> BusinessHours:
        """The hours of a version's calendar, with what is excluded from them.

        Raises:
            KeyError: the version is not known, or has no such calendar.
        """
        return self.version(version).calendars[calendar]

    def knows(self, version: str) -> bool:
        """Whether there is a version with this hash."""
        return any(policies.version == version for _, policies in self.versions)

    def adding(self, effective_from: Instant, policies: PolicySet) -> Rulebook:
        """This rulebook with one more version; of two from the same instant the one added last is in force."""
        versions = sorted((*self.versions, (effective_from, policies)), key=lambda version: version[0])
        return replace(self, versions=tuple(versions))
