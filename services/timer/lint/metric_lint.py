"""What in checked metrics cannot be meant: targets of what never starts or ends, and metrics that nobody measures."""

from __future__ import annotations

from collections.abc import Iterator

from services.timer.lint.example import Example, Examples, covers
from services.timer.lint.finding import Finding
from services.timer.metric import AnyTrigger, Metric
from services.timer.metric_file import built_in
from services.timer.policy import Policy
from services.timer.policy_set import PolicySet


def wrong_targets(policy: Policy, policies: PolicySet, examples: Examples) -> Iterator[Finding]:
    """The targets of a policy that say nothing, or that nobody can keep, in the kinds that it names."""
    kinds = sorted(policy.applies_to.get("kind", ()))
    for name, target in policy.targets.items():
        metric = policies.metrics[name]
        path = ("targets", name)
        if target.pause_when is not None and metric.pauses is not None:
            message = "never counts, because the metric says itself when it pauses"
            cure = "Remove it, or define a metric of your own that pauses as the policy says."
            example = examples.covered(lambda _: True, policy)
            yield Finding("policies", policy.name, (*path, "pause_when"), message, cure, example)
        starting = [kind for kind in kinds if starts_in(metric, kind)]
        if kinds and not starting:
            cure = f"Remove the target, or cover a {' or '.join(_starting(metric))}."
            message = f"never starts in a {' or '.join(kinds)}"
            yield Finding("policies", policy.name, path, message, cure, _of_kind(policy, kinds, examples))
        elif unmet := [kind for kind in starting if not stops_in(metric, kind)]:
            yield endless(policy, name, unmet, _of_kind(policy, unmet, examples))


def endless(policy: Policy, metric: str, kinds: list[str], example: Example | None) -> Finding:
    """That clocks of a metric start in items of these kinds, and nothing that happens to them is what is promised."""
    message = f"can never be met in a {' or '.join(kinds)}"
    cure = "Remove the target, or give these kinds of items a policy of their own, without it."
    return Finding("policies", policy.name, ("targets", metric), message, cure, example)


def unmeasured(policies: PolicySet) -> Iterator[Finding]:
    """The user's metrics that have no target, and their triggers that never happen."""
    measured = {name for policy in policies.policies for name in policy.targets}
    for name, metric in policies.metrics.items():
        if metric == built_in().get(name):
            continue
        if name not in measured:
            cure = "Give it a target in a policy, or remove it."
            yield Finding("metrics", name, (), "no policy has a target for it", cure)
        where = " or ".join(metric.kinds)
        for option, triggers in _triggers(metric).items():
            for trigger in triggers:
                if not any(trigger.happens_in(kind) for kind in metric.kinds):
                    message = f"{trigger} never happens in a {where}"
                    cure = "Remove it, or name in `kinds` the kinds of items to which it happens."
                    yield Finding("metrics", name, (option,), message, cure)


def starts_in(metric: Metric, kind: str) -> bool:
    """Whether clocks of a metric start in items of a kind."""
    return kind in metric.kinds and _happen(metric.starts, kind)


def stops_in(metric: Metric, kind: str) -> bool:
    """Whether what a metric promises can happen to items of a kind."""
    return _happen(metric.stops, kind)


def _of_kind(policy: Policy, kinds: list[str], examples: Examples) -> Example | None:
    return examples.covered(lambda each: each.kind in kinds and covers(policy, each), policy)


def _starting(metric: Metric) -> list[str]:
    return [kind for kind in metric.kinds if starts_in(metric, kind)]


def _triggers(metric: Metric) -> dict[str, tuple[AnyTrigger, ...]]:
    return {
        "starts": metric.starts,
        "stops": metric.stops,
        "abandons": metric.abandons,
        "cancels": metric.cancels,
    }


def _happen(triggers: tuple[AnyTrigger, ...], kind: str) -> bool:
    return any(trigger.happens_in(kind) for trigger in triggers)
