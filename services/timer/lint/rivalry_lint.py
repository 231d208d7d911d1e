"""Policies that stand in each other's way: those that never win, and those between which only the order decides."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import combinations, product
from math import prod
from typing import Final

from services.timer.conditions import Conditions, apart, implied
from services.timer.lint.example import Example, Examples
from services.timer.lint.finding import Finding
from services.timer.metric import KINDS
from services.timer.policy import LEVELS, Policy
from services.timer.policy_set import PolicySet

# Combinations of one value of each condition that are looked at one by one; of more, only all of them together.
_CELLS: Final = 64

Takers = Mapping[str, tuple[str, ...]]  # metric -> the policies that take every item from another one, by name


def rivalries(policies: PolicySet, examples: Examples) -> list[Finding]:
    """The policies that never win, for any metric or for one, and then the ties, but for policies that have ended."""
    before: dict[str, list[Policy]] = {}
    ended = {
        each.name for each in policies.policies if each.valid.until is not None and each.valid.until <= examples.now
    }
    pairs = list(_rivals(each for each in policies.policies if each.name not in ended))
    for first, second in pairs:
        before.setdefault(second.name, []).append(first)
    by_name = {policy.name: policy for policy in policies.policies}
    taken = {name: _takers(by_name[name], firsts) for name, firsts in before.items()}
    found = [each for name, takers in taken.items() for each in _losses(by_name[name], takers, policies, examples)]
    for first, second in pairs:
        if first.precedence[:-1] == second.precedence[:-1]:
            metrics = (first.targets.keys() & second.targets.keys()) - taken[second.name].keys()
            found += [_tie(first, second, sorted(metrics), policies, examples)] if metrics else []
    return found


def _losses(policy: Policy, takers: Takers, policies: PolicySet, examples: Examples) -> Iterator[Finding]:
    if takers.keys() == policy.targets.keys():
        everyone = sorted({name for each in takers.values() for name in each})
        message = f"never wins: {_cover(everyone)} first"
        yield _loss(policy, (), message, examples.covered(lambda each: not _wins(policies, policy, each), policy))
        return
    for metric, names in takers.items():
        message = f"never wins, because {_cover(names)} first"

        def lost(each: Example, metric: str = metric) -> bool:
            target = policy.targets[metric].span(each.attributes)
            return target is not None and _winner(policies, metric, each) is not policy

        yield _loss(policy, ("targets", metric), message, examples.covered(lost, policy))


def _loss(policy: Policy, path: tuple[str, ...], message: str, example: Example | None) -> Finding:
    what = "the target" if path else "the policy"
    cure = f"Remove {what}, or let `applies_to` name what sets it apart, or give it the better `rank`."
    return Finding("policies", policy.name, path, message, cure, example)


def _tie(first: Policy, second: Policy, metrics: Sequence[str], policies: PolicySet, examples: Examples) -> Finding:
    def decided(each: Example) -> bool:
        both = [metric for metric in metrics if second.targets[metric].span(each.attributes) is not None]
        return any(_winner(policies, metric, each) is first for metric in both)

    message = f"only the order decides against {first.name} over {', '.join(metrics)}"
    cure = "Give each of the two a `rank`; 1 goes first."
    return Finding("policies", second.name, (), message, cure, examples.covered(decided, first, second))


def _cover(names: Sequence[str]) -> str:
    some = len(names) > 1
    return f"{', '.join(names)} {'cover' if some else 'covers'} the same items and {'go' if some else 'goes'}"


def _wins(policies: PolicySet, policy: Policy, example: Example) -> bool:
    return any(_winner(policies, metric, example) is policy for metric in policy.targets)


def _winner(policies: PolicySet, metric: str, example: Example) -> Policy | None:
    terms = policies.terms(example.kind, example.attributes, example.start).get(metric, ())
    return terms[0].policy if terms else None


def _takers(policy: Policy, before: Iterable[Policy]) -> Takers:
    # Every item that it covers meets one of its cells, so what is taken in each of them is taken for good.
    known = {*policy.applies_to, "kind"}
    able = [first for first in before if known >= first.applies_to.keys() and _says_of_all(first, policy)]
    cells = _cells(policy) if able else []
    found = {}
    for metric in policy.targets:
        always = [
            first for first in able if (target := first.targets.get(metric)) is not None and target.within is not None
        ]
        taker = [next((first for first in always if implied(first.applies_to, cell)), None) for cell in cells]
        names = tuple(dict.fromkeys(first.name for first in taker if first is not None))
        if taker and None not in taker:
            found[metric] = names
    return found


def _says_of_all(first: Policy, second: Policy) -> bool:
    # Whether beside its conditions nothing keeps the first from an item that the second covers.
    return (first.when is None or first.when == second.when) and first.valid.covers(second.valid)


def _cells(policy: Policy) -> list[Conditions]:
    parts = {**policy.applies_to, "kind": policy.applies_to.get("kind", frozenset(KINDS))}
    if prod(len(values) for values in parts.values()) > _CELLS:
        return [policy.applies_to]
    return [
        {name: frozenset((value,)) for name, value in zip(parts, cell, strict=True)}
        for cell in product(*parts.values())
    ]


def _rivals(policies: Iterable[Policy]) -> Iterator[tuple[Policy, Policy]]:
    # The pairs that can meet on one item at one level, the one that goes first first. Thousands of policies, each for
    # its own customer, share no value and make no pairs.
    buckets: dict[tuple[int, str], list[Policy]] = {}
    ordinary = [policy for policy in policies if not policy.combine_all]
    for policy in sorted(ordinary, key=lambda policy: policy.precedence):
        level = policy.precedence[0]
        for value in policy.applies_to[LEVELS[level]] if level < len(LEVELS) else ("",):
            buckets.setdefault((level, value), []).append(policy)
    pairs = {(a.name, b.name): (a, b) for bucket in buckets.values() for a, b in combinations(bucket, 2)}
    yield from (pair for pair in pairs.values() if _can_meet(*pair))


def _can_meet(one: Policy, other: Policy) -> bool:
    return one.valid.meets(other.valid) and not apart(one.applies_to, other.applies_to)
