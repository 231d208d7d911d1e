"""What in checked metrics cannot be meant: targets of what never starts or ends, and metrics that nobody measures."""

from __future__ import annotations

from collections.abc import Iterator

from services.timer.metric import AnyTrigger, Change, Metric
from services.timer.metric_file import built_in
from services.timer.policy import Policy
from services.timer.policy_set import PolicySet


def wrong_targets(policy: Policy, policies: PolicySet) -> Iterator[str]:
    """The targets of a policy that say nothing, or that nobody can keep, in the kinds that it names."""
    kinds = sorted(policy.applies_to.get("kind", ()))
    for name, target in policy.targets.items():
        metric = policies.metrics[name]
        if target.pause_when is not None and metric.pauses is not None:
            yield f"targets.{name}.pause_when: never counts, because the metric says itself when it pauses"
        starting = [kind for kind in kinds if kind in metric.kinds and _happen(metric.starts, kind)]
        if kinds and not starting:
            yield f"targets.{name}: never starts in a {' or '.join(kinds)}"
        elif unmet := [kind for kind in starting if not _happen(metric.stops, kind)]:
            yield f"targets.{name}: can never be met in a {' or '.join(unmet)}"


def unmeasured(policies: PolicySet) -> Iterator[tuple[str, str]]:
    """(metric, what is wrong) of the user's metrics: those without a target, and triggers that never happen."""
    measured = {name for policy in policies.policies for name in policy.targets}
    for name, metric in policies.metrics.items():
        if metric == built_in().get(name):
            continue
        if name not in measured:
            yield name, "no policy has a target for it"
        where = " or ".join(metric.kinds)
        for option, triggers in _triggers(metric).items():
            for trigger in triggers:
                if not any(trigger.happens_in(kind) for kind in metric.kinds):
                    yield name, f"{option}: {trigger} never happens in a {where}"


def read_by(metric: str, policy: Policy, policies: PolicySet) -> frozenset[str]:
    """The attributes on which it depends when clocks of a metric start, end and pause under a policy."""
    definition = policies.metrics[metric]
    named = set(policies.pauses(policy, metric))
    for triggers in _triggers(definition).values():
        for trigger in triggers:
            named |= trigger.counts_when.keys()
            named |= trigger.conditions.keys() if isinstance(trigger, Change) else frozenset()
    return frozenset(named)


def _triggers(metric: Metric) -> dict[str, tuple[AnyTrigger, ...]]:
    return {
        "starts": metric.starts,
        "stops": metric.stops,
        "abandons": metric.abandons,
        "cancels": metric.cancels,
    }


def _happen(triggers: tuple[AnyTrigger, ...], kind: str) -> bool:
    return any(trigger.happens_in(kind) for trigger in triggers)
