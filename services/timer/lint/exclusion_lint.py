"""What in checked exclusions cannot be meant."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from services.timer.conditions import apart
from services.timer.exclusion import Exclusion
from services.timer.lint.example import Example, Examples
from services.timer.lint.finding import Finding
from services.timer.policy_set import PolicySet


def uncovered(policies: PolicySet, examples: Examples) -> Iterator[Finding]:
    """Exclusions that cover no item that some policy covers."""
    for each in policies.exclusions.all:
        if all(apart(each.applies_to, policy.applies_to) for policy in policies.policies):
            message = "stops no clock: no policy covers an item that it applies to"
            cure = "Name in `applies_to` what the items of some policy have, or remove the exclusion."
            example = examples.first(partial(_left, policies, each), each.applies_to)
            yield Finding("exclusions", each.name, (), message, cure, example)


def _left(policies: PolicySet, exclusion: Exclusion, each: Example) -> bool:
    # Whether it covers an item that no policy covers.
    return exclusion.covers(each.kind, each.attributes) and not policies.terms(each.kind, each.attributes, each.start)
