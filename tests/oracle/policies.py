"""Policies as plain dicts, read again from docs/policies.md: what matches, which one wins, and what it asks."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

import yaml

from tests.oracle.hours import SECOND, Hours

Attributes = Mapping[str, Any]
Document = Mapping[str, Any]

_UNITS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_LEVELS: Final = ("contact", "customer", "service", "department", "group")


def duration(text: Any) -> int:
    """`1h30m` as microseconds."""
    return sum(int(number) * _UNITS[unit] for number, unit in re.findall(r"(\d+)([smhd])", str(text))) * SECOND


def used_up_by(warning: str, target: int) -> int:
    """How much of a target is used up at a warning: a share of it, or all but the time left."""
    if warning.endswith("%"):
        return target * int(warning[:-1]) // 100
    return target - duration(warning.removesuffix("_left"))


def written(value: Any) -> str:
    """An attribute as it is written, so that `1` and `"1"` are the same."""
    return {True: "true", False: "false"}[value] if isinstance(value, bool) else str(value)


def values(value: Any) -> set[str]:
    """One value or the members of a list, as they are written; nothing where there is none."""
    if value is None:
        return set()
    return {written(each) for each in value} if isinstance(value, list) else {written(value)}


def matches(wanted: Mapping[str, Any] | None, attributes: Attributes) -> bool:
    """Whether every key has one of its values; a condition without keys always holds."""
    return all(values(attributes.get(key)) & values(options) for key, options in (wanted or {}).items())


@dataclass(frozen=True)
class Terms:
    """What a policy asks of one metric of an item with given attributes."""

    policy: str
    target: int
    calendar: str
    pause_when: Mapping[str, Any] | None
    warn_at: tuple[str, ...]
    on_change: str
    on_reopen: str
    require_reply: bool

    @property
    def asked(self) -> tuple[Any, ...]:
        """What makes terms others: the policy, its target, its calendar, its pauses."""
        return self.policy, self.target, self.calendar, self.pause_when


class Policies:
    """A policy file's text, asked for the terms of an item."""

    def __init__(self, text: str) -> None:
        document = yaml.safe_load(text)
        self.hours = {name: _hours(json.dumps(calendar)) for name, calendar in document["calendars"].items()}
        self._policies: Sequence[Document] = document["policies"]

    def slots(self) -> Iterator[str]:
        """Where an item can have a clock of a metric: the winner's, then one for each `combine: all` by precedence."""
        yield ""
        ranked = sorted((_precedence(policy, place), policy) for place, policy in enumerate(self._policies))
        yield from (policy["name"] for _, policy in ranked if policy.get("combine") == "all")

    def terms(self, slot: str, metric: str, attributes: Attributes) -> Terms | None:
        """What holds for a metric in a slot; None where no policy that matches has a target for it."""
        candidates = [
            (_precedence(policy, place), terms)
            for place, policy in enumerate(self._policies)
            if (policy["name"] if policy.get("combine") == "all" else "") == slot
            and matches(policy["applies_to"], attributes)
            and (terms := _terms(policy, metric, attributes)) is not None
        ]
        return min(candidates, key=lambda candidate: candidate[0])[1] if candidates else None


@lru_cache(maxsize=200)
def _hours(calendar: str) -> Hours:
    """A calendar, the same object for the same text, so that days are marked once."""
    return Hours(json.loads(calendar))


def _precedence(policy: Document, place: int) -> tuple[Any, ...]:
    """The lowest wins: by level, by the number of keys, by rank (none comes last), by the order in the file."""
    keys = set(policy["applies_to"])
    named = [level for level, key in enumerate(_LEVELS) if key in keys]
    level = min(named, default=len(_LEVELS) if keys - {"kind"} else len(_LEVELS) + 1)
    rank = policy.get("rank")
    return level, -len(keys), rank is None, rank or 0, place


def _terms(policy: Document, metric: str, attributes: Attributes) -> Terms | None:
    """The policy's terms for a metric; None where it has no target for it, or none for these attributes."""
    if metric not in policy["targets"]:
        return None
    options = policy["targets"][metric]
    if not isinstance(options, Mapping):
        options = {"within": options}
    within = _within(options, attributes)
    if within is None:
        return None
    warn_at = options.get("warn_at", [])
    return Terms(
        policy=policy["name"],
        target=duration(within),
        calendar=policy["calendar"],
        pause_when=policy.get("pause_when"),
        warn_at=tuple(warn_at) if isinstance(warn_at, list) else (warn_at,),
        on_change=policy.get("on_change", "recompute"),
        on_reopen=policy.get("on_reopen", "resume"),
        require_reply=policy.get("require_reply", False),
    )


def _within(options: Document, attributes: Attributes) -> Any:
    """The first attribute listed in `by` whose value has an entry, else `within`."""
    for attribute, entries in (options.get("by") or {}).items():
        for value, within in entries.items():
            if written(value) in values(attributes.get(attribute)):
                return within
    return options.get("within")
