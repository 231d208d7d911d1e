"""What in checked exclusions cannot be meant."""

from __future__ import annotations

from collections.abc import Iterator

from services.timer.conditions import apart
from services.timer.example import Example, Examples
from services.timer.finding import Finding
from services.timer.policy_set import PolicySet


def uncovered(policies: PolicySet, examples: Examples) -> Iterator[Finding]:
    """Exclusions that cover no item that some policy covers."""
    for each in policies.exclusions.all:
        if all(apart(each.applies_to, policy.applies_to) for policy in policies.policies):

            def left(item: Example, covers=each.covers) -> bool:  # type: ignore[no-untyped-def]  # the exclusion's own
                kind, attributes = item.kind, item.attributes
                return covers(kind, attributes) and not policies.terms(kind, attributes, item.start)

            message = "stops no clock: no policy covers an item that it applies to"
            cure = "Name in `applies_to` what the items of some policy have, or remove the exclusion."
            example = examples.first(left, each.applies_to)
            yield Finding("exclusions", each.name, (), message, cure, example)
