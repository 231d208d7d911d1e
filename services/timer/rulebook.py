"""The versions of the policies over time."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property

from services.timer.policy_set import PolicySet
from shared.events import Instant


@dataclass(frozen=True)
class Rulebook:
    """The versions of the policies over time: which one a clock that starts at an instant takes."""

    versions: tuple[tuple[Instant, PolicySet], ...]  # (effective from, policies), the earliest first; at least one
    exclusions_revision: str = ""  # names the exclusions that hold: what was folded under others is folded again

    def at(self, instant: Instant) -> PolicySet:
        """The version in force at *instant*; before the first version, the first."""
        if len(self.versions) == 1:  # the fold asks for every cycle that starts, and most files never change
            return self.versions[0][1]
        place = bisect_right(self.versions, instant, key=lambda version: version[0])
        return self.versions[max(place - 1, 0)][1]

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

    def knows(self, version: str) -> bool:
        """Whether there is a version with this hash."""
        return any(policies.version == version for _, policies in self.versions)

    def adding(self, effective_from: Instant, policies: PolicySet) -> Rulebook:
        """This rulebook with one more version; of two from the same instant the one added last is in force."""
        versions = sorted((*self.versions, (effective_from, policies)), key=lambda version: version[0])
        return replace(self, versions=tuple(versions))
