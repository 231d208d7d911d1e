"""Policies of which a breach comes to no escalation, where the routes have escalations. PURE."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import msgspec

from services.notifier.routing import Routes, escalation_of, takers
from services.notifier.sample import BREACH
from services.timer.lint.example import Example, Examples
from services.timer.lint.finding import Finding
from services.timer.policy import Policy
from services.timer.policy_set import PolicySet
from shared.breach_records import BreachRecord


def unescalated(policies: PolicySet, routes: Routes, examples: Examples) -> Iterator[Finding]:
    """The policies of which a breach can come to routes that have no escalation, each with such an item."""
    if not routes.escalations:
        return
    for policy in policies.policies:
        for metric in policy.targets:
            example = examples.covered(partial(_is_left, policy, metric, routes), policy)
            if example is not None:
                names = " and ".join(each.name for each in takers(routes.routes, _breach(policy, metric, example)))
                message = f"a breach of {metric} comes to route {names}, which has no escalation"
                cure = "Name an `escalation` in the route, or in one before it that takes these breaches."
                yield Finding("policies", policy.name, ("targets", metric), message, cure, example)
                break


def _is_left(policy: Policy, metric: str, routes: Routes, example: Example) -> bool:
    return escalation_of(routes, _breach(policy, metric, example)) is None


def _breach(policy: Policy, metric: str, example: Example) -> BreachRecord:
    fields = {"kind": example.kind, "metric": metric, "policy": policy.name, "severity": policy.severity}
    item = f"{BREACH.data.tenant}/{example.kind}/{BREACH.data.id}"
    data = msgspec.structs.replace(BREACH.data, **fields, item=item, attributes=dict(example.attributes))
    return msgspec.structs.replace(BREACH, data=data)
