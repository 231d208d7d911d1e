"""What the mere text of an expression tells: which attributes it reads, and where a name stands.

The language's own library tells which variables an expression names, and not which members of them it reads.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

_TOKEN: Final = re.compile(
    r"""
    (?P<raw>(?:[rR][bB]?|[bB][rR])(?:'{3}.*?'{3}|"{3}.*?"{3}|'[^'\n]*'|"[^"\n]*"))
    |(?P<string>[bB]?(?:'{3}(?:\\.|.)*?'{3}|"{3}(?:\\.|.)*?"{3}|'(?:\\.|[^'\\\n])*'|"(?:\\.|[^"\\\n])*"))
    |(?P<comment>//[^\n]*)
    |(?P<name>[A-Za-z_][A-Za-z_0-9]*)
    |(?P<number>\.?[0-9](?:[eE][+-]|[.\w])*)
    |(?P<sign>!=|\S)
    """,
    re.VERBOSE | re.DOTALL,
)
_BINDING: Final = frozenset({"all", "exists", "exists_one", "existsOne", "filter", "map"})
_PLAIN: Final = re.compile(r"""(['"])([^'"\\\n]*)\1""")  # a string that means what stands in it


class _Token(NamedTuple):
    kind: str
    text: str
    start: int


def attributes_read(text: str) -> frozenset[str] | None:
    """The attributes that an expression reads, as `item.name` or `item["name"]`; None where the text does not tell."""
    tokens = [*_tokens(text), *[_Token("end", "", len(text))] * 3]
    found = set()
    for place in _items(tokens):
        name = _member(tokens[place + 1 : place + 4])
        if name is None:
            return None
        found.add(name)
    return frozenset(found)


def guarded(text: str) -> frozenset[str]:
    """The attributes for which it asks whether the item has them: `has(item.name)`."""
    return frozenset(
        tokens[4].text
        for tokens in _windows(_tokens(text), 6)
        if [token.text for token in tokens[:4]] == ["has", "(", "item", "."] and tokens[5].text == ")"
    )


def negates(text: str) -> bool:
    """Whether it turns something into its opposite, so that it can match by what is not there."""
    return any(token.text in ("!", "!=", "?") for token in _tokens(text))


def bound(text: str) -> frozenset[str]:
    """The names that its macros bind: the `x` of `item.tags.exists(x, x == "vip")`."""
    return frozenset(
        tokens[2].text
        for tokens in _windows(_tokens(text), 4)
        if tokens[0].text in _BINDING and tokens[1].text == "(" and tokens[3].text == ","
    )


def place_of(text: str, name: str) -> str:
    """Where a name stands first, for a person: `line 1, column 5 of the expression`."""
    start = next((token.start for token in _tokens(text) if token.kind == "name" and token.text == name), 0)
    line = text.count("\n", 0, start) + 1
    return f"line {line}, column {start - text.rfind(chr(10), 0, start)} of the expression"


def _tokens(text: str) -> list[_Token]:
    found = (_Token(match.lastgroup or "", match[0], match.start()) for match in _TOKEN.finditer(text))
    return [token for token in found if token.kind != "comment"]


def _windows(tokens: list[_Token], size: int) -> list[list[_Token]]:
    return [tokens[place : place + size] for place in range(len(tokens) - size + 1)]


def _items(tokens: list[_Token]) -> list[int]:
    # The places of the variable `item`; a member of that name, as in `item.parent.item`, is another thing.
    return [
        place
        for place, token in enumerate(tokens)
        if (token.kind, token.text) == ("name", "item") and not _is_member(tokens[max(place - 2, 0) : place])
    ]


def _is_member(before: list[_Token]) -> bool:
    return len(before) == 2 and before[1].text == "." and (before[0].kind == "name" or before[0].text in (")", "]"))


def _member(after: list[_Token]) -> str | None:
    first, second, third = after
    if first.text == "." and second.kind == "name" and third.text != "(":
        return second.text
    plain = _PLAIN.fullmatch(second.text)
    return plain[2] if first.text == "[" and plain and third.text == "]" else None
