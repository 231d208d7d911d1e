"""The times in which a clock ran or stood still without a change."""

from __future__ import annotations

import msgspec

from services.timer.net_hours import NetHours
from shared.events import Instant, Span


class Stretch(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One of them; business times are as of its start."""

    since: Instant
    ran: bool
    elapsed: Span
    paused: Span
    exclusion: str = ""  # the name of the exclusion in which the clock stood still
    reason: str = ""  # of that exclusion


def cut(stretch: Stretch, end: Instant, hours: NetHours) -> list[Stretch]:
    """A stretch up to *end* in which a clock ran on, as what the exclusions in *hours* make of it."""
    found = []
    at, elapsed, paused = stretch.since, stretch.elapsed, stretch.paused
    for start, until, name, reason in hours.closures(stretch.since, end):
        if at < start:
            found.append(Stretch(at, ran=True, elapsed=elapsed, paused=paused))
            elapsed += hours.gross.between(at, start)
        found.append(Stretch(start, ran=False, elapsed=elapsed, paused=paused, exclusion=name, reason=reason))
        paused += hours.gross.between(start, until)
        at = until
    if at < end or not found:
        found.append(Stretch(at, ran=True, elapsed=elapsed, paused=paused))
    return found
