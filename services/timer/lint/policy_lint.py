"""What in checked policies cannot be meant: promises that never hold, and terms that two readers read differently."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from functools import partial
from typing import Any, Final

from services.timer.conditions import LIST, By, Conditions, apart, implied, matches
from services.timer.lint.calendar_lint import choosing, unmeant, unreached
from services.timer.lint.example import Example, Examples
from services.timer.lint.exclusion_lint import uncovered
from services.timer.lint.finding import Finding
from services.timer.lint.metric_lint import unmeasured, wrong_targets
from services.timer.lint.rivalry_lint import rivalries
from services.timer.policy import Policy, WarnAt
from services.timer.policy_set import PolicySet
from services.timer.policy_values import written
from shared.documents import Path
from shared.events import Instant, Span, rfc3339

_FINAL: Final[Conditions] = {"status": frozenset({"spam"})}  # in which an item's clocks end


def findings(
    policies: PolicySet, now: Instant, *, recorded: Sequence[Example] = (), inherited: Collection[str] = ()
) -> list[Finding]:
    """Everything that looks wrong in *policies*: the single policies first, then pairs of them, then the other parts.

    Args:
        policies: what is checked.
        now: from when on a target must be reached.
        recorded: items that were seen, for examples of what cannot be made up.
        inherited: the names of the calendars from which others inherit, and which are in use so.
    """
    examples = Examples(now, recorded)
    found: list[Finding] = []
    for policy in policies.policies:
        found += _ended(policy, examples)
        found += _absent(policy, examples)
        found += _pauses(policy, policies, examples)
        found += wrong_targets(policy, policies, examples)
        found += _choices(policy, examples)
        found += _warnings(policy, examples)
        found += unreached(policy, policies, examples)
    found += rivalries(policies, examples)
    found += unmeant(policies, inherited)
    found += unmeasured(policies)
    return found + list(uncovered(policies, examples))


def _ended(policy: Policy, examples: Examples) -> Iterator[Finding]:
    if policy.valid.until is not None and policy.valid.until <= examples.now:
        message = f"it ended at {rfc3339(policy.valid.until)}, so no new clock takes it"
        cure = "Remove the policy, or move `until`; clocks that run keep their version."
        example = examples.first(lambda each: policy.covers(each.kind, each.attributes), policy.applies_to)
        yield Finding("policies", policy.name, ("valid",), message, cure, example)


def _absent(policy: Policy, examples: Examples) -> Iterator[Finding]:
    if policy.when is None:
        return
    for name in sorted(policy.when.unguarded - policy.applies_to.keys()):
        example = examples.first(partial(_fails_without, policy, name), policy.applies_to)
        message = f"does not hold for items without {name!r}, though it negates"
        cure = f"Say with has(item.{name}) what holds for items that lack it."
        yield Finding("policies", policy.name, ("when",), message, cure, example)


def _fails_without(policy: Policy, name: str, each: Example) -> bool:
    asked = matches(policy.applies_to, {**each.attributes, "kind": each.kind}) and policy.when is not None
    return asked and name not in each.attributes and not policy.covers(each.kind, each.attributes)


def _pauses(policy: Policy, policies: PolicySet, examples: Examples) -> Iterator[Finding]:
    seen: set[Path] = set()
    for metric, target in policy.targets.items():
        conditions = policies.pauses(policy, metric)
        path: Path = ("pause_when",) if target.pause_when is None else ("targets", metric, "pause_when")
        if policies.metrics[metric].pauses is not None:
            path = ("targets", metric)
        if conditions and path not in seen:
            seen.add(path)
            yield from _pause(policy, path, conditions, examples)


def _pause(policy: Policy, path: Path, conditions: Conditions, examples: Examples) -> Iterator[Finding]:
    if implied(conditions, policy.applies_to):
        message = "the pause never ends: every item that it covers matches it"
        cure = "Name a state that items leave again, or that only some of the covered items are in."
        example = examples.covered(lambda each: matches(conditions, each.attributes), policy)
        yield Finding("policies", policy.name, path, message, cure, example)
    elif apart(conditions, policy.applies_to):
        message = "never pauses: applies_to names other values"
        cure = "Remove it, or name in it what a covered item can have."
        example = examples.first(
            lambda each: matches(conditions, each.attributes) and not _covers(policy, each), conditions
        )
        yield Finding("policies", policy.name, path, message, cure, example)
    elif implied(_FINAL, conditions):
        message = "never pauses: an item with the status spam is over for good, and its clocks are cancelled"
        cure = "Remove it, or name a state from which items come back."
        example = examples.covered(lambda each: matches(conditions, each.attributes), policy, also=conditions)
        yield Finding("policies", policy.name, path, message, cure, example)


def _covers(policy: Policy, each: Example) -> bool:
    return policy.covers(each.kind, each.attributes)


def _choices(policy: Policy, examples: Examples) -> Iterator[Finding]:
    chosen: list[tuple[Path, By[Any]]] = [(("calendar",), policy.calendar.by)]
    for metric, target in policy.targets.items():
        chosen.append((("targets", metric), target.by))
        chosen.append((("targets", metric, "calendar"), target.calendar.by if target.calendar else ()))
    for path, by in chosen:
        for name, entries in by:
            # Several tags can meet on one item, so that one that `applies_to` does not name may count too.
            wanted = entries.keys() if name == LIST else policy.applies_to.get(name, entries.keys())
            for value in sorted(entries.keys() - wanted):
                yield _uncounted(policy, (*path, "by", name, value), examples)


def _uncounted(policy: Policy, path: Path, examples: Examples) -> Finding:
    name, value = str(path[-2]), str(path[-1])
    others = {other: values for other, values in policy.applies_to.items() if other != name}
    example = examples.first(lambda each: not _covers(policy, each), others, {name: frozenset((value,))})
    cure = f"Remove it, or name {value} in `applies_to`."
    message = "never counts, because applies_to names other values"
    return Finding("policies", policy.name, path, message, cure, example)


def _warnings(policy: Policy, examples: Examples) -> Iterator[Finding]:
    for metric, target in policy.targets.items():
        for span in dict.fromkeys(target.spans):
            for warning in target.warn_at:
                if warning.elapsed(span) <= 0:
                    past = _past(policy, metric, span, warning, examples)
                    # Without an expression the conditions tell whether any item gets this target.
                    yield from [past] if past.example or policy.when else ()


def _past(policy: Policy, metric: str, span: Span, warning: WarnAt, examples: Examples) -> Finding:
    target = policy.targets[metric]
    ways = choosing(target.by, span, target.within)
    found = (examples.covered(lambda each: target.span(each.attributes) == span, policy, also=way) for way in ways)
    message = f"the warning {warning.label} is past at the start of {written(span)}"
    cure = "Warn at a share of the target, like 80%, which fits every length."
    example = next((each for each in found if each is not None), None)
    return Finding("policies", policy.name, ("targets", metric, "warn_at"), message, cure, example)
