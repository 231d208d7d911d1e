"""Policies as plain dicts, read again from docs/policies.md: what matches, which one wins, and what it asks."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from typing import Any, Final

import yaml

from tests.oracle.events import instant
from tests.oracle.expressions import holds
from tests.oracle.hours import SECOND, Hours, inherited
from tests.oracle.zones import DAY_S, when

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
    """A policy file's text, asked for the terms of an item, and for the hours in which its clocks count."""

    def __init__(self, text: str) -> None:
        document = yaml.safe_load(text)
        calendars = document["calendars"]
        self._calendars = {name: json.dumps(inherited(calendars, name)) for name in calendars}
        self._policies: Sequence[Document] = document["policies"]
        self._exclusions: Sequence[Document] = document.get("exclusions", [])

    def hours(self, calendar: str, attributes: Attributes) -> Hours:
        """A calendar without the spans that are excluded for an item like this."""
        covering = [each for each in self._exclusions if _covers(each, attributes)]
        return _hours(
            self._calendars[calendar], tuple((instant(each["from"]), instant(each["until"])) for each in covering)
        )

    def gross(self, calendar: str) -> Hours:
        """A calendar as it is."""
        return _hours(self._calendars[calendar], ())

    def slots(self) -> Iterator[str]:
        """Where an item can have a clock of a metric: the winner's, then one for each `combine: all` by precedence."""
        yield ""
        ranked = sorted((_precedence(policy, place), policy) for place, policy in enumerate(self._policies))
        yield from (policy["name"] for _, policy in ranked if policy.get("combine") == "all")

    def terms(self, slot: str, metric: str, attributes: Attributes, start: int) -> Terms | None:
        """What holds in a slot for a metric's cycle with this start; None where no policy that matches has a target."""
        candidates = [
            (_precedence(policy, place), terms)
            for place, policy in enumerate(self._policies)
            if (policy["name"] if policy.get("combine") == "all" else "") == slot
            and self._is_valid(policy, start)
            and _covers(policy, attributes)
            and (terms := _terms(policy, metric, attributes)) is not None
        ]
        return min(candidates, key=lambda candidate: candidate[0])[1] if candidates else None

    def _is_valid(self, policy: Document, start: int) -> bool:
        """Whether a cycle that starts then takes the policy: from `from` on, and before `until`."""
        valid = policy.get("valid", {})
        since, until = (self._instant(policy, valid.get(name)) for name in ("from", "until"))
        return (since is None or since <= start) and (until is None or start < until)

    def _instant(self, policy: Document, text: str | None) -> int | None:
        """An instant as it is; a date begins at midnight in the time zone of the policy's default calendar."""
        if text is None or "T" in text:
            return None if text is None else instant(text)
        choice = policy["calendar"]
        calendar = choice["default"] if isinstance(choice, Mapping) else choice
        days = (date.fromisoformat(text) - date(1970, 1, 1)).days
        return when(self.gross(calendar).zone, days * DAY_S) * SECOND


@lru_cache(maxsize=400)
def _hours(calendar: str, excluded: tuple[tuple[int, int], ...]) -> Hours:
    """Hours of a calendar's text, the same object for the same question, so that days are counted once."""
    return Hours(json.loads(calendar), excluded)


def _covers(document: Document, attributes: Attributes) -> bool:
    """Whether a policy or an exclusion is about such an item: by its attributes, and by the expression beside them."""
    expression = document.get("when")
    return matches(document.get("applies_to"), attributes) and (expression is None or holds(expression, attributes))


def _precedence(policy: Document, place: int) -> tuple[Any, ...]:
    """The lowest wins: by level, by the number of keys, by rank (none comes last), by the order in the file."""
    keys = set(policy["applies_to"])
    named = [level for level, key in enumerate(_LEVELS) if key in keys]
    by_other = "when" in policy or keys - {"kind"}
    level = min(named, default=len(_LEVELS) if by_other else len(_LEVELS) + 1)
    rank = policy.get("rank")
    return level, -len(keys) - ("when" in policy), rank is None, rank or 0, place


def _terms(policy: Document, metric: str, attributes: Attributes) -> Terms | None:
    """The policy's terms for a metric; None where it has no target for it, or none for these attributes."""
    if metric not in policy["targets"]:
        return None
    options = policy["targets"][metric]
    if not isinstance(options, Mapping):
        options = {"within": options}
    within = _chosen(options, options.get("within"), attributes)
    if within is None:
        return None
    calendar = options.get("calendar", policy["calendar"])
    warn_at = options.get("warn_at", [])
    return Terms(
        policy=policy["name"],
        target=duration(within),
        calendar=_chosen(calendar, calendar["default"], attributes) if isinstance(calendar, Mapping) else calendar,
        pause_when=options.get("pause_when", policy.get("pause_when")),
        warn_at=tuple(warn_at) if isinstance(warn_at, list) else (warn_at,),
        on_change=policy.get("on_change", "recompute"),
        on_reopen=policy.get("on_reopen", "resume"),
        require_reply=policy.get("require_reply", False),
    )


def _chosen(options: Document, otherwise: Any, attributes: Attributes) -> Any:
    """What the first attribute listed in `by` whose value has an entry says, else *otherwise*."""
    for attribute, entries in (options.get("by") or {}).items():
        for value, chosen in entries.items():
            if written(value) in values(attributes.get(attribute)):
                return chosen
    return otherwise
