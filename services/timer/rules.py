"""One version of the policies, arranged for the questions that the fold asks of it at every event."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from services.timer.cycles import METRICS, Metric, Occurrence
from services.timer.policy import Policy
from services.timer.policy_set import PolicySet, Terms

Starting = Mapping[tuple[str, Occurrence], tuple[Metric, ...]]


@dataclass(frozen=True, slots=True)
class Rules:
    """A version of the policies with its indexes."""

    policies: PolicySet
    version: str
    named: Mapping[str, Policy]
    reads: frozenset[str] | None  # the attributes on which terms or pauses depend; None: on any
    starting: Starting  # (kind, occurrence) -> the metrics that start, of those that any policy measures
    combines: bool  # whether any policy applies beside the winner

    def concern(self, attributes: frozenset[str]) -> bool:
        """Whether a change of these attributes can change terms or pauses."""
        return bool(attributes) if self.reads is None else not self.reads.isdisjoint(attributes)


@lru_cache(maxsize=64)
def rules_of(policies: PolicySet) -> Rules:
    """The rules of one version; made once, because versions never change."""
    named = {policy.name: policy for policy in policies.policies}
    pauses = {name for policy in policies.policies for conditions in policy.pauses for name in conditions}
    combines = any(policy.combine_all for policy in policies.policies)
    reads = None if policies.reads is None else policies.reads | pauses
    return Rules(policies, policies.version, named, reads, _starting(policies), combines)


@lru_cache(maxsize=256)
def measured(policies: PolicySet, kind: str) -> frozenset[str]:
    """The metrics that some policy of a version measures of items of this kind."""
    starting = rules_of(policies).starting
    return frozenset(metric.name for (of, _), metrics in starting.items() if of == kind for metric in metrics)


def winner(options: tuple[Terms, ...]) -> Terms | None:
    """Of the terms of one metric those of the policy that won, if one did; the others apply beside it."""
    return options[0] if options and not options[0].policy.combine_all else None


def _starting(policies: PolicySet) -> Starting:
    found: dict[tuple[str, Occurrence], tuple[Metric, ...]] = {}
    for metric in METRICS:
        for kind in metric.kinds:
            if any(_measures(policy, kind, metric.name) for policy in policies.policies):
                for occurrence in metric.starts:
                    key = (kind, occurrence)
                    found[key] = (*found.get(key, ()), metric)
    return found


def _measures(policy: Policy, kind: str, metric: str) -> bool:
    return metric in policy.targets and kind in policy.applies_to.get("kind", (kind,))
