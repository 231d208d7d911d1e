"""What in checked exclusions cannot be meant."""

from __future__ import annotations

from collections.abc import Iterator

from services.timer.conditions import Conditions
from services.timer.policy_set import PolicySet


def uncovered(policies: PolicySet) -> Iterator[tuple[str, str]]:
    """(exclusion, what is wrong with it): those that cover no item that some policy covers."""
    for each in policies.exclusions.all:
        if all(_apart(each.applies_to, policy.applies_to) for policy in policies.policies):
            yield each.name, "stops no clock: no policy covers an item that it applies to"


def unknown(policies: PolicySet, seen: frozenset[str]) -> Iterator[tuple[str, str]]:
    """(exclusion, what is wrong with it): those that name an attribute that is not among those that were *seen*."""
    for each in policies.exclusions.all:
        read = (each.when and each.when.reads) or frozenset()
        for name in sorted((each.applies_to.keys() - {"kind"} | read) - seen):
            yield each.name, f"no event has the attribute {name!r}"


def _apart(one: Conditions, other: Conditions) -> bool:
    # Whether no item can meet both; an attribute that is a list can have both of two values.
    shared = (one.keys() & other.keys()) - {"tags"}
    return any(one[name].isdisjoint(other[name]) for name in shared)
