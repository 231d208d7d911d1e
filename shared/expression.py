"""Expressions in the Common Expression Language: conditions that equality and lists cannot say.

An expression sees an item's attributes as `item`, and beside it the fields that its user offers. It reads no clock and
nothing else, so it says the same of the same values for ever.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from typing import TYPE_CHECKING, Any, Final

from shared.expression_text import attributes_read, bound, guarded, negates, place_of

if TYPE_CHECKING:
    from cel import Program

LENGTH: Final = 1_000  # of an expression; what is longer is a program, and nobody reads it
_ITEM: Final = "item"
_FEW: Final = 3  # fields that are all named to whoever wrote another name
_TYPES: Final = frozenset({"bool", "bytes", "double", "duration", "int", "list", "map", "string", "timestamp", "uint"})
FUNCTIONS: Final = frozenset(
    {
        *("bytes", "contains", "double", "duration", "dyn", "endsWith", "int", "matches", "size", "startsWith"),
        *("string", "timestamp", "type", "uint"),
        *("getDate", "getDayOfMonth", "getDayOfWeek", "getDayOfYear", "getFullYear", "getHours", "getMilliseconds"),
        *("getMinutes", "getMonth", "getSeconds"),
    }
)
# What the library raises while it evaluates: a number out of bounds, an attribute or a member that is not there, a
# function that does not take what it is given, operands that do not fit, a text that cannot be read.
_FAILURES: Final = (ArithmeticError, LookupError, RuntimeError, TypeError, ValueError)
_SAMPLES: Final[tuple[Any, ...]] = ("2026-01-05T08:00:00Z", 1, 1.5, True, ["a"], {"a": 1})
_TRIED: Final = 3  # attributes of which all combinations of SAMPLES are tried
_SYNTAX: Final = re.compile(r"ERROR: <input>:(\d+):(\d+): (.*)")


@dataclass(frozen=True)
class Formula:
    """An expression, equal to another one with the same text; what is not checked may fail when it is asked."""

    text: str

    @cached_property
    def reads(self) -> frozenset[str] | None:
        """The attributes that it reads; None when its text does not tell, so that it may read any."""
        return attributes_read(self.text)

    @cached_property
    def names(self) -> frozenset[str]:
        """The variables that it names; those of its macros among them."""
        return frozenset(self._program.variables())

    @property
    def unguarded(self) -> frozenset[str]:
        """The attributes whose absence a reader may take for a match: read under a negation, without a `has()`."""
        return (self.reads or frozenset()) - guarded(self.text) if negates(self.text) else frozenset()

    def answer(self, fields: Mapping[str, Any], attributes: Mapping[str, Any]) -> bool | str:
        """What it says of an item with these *attributes*, and *fields* beside it, or why it cannot be evaluated."""
        try:
            found = self.value(fields, attributes)
        except _FAILURES as exc:
            return _why(exc)
        return found if isinstance(found, bool) else f"it gives {_shown(found)}, which is neither true nor false"

    def value(self, fields: Mapping[str, Any], attributes: Mapping[str, Any]) -> Any:
        """What it gives.

        Raises:
            ArithmeticError, LookupError, RuntimeError, TypeError, ValueError: it cannot be evaluated for these values.
        """
        # Only what it is known to read, so that whoever remembers answers by these attributes remembers the right ones.
        names = attributes.keys() if self.reads is None else self.reads & attributes.keys()
        item = {name: attributes[name] for name in names if attributes[name] is not None}
        return self._program.execute({**fields, _ITEM: item})

    @cached_property
    def _program(self) -> Program:
        return _compiled(self.text)


def check(text: object, fields: Mapping[str, Any]) -> str:
    """*text*, an expression that is right as far as that can be told without an item.

    Args:
        text: what stands in a file.
        fields: what it may name beside the item, each with a value as it may have.

    Raises:
        ValueError: *text* is no expression, names what does not exist, or never gives true or false.
    """
    if not isinstance(text, str) or not text.strip():
        raise ValueError(f"expected an expression like item.amount > 1000, got {text!r}")
    if len(text) > LENGTH:
        raise ValueError(f"expected an expression of at most {LENGTH} characters, got {len(text)}")
    try:
        program = _compiled(text)
    except ValueError as exc:
        raise ValueError(_syntax(str(exc))) from exc
    _check_names(text, program, fields)
    _try_out(Formula(text), fields)
    return text


def _compiled(text: str) -> Program:
    # The library takes 0.2 s to import, by the command line that it brings along, and most policies have no expression.
    from cel import compile as compiled  # noqa: PLC0415  # as said above

    return compiled(text)


def _syntax(message: str) -> str:
    found = _SYNTAX.search(message)
    if found is None:
        return f"expected an expression, {message.splitlines()[0]}"
    line, column, what = found.groups()
    return f"line {line}, column {column} of the expression: {what.partition(' expecting')[0]}"


def _check_names(text: str, program: Program, fields: Mapping[str, Any]) -> None:
    for name in sorted(set(program.variables()) - fields.keys() - {_ITEM} - _TYPES - bound(text)):
        field = " or ".join(f"`{each}`" for each in fields) if len(fields) <= _FEW else "a field"
        raise ValueError(f"{place_of(text, name)}: expected {field}, or an attribute like `item.{name}`, got {name!r}")
    named = {name for name in program.functions() if name.isidentifier() and not name.startswith("_")}
    for name in sorted(named - FUNCTIONS):
        known = ", ".join(sorted(FUNCTIONS))
        raise ValueError(f"{place_of(text, name)}: expected a function that exists ({known}), got {name!r}")


def _try_out(formula: Formula, fields: Mapping[str, Any]) -> None:
    # The library knows no types of attributes, so that only trying tells whether true or false can come of it.
    reads = sorted(formula.reads or ())
    failures: list[str] = []
    for values in ((), *(product(_SAMPLES, repeat=len(reads)) if len(reads) <= _TRIED else ())):
        try:
            found = formula.value(fields, dict(zip(reads, values, strict=False)))
        except _FAILURES as exc:
            failures += [] if reads or formula.reads is None else [_why(exc)]
        else:
            if isinstance(found, bool):
                return
            failures.append(f"it gives {_shown(found)}")
    if failures:
        raise ValueError(f"expected what can be true or false, but {failures[0]}")


def _shown(value: Any) -> str:
    return f"{value!r:.60}"


def _why(failure: Exception) -> str:
    if isinstance(failure, KeyError):
        return f"the item has no {failure.args[0]!r}"
    if isinstance(failure, TypeError):
        return "the operands of some operation do not fit each other"
    if isinstance(failure, RuntimeError):
        return "some function does not take what it is given"
    return str(failure).splitlines()[0]
