"""Conditions on an item's attributes, and whether they hold."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, TypeVar

Entry = TypeVar("Entry")
Conditions = Mapping[str, frozenset[str]]  # attribute -> the texts of which any one matches; all keys must match
By = tuple[tuple[str, Mapping[str, Entry]], ...]  # attribute, its values to what they choose; in the order of the file

LIST: Final = "tags"  # the attribute that is a list by its nature: an item can have several of its values at once


def texts(value: Any) -> frozenset[str]:
    """An attribute's value as the texts that it is compared by: one for a plain value, one a member for a list.

    Numbers and truth values are compared as they are written (`1`, `2.5`, `true`), because the keys of a YAML mapping
    are texts. Null and nested values are nothing, so they match nothing.
    """
    if isinstance(value, str):
        return frozenset((value,))
    if isinstance(value, bool):
        return frozenset(("true" if value else "false",))
    if isinstance(value, int | float):
        whole = isinstance(value, float) and value.is_integer()
        return frozenset((str(int(value) if whole else value),))
    if isinstance(value, list | tuple):
        return frozenset().union(*(texts(member) for member in value if not isinstance(member, list | tuple)))
    return frozenset()


def matches(conditions: Conditions, attributes: Mapping[str, Any]) -> bool:
    """Whether every condition holds; a list attribute matches when any member does. Empty conditions match."""
    for name, allowed in conditions.items():
        value = attributes.get(name)
        if value.__class__ is str:
            if value not in allowed:
                return False
        elif value is None or allowed.isdisjoint(texts(value)):
            return False
    return True


def entry(by: By[Entry], attributes: Mapping[str, Any]) -> Entry | None:
    """What the first attribute of *by* chooses whose value has an entry; None where no attribute's has one.

    Of a list attribute the entry that the file names first counts.
    """
    for name, entries in by:
        values = texts(attributes.get(name))
        for value, chosen in entries.items():
            if value in values:
                return chosen
    return None


def implied(general: Conditions, special: Conditions) -> bool:
    """Whether whatever meets *special* meets *general* too."""
    return all(name in special and special[name] <= values for name, values in general.items())


def apart(one: Conditions, other: Conditions) -> bool:
    """Whether no item can meet both, as far as the values tell; of tags it can have both of two."""
    shared = (one.keys() & other.keys()) - {LIST}
    return any(one[name].isdisjoint(other[name]) for name in shared)


def together(one: Conditions, other: Conditions) -> Conditions | None:
    """Conditions that are met only by what meets both; None where their values exclude each other."""
    met = {name: one[name] & other[name] for name in one.keys() & other.keys()}
    return {**one, **other, **met} if all(met.values()) else None
