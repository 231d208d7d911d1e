"""What is correct JSON and would still do harm further on: refused where data comes in."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec

from shared.errors import BadRecord

MAX_DEPTH: Final = 32
"""How deep data may be nested: enough for any item, and far from where a reader in any language runs out of stack."""

NO_NUL: Final = "the character U+0000 is not allowed in any text"
TOO_DEEP: Final = f"expected data nested at most {MAX_DEPTH} levels deep"
TOO_WIDE: Final = "expected whole numbers of at most 64 bits; write a larger one as text"

_STORED: Final = msgspec.msgpack.Encoder()


def refuse_hostile_text(value: bytes) -> None:
    """Refuse text that PostgreSQL cannot store.

    Raises:
        BadRecord: *value* holds the character U+0000, or may hold it too deep to be seen, or is no JSON where nobody
            has looked yet.
    """
    if b"\\u0000" in value:
        refuse_deep_nesting(value)  # first, because the search would run out of stack
        if "\0" in _texts(_read(value)):
            raise BadRecord("invalid", NO_NUL)


def refuse_large_numbers(attributes: Mapping[str, Any]) -> None:
    """Refuse numbers that can be read from JSON, and not be stored with an item.

    Raises:
        BadRecord: a whole number in *attributes* has more than 64 bits.
    """
    # Storing them is the test, 0.3 µs: looking at each value takes longer.
    try:
        _STORED.encode(attributes)
    except OverflowError as exc:
        raise BadRecord("invalid", TOO_WIDE, "data.attributes") from exc
    except RecursionError as exc:
        raise BadRecord("invalid", TOO_DEEP, "data.attributes") from exc


def refuse_deep_nesting(value: bytes) -> None:
    """Refuse data that later readers, each with a stack of its own, may not be able to follow.

    Raises:
        BadRecord: *value* is nested deeper than MAX_DEPTH, or is no JSON where nobody has looked yet.
    """
    if value.count(b"{") + value.count(b"[") > MAX_DEPTH and _depth(_read(value)) > MAX_DEPTH:
        raise BadRecord("invalid", TOO_DEEP)


def shown(value: Any) -> str:
    """The beginning of a value for a message, whatever somebody sent."""
    try:
        return f"{value!r:.60}"
    except RecursionError:
        return "deeply nested data"


def _read(value: bytes) -> Any:
    # A decoder skips the fields that it does not know, with all the text and numbers in them that cannot be read.
    try:
        return msgspec.json.decode(value)
    except RecursionError as exc:
        raise BadRecord("invalid", TOO_DEEP) from exc
    except (msgspec.DecodeError, UnicodeDecodeError) as exc:
        raise BadRecord("undecodable", str(exc)) from exc


def _depth(value: Any) -> int:
    depth, level = 0, _nested([value])
    while level:
        depth += 1
        level = [inner for outer in level for inner in _nested(outer.values() if isinstance(outer, dict) else outer)]
    return depth


def _nested(values: Iterable[Any]) -> list[Any]:
    return [value for value in values if isinstance(value, dict | list)]


def _texts(value: Any) -> str:
    # All the text in a JSON value, run together; only ever called for records that look hostile.
    if isinstance(value, dict):
        return "".join(key + _texts(item) for key, item in value.items())
    if isinstance(value, list):
        return "".join(_texts(item) for item in value)
    return value if isinstance(value, str) else ""
