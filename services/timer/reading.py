"""What of an item's attributes decides something, so that an answer can be remembered by it."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping
from typing import Any, Final

import msgspec

from services.timer.conditions import Conditions, texts
from services.timer.expression import Expression

_EXACT: Final = msgspec.json.Encoder()


class Reading:
    """Which attributes are compared with which values, and which ones expressions read."""

    def __init__(self, compared: Iterable[Conditions], expressions: Iterable[Expression | None]) -> None:
        """What all these conditions and expressions read; the kind of an item is no attribute."""
        values: dict[str, set[str]] = {}
        for conditions in compared:
            for name, known in conditions.items():
                values.setdefault(name, set()).update(known)
        values.pop("kind", None)
        self.values: Mapping[str, frozenset[str]] = {name: frozenset(known) for name, known in values.items()}
        read = [expression.reads for expression in expressions if expression is not None]
        # The attributes of which expressions see more than whether they have a value that is named; None: all of them.
        self._exact = None if None in read else sorted(frozenset().union(*(names for names in read if names)))

    @property
    def names(self) -> frozenset[str] | None:
        """The attributes that are read; a change of any other changes no answer. None: any may be read."""
        return None if self._exact is None else frozenset((*self.values, *self._exact))

    def key(self, attributes: Mapping[str, Any], *first: Hashable) -> tuple[Any, ...]:
        """Equal for items of which all answers are equal, where what comes *first* is equal too.

        What no condition names (another customer's name) is all one. Of what an expression reads each value is another.
        """
        key: list[Any] = [*first]
        for name, known in self.values.items():
            value = attributes.get(name)
            if value.__class__ is str:
                key.append(value if value in known else None)
            else:
                key.append(None if value is None else texts(value) & known)
        if self._exact is None or self._exact:
            # As text, in which 1, 1.0, "1" and true differ, as they do in an expression.
            wanted = sorted(attributes) if self._exact is None else self._exact
            key.append(_EXACT.encode([(name, attributes.get(name)) for name in wanted]))
        return tuple(key)
