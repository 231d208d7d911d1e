"""One version of the policies, arranged for the questions that the fold asks of it at every event."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache

from services.timer.clock import Clock, Cycle
from services.timer.conditions import Conditions
from services.timer.effects import Happenings
from services.timer.metric import KINDS, Metric
from services.timer.policy import Policy
from services.timer.policy_set import PolicySet, Terms


@dataclass(frozen=True, slots=True)
class Rules:
    """A version of the policies with its indexes."""

    policies: PolicySet
    version: str
    named: Mapping[str, Policy]
    reads: frozenset[str] | None  # the attributes on which terms or pauses depend; None: on any
    metrics: Mapping[str, Metric]
    happenings: Mapping[str, Happenings]  # kind -> the triggers of the metrics that any policy measures
    pauses: Mapping[tuple[str, str], Conditions]  # (policy, metric) -> while these match, clocks stand still
    once: frozenset[str]  # the metrics that have one cycle although what starts it can happen again
    combined: frozenset[str]  # the metrics that any policy measures beside the winner

    def concern(self, attributes: frozenset[str]) -> bool:
        """Whether a change of these attributes can change terms or pauses."""
        return bool(attributes) if self.reads is None else not self.reads.isdisjoint(attributes)


@lru_cache(maxsize=64)
def rules_of(policies: PolicySet) -> Rules:
    """The rules of one version; made once, because versions never change."""
    pauses = {
        (policy.name, metric): policies.pauses(policy, metric)
        for policy in policies.policies
        for metric in policy.targets
    }
    return Rules(
        policies,
        policies.version,
        {policy.name: policy for policy in policies.policies},
        None if policies.reads is None else policies.reads.union(*pauses.values()),
        policies.metrics,
        {kind: Happenings(_measured(policies, kind)) for kind in KINDS},
        pauses,
        frozenset(name for name, metric in policies.metrics.items() if metric.starts_once),
        frozenset(metric for policy in policies.policies if policy.combine_all for metric in policy.targets),
    )


def measured(policies: PolicySet, kind: str) -> frozenset[str]:
    """The metrics that some policy of a version measures of items of this kind."""
    return rules_of(policies).happenings[kind].metrics


def winner(options: tuple[Terms, ...]) -> Terms | None:
    """Of the terms of one metric those of the policy that won, if one did; the others apply beside it."""
    return options[0] if options and not options[0].policy.combine_all else None


def offered(cycle: Cycle | Clock, options: tuple[Terms, ...]) -> Terms | None:
    """Of the terms for a metric those for a cycle: the winner's, or those of the policy beside it whose it is."""
    if cycle.beside:
        return next((terms for terms in options if terms.policy.name == cycle.policy), None)
    return winner(options)


def cycle_of(clock: Clock) -> Cycle:
    """The cycle that a clock counts."""
    policy = clock.policy if clock.beside else ""
    return Cycle(
        clock.metric,
        clock.started_at,
        clock.source,
        clock.event_id,
        clock.version,
        clock.gaps,
        clock.beside,
        policy,
    )


def _measured(policies: PolicySet, kind: str) -> Iterator[Metric]:
    covering = [policy for policy in policies.policies if kind in policy.applies_to.get("kind", (kind,))]
    measured = {metric for policy in covering for metric in policy.targets}
    return (metric for metric in policies.metrics.values() if metric.name in measured and kind in metric.kinds)
