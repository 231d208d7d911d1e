"""Whether something published is what somebody asked for: equality and lists, patterns, and an expression. PURE."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final

import re2

from shared.breach_records import TYPE_NAMES, BreachRecord, PublishedRecord
from shared.events import BreachEvent, SourceSilence
from shared.expression import Formula

FIELDS: Final = frozenset(BreachEvent.__struct_fields__) - {"attributes", "explanation"}
FIELDS_OF_SILENCE: Final = frozenset(SourceSilence.__struct_fields__)
ALL_FIELDS: Final = FIELDS | FIELDS_OF_SILENCE
NOTHING: Final = "null"  # how an absent value is written in a match
PATTERN_CHARACTERS: Final = 500
_SHOWN: Final = 60  # characters of a value that is told of

Match = Mapping[str, frozenset[str]]  # field or attribute -> the texts of which any one matches


@dataclass(frozen=True)
class Pattern:
    """A regular expression, which a whole text must match; equal to another one with the same text.

    The engine needs a time that grows with the length of the text alone: what stands in tickets can be anything.
    """

    text: str

    def takes(self, value: Any) -> bool:
        """Whether a value matches, or any member of a list; what is absent does not."""
        return any(self.fits(text) for text in texts(value) - {NOTHING})

    def fits(self, text: str) -> bool:
        """Whether the whole of *text* matches."""
        return self._compiled.fullmatch(text) is not None

    @cached_property
    def _compiled(self) -> Any:
        options = re2.Options()
        options.log_errors = False  # it would write them to the process's standard error
        return re2.compile(self.text, options)


@dataclass(frozen=True, slots=True)
class Conditions:
    """What must all hold of something published; without any they take everything."""

    match: Match = field(default_factory=dict)
    patterns: Mapping[str, Pattern] = field(default_factory=dict)
    when: Formula | None = None

    def hold(self, record: PublishedRecord) -> bool:
        """Whether they hold of *record*; an expression that cannot be evaluated for it does not."""
        return (
            matches(self.match, record)
            and all(pattern.takes(value_of(record, name)) for name, pattern in self.patterns.items())
            and (self.when is None or _answer(self.when, record) is True)
        )

    def against(self, record: PublishedRecord) -> list[str]:
        """Why they do not hold of *record*: each that fails, with what is there instead. Empty where they hold."""
        return list(_objections(self, record))

    def __str__(self) -> str:
        """They as people read them: `severity is critical or high, customer matches acme-.*`."""
        parts = [f"{name} is {' or '.join(sorted(allowed))}" for name, allowed in self.match.items()]
        parts += [f"{name} matches {pattern.text}" for name, pattern in self.patterns.items()]
        return ", ".join([*parts, *([self.when.text] if self.when else [])])

    def __bool__(self) -> bool:
        """Whether there is anything that they ask for."""
        return bool(self.match or self.patterns or self.when)


def matches(match: Match, record: PublishedRecord) -> bool:
    """Whether every field of *match* has one of its values in *record*; a list has those of its members."""
    return all(not allowed.isdisjoint(texts(value_of(record, name))) for name, allowed in match.items())


def covers(wider: Conditions, narrower: Iterable[Conditions]) -> bool:
    """Whether whatever meets all of *narrower* meets *wider* too, as far as their texts tell."""
    narrow = list(narrower)
    return (
        all(any(_within(each.match, name, allowed) for each in narrow) for name, allowed in wider.match.items())
        and all(any(_fitting(each, name, pattern) for each in narrow) for name, pattern in wider.patterns.items())
        and (wider.when is None or any(each.when == wider.when for each in narrow))
    )


def exclude(conditions: Iterable[Conditions]) -> str | None:
    """The first field of which *conditions* ask what cannot be at once; an attribute may be a list, and be both."""
    asked: dict[str, frozenset[str]] = {}
    for each in conditions:
        for name, allowed in each.match.items():
            if name not in ALL_FIELDS | {"type"}:
                continue
            asked[name] = asked.get(name, allowed) & allowed
            if not asked[name]:
                return name
    return None


def value_of(record: PublishedRecord, name: str) -> Any:
    """The value of a field or attribute; None where *record* has none of that name."""
    if name == "type":
        return TYPE_NAMES[record.type]
    if not isinstance(record, BreachRecord):  # it has no item, so what is asked of one is absent
        return getattr(record.data, name) if name in FIELDS_OF_SILENCE else None
    if name.startswith("attributes."):
        return record.data.attributes.get(name.removeprefix("attributes."))
    return getattr(record.data, name) if name in FIELDS else record.data.attributes.get(name)


def values(record: PublishedRecord, names: Iterable[str] = ALL_FIELDS) -> dict[str, Any]:
    """What an expression that *names* some fields sees beside the item; null where *record* has none of that name."""
    found = {name: getattr(record.data, name, None) for name in names if name in ALL_FIELDS}
    return {"type": TYPE_NAMES[record.type], **found}


def texts(value: Any) -> frozenset[str]:
    """A value as the texts that it is compared by, as they are written in the file; what is absent or empty is null."""
    if isinstance(value, bool):
        return frozenset(("true" if value else "false",))
    if isinstance(value, float) and value.is_integer():
        return frozenset((str(int(value)),))
    if isinstance(value, str | int | float):
        return frozenset((str(value),))
    if isinstance(value, list) and value:
        return frozenset().union(*(texts(member) for member in value))
    return frozenset((NOTHING,))


def _answer(formula: Formula, record: PublishedRecord) -> bool | str:
    attributes = record.data.attributes if isinstance(record, BreachRecord) else {}
    # Each field that is handed over costs 1 µs, and there are thirty.
    return formula.answer(values(record, formula.names), attributes)


def _objections(conditions: Conditions, record: PublishedRecord) -> Iterator[str]:
    for name, allowed in conditions.match.items():
        found = texts(value_of(record, name))
        if allowed.isdisjoint(found):
            yield f"{name} is {_told(found)}, not {' or '.join(sorted(allowed))}"
    for name, pattern in conditions.patterns.items():
        value = value_of(record, name)
        if not pattern.takes(value):
            yield f"{name} is {_told(texts(value))}, which does not match {pattern.text}"
    if conditions.when is not None:
        said = _answer(conditions.when, record)
        if said is not True:
            yield f"{conditions.when.text} is {'not so' if said is False else f'not known: {said}'}"


def _told(found: frozenset[str]) -> str:
    return " and ".join(text[:_SHOWN] for text in sorted(found))


def _within(match: Match, name: str, allowed: frozenset[str]) -> bool:
    return name in match and match[name] <= allowed


def _fitting(conditions: Conditions, name: str, pattern: Pattern) -> bool:
    if conditions.patterns.get(name) == pattern:
        return True
    asked = conditions.match.get(name, frozenset((NOTHING,)))
    return NOTHING not in asked and all(pattern.fits(text) for text in asked)
