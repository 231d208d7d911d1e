"""What in checked calendars cannot be meant, and the targets that a calendar never reaches."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from itertools import product

from services.timer.business_hours import BusinessHours, NoOpenTime
from services.timer.calendar_file import DAYS
from services.timer.conditions import By, Conditions, together
from services.timer.lint.example import Example, Examples, instant_in
from services.timer.lint.finding import Finding
from services.timer.opening_times import HoursSpec
from services.timer.policy import Policy
from services.timer.policy_set import PolicySet
from services.timer.policy_values import written
from shared.events import Instant, Span


def unmeant(policies: PolicySet, inherited: Collection[str]) -> Iterator[Finding]:
    """Calendars that nothing uses, and days that run into each other.

    Args:
        policies: what is checked.
        inherited: the names of the calendars from which others inherit.
    """
    used = {name for policy in policies.policies for name in policy.calendars}
    used |= {*inherited, *(rule.calendar for rule in policies.sources)} - {None}  # type: ignore[arg-type]  # taken away
    for name, hours in policies.calendars.items():
        if name not in used:
            cure = "Remove it, or name it in a policy, a target or a source."
            yield Finding("calendars", name, (), "no policy uses it", cure)
        for day, message in _overlaps(hours.spec):
            cure = "Write the time that both have on one of the two days only."
            yield Finding("calendars", name, ("hours", day), message, cure)


def unreached(policy: Policy, policies: PolicySet, examples: Examples) -> Iterator[Finding]:
    """The targets that some item of a policy gets and its calendar never reaches: the longest in each calendar."""
    at = instant_in((policy.valid,), examples.now)
    for metric, target in policy.targets.items():
        for name in policy.calendar_of(metric).names:
            for span in sorted(set(target.spans), reverse=True):
                why = _why_never(policies.calendars[name], examples.now if at is None else at, span)
                example = why and _example(policy, metric, span, name, examples)
                # Without an expression the conditions tell whether any item gets this target in this calendar.
                if why is not None and (example or policy.when):
                    message = f"{written(span)} are never reached in {name}: {why}"
                    cure = f"Shorten the target, or give {name} more open hours."
                    yield Finding("policies", policy.name, ("targets", metric), message, cure, example or None)
                    break


def _why_never(hours: BusinessHours, at: Instant, span: Span) -> str | None:
    try:
        hours.add(at, span)
    except NoOpenTime as exc:
        return str(exc)
    return None


def _example(policy: Policy, metric: str, span: Span, calendar: str, examples: Examples) -> Example | None:
    target, choice = policy.targets[metric], policy.calendar_of(metric)

    def meant(each: Example) -> bool:
        return target.span(each.attributes) == span and choice.name(each.attributes) == calendar

    ways = product(choosing(target.by, span, target.within), choosing(choice.by, calendar, choice.default))
    met = (together(one, other) for one, other in ways)
    found = (examples.covered(meant, policy, also=each) for each in met if each is not None)
    return next((each for each in found if each is not None), None)


def choosing(by: By[object], chosen: object, default: object) -> Iterator[Conditions]:
    """Conditions under which a choice by attributes comes out as *chosen*; some of them may be hidden by others."""
    if chosen == default:
        yield {}
    for name, entries in by:
        for value, each in entries.items():
            if each == chosen:
                yield {name: frozenset((value,))}


def _overlaps(spec: HoursSpec) -> Iterator[tuple[str, str]]:
    for day, windows in enumerate(spec.week):
        tomorrow = spec.week[(day + 1) % 7]
        if windows and tomorrow and windows[-1].end - 86_400 > tomorrow[0].start:
            yield DAYS[day], f"those of {DAYS[day]} run into those of {DAYS[(day + 1) % 7]}"
