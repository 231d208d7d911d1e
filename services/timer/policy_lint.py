"""What in checked policies cannot be meant: promises that never hold, and terms that two readers read differently."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain, combinations
from typing import Any

from services.timer.business_hours import NoOpenTime
from services.timer.calendar_file import DAYS
from services.timer.conditions import By, Conditions, matches
from services.timer.cycles import patch_of
from services.timer.exclusion_lint import uncovered, unknown
from services.timer.metric_lint import read_by, unmeasured, wrong_targets
from services.timer.opening_times import HoursSpec
from services.timer.policy import LEVELS, Policy
from services.timer.policy_set import PolicySet
from shared.events import SECOND, Event, Instant, Span, rfc3339


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is allowed, and hardly meant."""

    subject: str  # `policy acme-gold`, `calendar madrid`, `events`
    message: str

    def __str__(self) -> str:
        return f"{self.subject}: {self.message}"


def findings(policies: PolicySet, now: Instant) -> list[Finding]:
    """Everything that looks wrong in *policies*: the single policies first, then pairs of them, then calendars.

    Args:
        policies: what is checked.
        now: from when on a calendar must open.
    """
    found: list[Finding] = []
    for policy in policies.policies:
        subject = f"policy {policy.name}"
        about = (_ended(policy, now), _absent(policy), _conditions(policy, policies), wrong_targets(policy, policies))
        messages = (*chain(*about), *_choices(policy), *_targets(policy), *_reach(policy, policies, now))
        found += [Finding(subject, message) for message in messages]
    found += _rivalries(policies.policies)
    for name, hours in policies.calendars.items():
        unused = name not in {name for policy in policies.policies for name in policy.calendars}
        found += [Finding(f"calendar {name}", "no policy uses it")] if unused else []
        found += [Finding(f"calendar {name}", message) for message in _overlaps(hours.spec)]
    found += [Finding(f"metric {name}", message) for name, message in unmeasured(policies)]
    return found + [Finding(f"exclusion {name}", message) for name, message in uncovered(policies)]


def coverage(policies: PolicySet, events: Iterable[Event]) -> list[Finding]:
    """What *policies* leave uncovered in recorded events, and the attributes that they name and no event has."""
    items: dict[str, tuple[str, dict[str, Any], Instant]] = {}
    for event in sorted(events, key=lambda event: event.order):
        items.setdefault(event.item, (event.kind, {}, event.time))[1].update(patch_of(event))
    uncovered = [item for item, known in items.items() if not policies.terms(*known)]
    found = []
    if uncovered:
        message = f"no policy covers {len(uncovered)} of {len(items)} items, {uncovered[0]} among them"
        found.append(Finding("events", message))
    seen = frozenset(name for _, attributes, _ in items.values() for name in attributes)
    for policy in policies.policies:
        read = (policy.when and policy.when.reads) or ()
        by_metrics = [read_by(metric, policy, policies) for metric in policy.targets]
        named = (policy.applies_to.keys() - {"kind"}).union(read, *by_metrics)
        unseen = sorted(named - seen) if items else []
        found += [Finding(f"policy {policy.name}", f"no event has the attribute {name!r}") for name in unseen]
        found += [Finding(f"policy {policy.name}", message) for message in _unanswered(policy, items)]
    unknown_to = unknown(policies, seen) if items else ()
    return found + [Finding(f"exclusion {name}", message) for name, message in unknown_to]


def _unanswered(policy: Policy, items: Mapping[str, tuple[str, dict[str, Any], Instant]]) -> Iterator[str]:
    # Items that meet `applies_to`, and of which the expression cannot say whether they match.
    if policy.when is None:
        return
    found = {
        item: outcome
        for item, (kind, attributes, _) in items.items()
        if matches(policy.applies_to, {**attributes, "kind": kind})
        and isinstance(outcome := policy.when.outcome(kind, attributes), str)
    }
    if found:
        item, why = next(iter(found.items()))
        yield f"when: cannot be evaluated for {len(found)} of {len(items)} items, {item} among them: {why}"


def _ended(policy: Policy, now: Instant) -> Iterator[str]:
    if policy.valid.until is not None and policy.valid.until <= now:
        yield f"valid: it ended at {rfc3339(policy.valid.until)}, so no new clock takes it"


def _absent(policy: Policy) -> Iterator[str]:
    unguarded = policy.when.unguarded - policy.applies_to.keys() if policy.when is not None else ()
    for name in sorted(unguarded):
        yield f"when: does not hold for items without {name!r}, though it negates; say so with has(item.{name})"


