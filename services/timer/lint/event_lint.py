"""What recorded events show of policies: who is covered by none, which cover nobody, and what stays open for good."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, Final

from services.timer.conditions import Conditions, matches
from services.timer.explaining.policy_choice import conditions
from services.timer.lint.example import Example
from services.timer.lint.finding import Finding
from services.timer.lint.metric_lint import endless, starts_in, stops_in
from services.timer.lint.recording import Item, Moment, Recording
from services.timer.lint.spelling_lint import misspelled
from services.timer.policy import Policy
from services.timer.policy_set import PolicySet

_EXAMPLES: Final = 3  # of the items that nothing covers
_STUCK: Final = 3  # fewer items that stay in a pause are no pattern
_COMPARED: Final = 1_000  # items among which the one is looked for that a policy nearly covers


def coverage(policies: PolicySet, recorded: Recording) -> list[Finding]:
    """What recorded items show of *policies*; nothing where there are none."""
    if not recorded.items:
        return []
    covered: dict[str, list[Item]] = {policy.name: [] for policy in policies.policies}
    for item in recorded.items:
        for name in {policy.name for moment in item.moments for policy in _covering(policies, item, moment.attributes)}:
            covered[name].append(item)
    spelling = list(misspelled(policies, recorded))
    told = {each.name for each in spelling if each.section == "policies" and each.path[0] == "applies_to"}
    found = [*_uncovered(policies, recorded), *spelling]
    for policy in policies.policies:
        if not covered[policy.name] and policy.name not in told:
            found.append(_idle(policy, recorded))
        found += _unanswered(policy, recorded)
        found += _endless(policy, policies, covered[policy.name])
        found += _stuck(policy, policies, covered[policy.name])
    return found + list(_left(policies, recorded))


def _covering(policies: PolicySet, item: Item, attributes: Mapping[str, Any]) -> Iterator[Policy]:
    return (policy for policy in policies.covering(item.kind, attributes) if policy.valid.meets(item.time))


def _uncovered(policies: PolicySet, recorded: Recording) -> Iterator[Finding]:
    counts = Counter(item.kind for item in recorded.items)
    left: dict[str, list[Example]] = {}
    for item in recorded.items:
        start = item.moments[0].at
        if not any(policies.terms(item.kind, moment.attributes, start) for moment in item.moments):
            left.setdefault(item.kind, []).append(item.last())
    for kind, examples in left.items():
        message = f"no policy covers {len(examples)} of {counts[kind]} {kind}s"
        cure = f"Add a policy for them, or one for every {kind}: `applies_to: {{kind: {kind}}}`."
        yield Finding("policies", None, (), message, cure, examples[0], tuple(examples[1:_EXAMPLES]))


def _idle(policy: Policy, recorded: Recording) -> Finding:
    # Shown with the item that comes nearest: the one that fails the fewest conditions.
    def failed(each: Example) -> int:
        asked = conditions(policy.applies_to, {**each.attributes, "kind": each.kind})
        return sum(not condition.holds for condition in asked)

    message = f"covers none of {len(recorded.items)} items"
    cure = "Name what items have; or leave it, if such items are still to come."
    nearest = min(recorded.examples[:_COMPARED], key=failed)
    return Finding("policies", policy.name, ("applies_to",), message, cure, nearest)


def _unanswered(policy: Policy, recorded: Recording) -> Iterator[Finding]:
    # Items that meet `applies_to`, and of which the expression cannot say whether they match.
    if policy.when is None:
        return
    found: list[tuple[Example, str]] = []
    for each in recorded.examples:
        if matches(policy.applies_to, {**each.attributes, "kind": each.kind}):
            outcome = policy.when.outcome(each.kind, each.attributes)
            found += [(each, outcome)] if isinstance(outcome, str) else []
    if found:
        message = f"cannot be evaluated for {len(found)} of {len(recorded.items)} items: {found[0][1]}"
        cure = "Ask has(item.ATTRIBUTE) first, and compare values with their types."
        yield Finding("policies", policy.name, ("when",), message, cure, found[0][0])


def _endless(policy: Policy, policies: PolicySet, covered: list[Item]) -> Iterator[Finding]:
    # A policy that names its kinds is judged by them, whatever was recorded.
    met: dict[str, Item] = {} if "kind" in policy.applies_to else {item.kind: item for item in reversed(covered)}
    for name in policy.targets:
        metric = policies.metrics[name]
        kinds = sorted(kind for kind in met if starts_in(metric, kind) and not stops_in(metric, kind))
        if kinds:
            item = met[kinds[0]]
            moment = next(each for each in item.moments if policy.covers(item.kind, each.attributes))
            yield endless(policy, name, kinds, item.example(moment))


def _stuck(policy: Policy, policies: PolicySet, covered: list[Item]) -> Iterator[Finding]:
    asked = {name: policies.pauses(policy, name) for name in policy.targets}
    told: list[Conditions] = []
    for name, pause in asked.items():
        came = [item for item in covered if any(_stands(pause, moment) for moment in item.moments)]
        if not pause or pause in told or len(came) < _STUCK or not all(_stays(pause, item) for item in came):
            continue
        told.append(pause)
        path = ("pause_when",) if policy.targets[name].pause_when is None else ("targets", name, "pause_when")
        message = f"{len(came)} items came to this pause, and none of them left it"
        cure = "See that the source reports when such items go on; until then their clocks stand still."
        yield Finding("policies", policy.name, path, message, cure, came[0].last())


def _stands(pause: Conditions, moment: Moment) -> bool:
    return moment.stage == "open" and matches(pause, moment.attributes)


def _stays(pause: Conditions, item: Item) -> bool:
    # Whether once it came to the pause it never left it again.
    stands = [_stands(pause, moment) for moment in item.moments]
    return all(stands[stands.index(True) :])


def _left(policies: PolicySet, recorded: Recording) -> Iterator[Finding]:
    left: dict[tuple[str, str], list[Example]] = {}
    for item in recorded.items:
        for clock in item.clocks:
            if clock.state == "cancelled" and clock.stopped_at is not None:
                moment = item.until(clock.stopped_at)
                terms = policies.terms(item.kind, moment.attributes, clock.started_at)
                if moment.stage != "final" and clock.metric not in terms:
                    left.setdefault((clock.policy, clock.metric), []).append(item.example(moment))
    for (policy, metric), examples in left.items():
        number = len({each.item for each in examples})
        whose = "1 item was" if number == 1 else f"{number} items were"
        message = f"the {metric} of {whose} cancelled, because no policy covered it any more after a change"
        cure = f"Add a policy with a target for {metric} that covers them as they are then."
        yield Finding("policies", policy, ("targets", metric), message, cure, examples[0])
