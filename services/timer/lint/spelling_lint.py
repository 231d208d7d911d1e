"""Attributes and values that policies name, and that no recorded item has."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from difflib import get_close_matches
from typing import Final, NamedTuple

from services.timer.conditions import By, Conditions, texts
from services.timer.expression import Expression
from services.timer.lint.example import Example
from services.timer.lint.finding import Finding, Section
from services.timer.lint.recording import Recording
from services.timer.policy import LEVELS, Policy
from services.timer.policy_set import PolicySet
from shared.documents import Path

_ALIKE: Final = 0.75  # of difflib: `custmer` and `customer` are, `acme` and `acme-labs` are not


class _Named(NamedTuple):
    """An attribute that is named somewhere, with its values where they are named too."""

    path: Path
    attribute: str
    values: frozenset[str] = frozenset()


def misspelled(policies: PolicySet, recorded: Recording) -> Iterator[Finding]:
    """The attributes that no item ever had, and the values that no item ever had where a similar one is met."""
    named: list[tuple[Section, str, list[_Named]]] = [
        *(("policies", policy.name, list(_of_policy(policy, policies))) for policy in policies.policies),
        *(("exclusions", each.name, list(_asked(each.applies_to, each.when))) for each in policies.exclusions.all),
    ]
    everywhere: dict[str, set[str]] = {}
    for _, _, places in named:
        for place in places:
            everywhere.setdefault(place.attribute, set()).update(place.values)
    for section, name, places in named:
        for path, message, cure, example in _mistakes(places, recorded, everywhere):
            yield Finding(section, name, path, message, cure, example)


def _mistakes(
    places: list[_Named], recorded: Recording, everywhere: Mapping[str, Collection[str]]
) -> Iterator[tuple[Path, str, str, Example | None]]:
    told: set[tuple[str, str | None]] = set()
    for path, attribute, values in places:
        if attribute not in recorded.values:
            if (attribute, None) not in told:
                near = _near(attribute, recorded.values, ())
                cure = f"Write {near!r}, if that is meant." if near else "Name an attribute that the events have."
                yield path, f"no event has the attribute {attribute!r}", cure, recorded.examples[0]
            told.add((attribute, None))
            continue
        known = recorded.values[attribute]
        for value in sorted(values - known):
            # Two customers may have similar names, and both be meant; of two similar priorities one is a slip.
            near = _near(value, known, everywhere[attribute] if attribute in LEVELS else values)
            if near is not None and (attribute, value) not in told:
                told.add((attribute, value))
                message = f"no event has {attribute}={value}, but there is {attribute}={near}"
                yield path, message, f"Write {near!r}, if that is meant.", _having(attribute, near, recorded)


def _near(text: str, known: Collection[str], meant: Collection[str]) -> str | None:
    # A number is no misspelling of another one.
    if text.isdigit():
        return None
    folded = {each.casefold(): each for each in sorted(known) if each not in meant}
    found = get_close_matches(text.casefold(), folded, n=1, cutoff=_ALIKE)
    return folded[found[0]] if found else None


def _having(attribute: str, value: str, recorded: Recording) -> Example | None:
    having = (
        item.example(moment)
        for item in recorded.items
        for moment in item.moments
        if value in texts(moment.attributes.get(attribute))
    )
    return next(having, None)


def _of_policy(policy: Policy, policies: PolicySet) -> Iterator[_Named]:
    yield from _asked(policy.applies_to, policy.when)
    yield from _chosen(("calendar",), policy.calendar.by)
    for name, values in policy.pause_when.items():
        yield _Named(("pause_when", name), name, values)
    for metric, target in policy.targets.items():
        path = ("targets", metric)
        yield from _chosen(path, target.by)
        yield from _chosen((*path, "calendar"), target.calendar.by if target.calendar else ())
        for name, values in policies.pauses(policy, metric).items():
            yield _Named((*path, "pause_when", name), name, values)
        for name in sorted(policies.metrics[metric].names):
            yield _Named(path, name)


def _asked(applies_to: Conditions, when: Expression | None) -> Iterator[_Named]:
    for name, values in applies_to.items():
        if name != "kind":
            yield _Named(("applies_to", name), name, values)
    for name in sorted((when and when.reads) or ()):
        yield _Named(("when",), name)


def _chosen(path: Path, by: By[object]) -> Iterator[_Named]:
    for name, entries in by:
        yield _Named((*path, "by", name), name, frozenset(entries))