def _conditions(policy: Policy, policies: PolicySet) -> Iterator[str]:
    pauses = [conditions for metric in policy.targets if (conditions := policies.pauses(policy, metric))]
    if any(_implied(conditions, policy.applies_to) for conditions in pauses):
        yield "the pause never ends: every item that it covers matches pause_when"


def _choices(policy: Policy) -> Iterator[str]:
    chosen: list[tuple[str, By[Any]]] = [("calendar", policy.calendar.by)]
    for metric, target in policy.targets.items():
        chosen.append((f"targets.{metric}", target.by))
        chosen.append((f"targets.{metric}.calendar", target.calendar.by if target.calendar else ()))
    for place, by in chosen:
        for name, entries in by:
            # Several tags can meet on one item, so that one that `applies_to` does not name may count too.
            wanted = entries.keys() if name == "tags" else policy.applies_to.get(name, entries.keys())
            for value in sorted(entries.keys() - wanted):
                yield f"{place}.by.{name}.{value}: never counts, because applies_to names other values"


def _targets(policy: Policy) -> Iterator[str]:
    for metric, target in policy.targets.items():
        for span in dict.fromkeys(target.spans):
            for warning in target.warn_at:
                if warning.elapsed(span) <= 0:
                    yield f"targets.{metric}: the warning {warning.label} is past at the start of {shown(span)}"


def _reach(policy: Policy, policies: PolicySet, now: Instant) -> Iterator[str]:
    for metric, target in policy.targets.items():
        for name in policy.calendar_of(metric).names:
            try:
                policies.calendars[name].add(now, max(target.spans))
            except NoOpenTime as exc:
                yield f"targets.{metric}: {shown(max(target.spans))} are never reached in {name}: {exc}"


def _rivalries(policies: Iterable[Policy]) -> Iterator[Finding]:
    shadowed: dict[str, dict[str, str]] = {}  # policy -> its metrics that another one always decides -> that one
    ties = []
    by_name = {policy.name: policy for policy in policies}
    for first, second in _rivals(by_name.values()):
        if _covers_all_of(first, second):
            always = [metric for metric, target in first.targets.items() if target.within is not None]
            taken = {metric: first.name for metric in always if metric in second.targets}
            shadowed[second.name] = taken | shadowed.get(second.name, {})
        elif first.precedence[:-1] == second.precedence[:-1] and (both := first.targets.keys() & second.targets.keys()):
            message = f"only the order decides against {first.name} over {', '.join(sorted(both))}; give each a rank"
            ties.append(Finding(f"policy {second.name}", message))
    for name, taken in shadowed.items():
        if taken.keys() == by_name[name].targets.keys():
            first_names = ", ".join(sorted(set(taken.values())))
            yield Finding(f"policy {name}", f"never wins: {first_names} covers the same items and goes first")
        else:
            for metric, first_name in taken.items():
                message = f"targets.{metric}: never wins, because {first_name} covers the same items and goes first"
                yield Finding(f"policy {name}", message)
    yield from ties


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
    # An attribute that is a list can have both of two values.
    if not one.valid.meets(other.valid):
        return False
    shared = (one.applies_to.keys() & other.applies_to.keys()) - {"tags"}
    return not any(one.applies_to[name].isdisjoint(other.applies_to[name]) for name in shared)


def _covers_all_of(first: Policy, second: Policy) -> bool:
    # Whether every item that the second covers is covered by the first.
    said = first.when is None or first.when == second.when
    return said and first.valid.covers(second.valid) and _implied(first.applies_to, second.applies_to)


def _implied(general: Conditions, special: Conditions) -> bool:
    # Whether whatever meets *special* meets *general* too.
    return all(name in special and special[name] <= values for name, values in general.items())


def _overlaps(spec: HoursSpec) -> Iterator[str]:
    for day, windows in enumerate(spec.week):
        tomorrow = spec.week[(day + 1) % 7]
        if windows and tomorrow and windows[-1].end - 86_400 > tomorrow[0].start:
            yield f"hours: those of {DAYS[day]} run into those of {DAYS[(day + 1) % 7]}"


def shown(span: Span) -> str:
    """A span as people write it: `1h30m`."""
    rest = span // SECOND
    text = ""
    for unit, seconds in (("h", 3_600), ("m", 60), ("s", 1)):
        count, rest = divmod(rest, seconds)
        text += f"{count}{unit}" if count else ""
    return text or "0s"
