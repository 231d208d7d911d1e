"""Why this policy: what each policy of a version says to an item, and by which rule one of them wins."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from services.timer.conditions import By, Conditions, matches, texts
from services.timer.expression import Expression
from services.timer.policy import LEVELS, Policy
from services.timer.policy_set import PolicySet
from shared.events import Instant, Span

Outcome = Literal["won", "beside", "outranked", "no target", "no match"]
# By which rule one matching policy comes before another, in the order of `Policy.precedence`.
_RULES: Final = ("more specific", "more conditions", "rank", "rank", "earlier in the files")
_LONG: Final = 80
_NAMED: Final = 5  # values of a condition that a sentence names; a policy can list a thousand customers
_SHOWN_FIRST: Final[Mapping[Outcome, int]] = {"won": 0, "beside": 1, "outranked": 2, "no target": 3, "no match": 4}


@dataclass(frozen=True, slots=True)
class Condition:
    """One condition on an item, and what the item has."""

    attribute: str  # or `kind`
    expected: tuple[str, ...]  # any of these
    value: Any  # the item's; None where it has none
    holds: bool

    def __str__(self) -> str:
        has = f"{self.attribute} is {'not set' if self.value is None else shown(self.value)}"
        return has if self.holds else f"{has}, and must be {_any_of(self.expected)}"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of one policy when a metric of an item was to be decided."""

    policy: str
    outcome: Outcome
    because: str  # in a sentence for a person
    conditions: tuple[Condition, ...] = ()  # the failed ones of a policy that does not match, else all of them
    target: Span | None = None  # what it allows the item
    target_by: Condition | None = None  # which entry of `by` gave the target; None: `within`
    when: str | None = None  # what its expression says of the item; None: it has none, or was not asked
    calendar: str | None = None  # in which the clock runs
    calendar_by: Condition | None = None  # which entry of `by` gave the calendar; None: the default


@dataclass(frozen=True, slots=True)
class Question:
    """Which policy decides over a cycle of a metric of an item."""

    kind: str
    attributes: Mapping[str, Any]
    metric: str
    start: Instant  # of the cycle

    @property
    def item(self) -> Mapping[str, Any]:
        """What conditions are asked of."""
        return {**self.attributes, "kind": self.kind}


def verdicts(policies: PolicySet, question: Question) -> list[Verdict]:
    """What became of every policy: the winner first, then those beside it, those outranked, and the others.

    Of those that do not match the nearest come first, which is those with the fewest conditions that fail.
    """
    winner = _winner(policies, question)
    ranked = sorted(policies.policies, key=lambda policy: policy.precedence)
    found = [_verdict(policy, winner, question) for policy in ranked]
    return sorted(found, key=lambda each: (_SHOWN_FIRST[each.outcome], _failures(each)))


def conditions(asked: Conditions, attributes: Mapping[str, Any]) -> Iterator[Condition]:
    """Each condition by itself, and whether it holds."""
    for name, expected in asked.items():
        value = attributes.get(name)
        yield Condition(name, tuple(sorted(expected)), value, matches({name: expected}, attributes))


def shown(value: Any) -> str:
    """An attribute's value for a person: `–` where there is none, what cannot be printed escaped, cut if long."""
    text = "–" if value is None else _text(value)
    return text if len(text) <= _LONG else f"{text[:_LONG]}…"


def _text(value: Any) -> str:
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_text(member) for member in value) + "]"
    return printable(next(iter(texts(value)), str(value)))


def printable(text: str) -> str:
    """The text with what would move a terminal's cursor, or change its colours, written as an escape."""
    return text if text.isprintable() else "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def _any_of(expected: tuple[str, ...]) -> str:
    named = " or ".join(expected[:_NAMED])
    return named if len(expected) <= _NAMED else f"{named} or one of {len(expected) - _NAMED} more"


def _winner(policies: PolicySet, question: Question) -> Policy | None:
    item, metric = question.item, question.metric
    eligible = [
        policy
        for policy in policies.policies
        if not policy.combine_all
        and matches(policy.applies_to, item)
        and _refusal(policy, question) is None
        and _target(policy, item, metric)[0] is not None
    ]
    return min(eligible, key=lambda policy: policy.precedence, default=None)


