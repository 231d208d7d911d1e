"""Texts as other programs take them: escaped as their format wants it, and no longer than they allow. PURE."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from shared.events import Severity

ELLIPSIS: Final = "…"
COLORS: Final[Mapping[Severity, str]] = {
    "low": "#6b7280",
    "medium": "#2563eb",
    "high": "#d97706",
    "critical": "#dc2626",
}
OVER: Final = "#16a34a"  # whatever the severity was


def fitted(text: str, most: int, escape: Callable[[str], str] = str, *, size: Callable[[str], int] = len) -> str:
    """*text*, escaped character by character, cut so that it has at most *most* of what *size* counts."""
    whole = "".join(map(escape, text))
    if size(whole) <= most:
        return whole
    room, pieces = most - size(ELLIPSIS), []
    for character in text:
        piece = escape(character)
        room -= size(piece)
        if room < 0:
            break
        pieces.append(piece)
    return "".join(pieces) + ELLIPSIS


def utf16(text: str) -> int:
    """How many units of UTF-16 *text* has, in which some programs count."""
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


def utf8(text: str) -> int:
    """How many bytes *text* has in UTF-8."""
    return len(text.encode())
