"""Instants as commands take them."""

from __future__ import annotations

import time

import typer

from shared.events import Instant, parse_instant


def present() -> Instant:
    """The instant at which it is called."""
    return time.time_ns() // 1000


def given(name: str, text: str) -> Instant:
    """The instant that *text*, given as the argument or option *name*, says.

    Raises:
        typer.BadParameter: it is not RFC 3339.
    """
    try:
        return parse_instant(text)
    except ValueError as exc:
        raise typer.BadParameter(str(exc), param_hint=name) from exc