def _verdict(policy: Policy, winner: Policy | None, question: Question) -> Verdict:
    item, metric = question.item, question.metric
    asked = tuple(conditions(policy.applies_to, item))
    failed = tuple(condition for condition in asked if not condition.holds)
    if failed:
        return Verdict(policy.name, "no match", "; ".join(map(str, failed)), failed)
    said = None if policy.when is None else _said(policy.when, question)
    refusal = _refusal(policy, question)
    if refusal is not None:
        return Verdict(policy.name, "no match", refusal, asked, when=said)
    target, target_by = _target(policy, item, metric)
    if target is None:
        return Verdict(policy.name, "no target", _no_target(policy, item, metric), asked, when=said)
    outcome: Outcome = "beside" if policy.combine_all else "won" if policy is winner else "outranked"
    choice = policy.calendar_of(metric)
    return Verdict(
        policy=policy.name,
        outcome=outcome,
        because=_because(policy, winner, outcome),
        conditions=asked,
        target=target,
        target_by=target_by,
        when=said,
        calendar=choice.name(item),
        calendar_by=_chosen_by(choice.by, item),
    )


def _refusal(policy: Policy, question: Question) -> str | None:
    # What beside `applies_to` keeps the policy from the item.
    if not policy.valid.holds(question.start):
        return f"the cycle did not start in it: {policy.valid}"
    if policy.when is None or policy.when.holds(question.kind, question.attributes):
        return None
    return _said(policy.when, question)


def _said(when: Expression, question: Question) -> str:
    said = when.outcome(question.kind, question.attributes)
    read = [f"{name}: {shown(question.attributes.get(name))}" for name in sorted(when.reads or ())]
    values = f" ({', '.join(read)})" if read else ""
    return f"when {shown(when.text)} {f'is {shown(said)}' if isinstance(said, bool) else f'fails: {said}'}{values}"


def _target(policy: Policy, item: Mapping[str, Any], metric: str) -> tuple[Span | None, Condition | None]:
    target = policy.targets.get(metric)
    if target is None:
        return None, None
    return target.span(item), _chosen_by(target.by, item)


def _chosen_by(by: By[Any], item: Mapping[str, Any]) -> Condition | None:
    # The first attribute whose value has an entry, and of its values the one that comes first in the file.
    for name, entries in by:
        values = texts(item.get(name))
        for value in entries:
            if value in values:
                return Condition(name, (value,), item.get(name), holds=True)
    return None


def _no_target(policy: Policy, item: Mapping[str, Any], metric: str) -> str:
    target = policy.targets.get(metric)
    if target is None:
        return f"matches, and has no target for {metric}"
    asked = ", ".join(f"{name} {shown(item.get(name))}" for name, _ in target.by)
    return f"matches, and its target for {metric} has no entry for {asked}"


def _because(policy: Policy, winner: Policy | None, outcome: Outcome) -> str:
    if outcome == "beside":
        return "combine: all applies beside the winner"
    if outcome == "won" or winner is None:
        return f"{_level(policy)}, {_counted(policy.conditions)}"
    rule = next(
        name for name, ours, theirs in zip(_RULES, policy.precedence, winner.precedence, strict=True) if ours != theirs
    )
    return f"matches, but {winner.name} is before it: {_why(rule, policy, winner)}"


def _why(rule: str, policy: Policy, winner: Policy) -> str:
    match rule:
        case "more specific":
            return f"{_level(winner)} comes before {_level(policy)}"
        case "more conditions":
            return f"{winner.conditions} conditions are more than {policy.conditions}"
        case "rank":
            return f"rank {winner.rank} comes before {'no rank' if policy.rank is None else f'rank {policy.rank}'}"
        case _:
            return "equally specific, and earlier in the files"


def _level(policy: Policy) -> str:
    named = next((name for name in LEVELS if name in policy.applies_to), None)
    if named is not None:
        return f"a policy by {named}"
    others = sorted(policy.applies_to.keys() - {"kind"})
    if others or policy.when is not None:
        return f"a policy by {others[0] if others else 'an expression'}"
    return "a policy by kind only" if policy.applies_to else "a policy for all items"


def _counted(number: int) -> str:
    return f"{number} {'condition' if number == 1 else 'conditions'}"


def _failures(verdict: Verdict) -> int:
    return sum(not condition.holds for condition in verdict.conditions)
