"""Where commands write tables."""

from __future__ import annotations

from rich.console import Console


def console() -> Console:
    """Standard output: as wide as the terminal, and in a file as wide as its lines."""
    found = Console(highlight=False)
    if not found.is_terminal:
        found.width = 400
    return found
