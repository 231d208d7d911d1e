"""When each event of a recorded file is sent again, and which time it then carries. PURE."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import accumulate

from shared.events import Instant, Span


@dataclass(frozen=True, slots=True)
class Recording:
    """What is known of a file's events before the first is sent."""

    count: int
    first: Instant  # the earliest
    last: Instant  # the latest

    @property
    def span(self) -> Span:
        """From its earliest to its latest event."""
        return self.last - self.first


def recording(times: Iterable[Instant]) -> Recording | None:
    """What *times*, in the order of the file, say of it; None when it is empty."""
    count, first, last = 0, None, 0
    for time in times:
        count += 1
        first = time if first is None or time < first else first
        last = max(last, time) if count > 1 else time
    return None if first is None else Recording(count, first, last)


@dataclass(frozen=True, slots=True)
class Speed:
    """How much faster than it happened; None: all at once."""

    times: float | None = 1.0

    def after(self, span: Span) -> Span:
        """How long what took *span* takes."""
        return 0 if self.times is None else round(span / self.times)


def parse_speed(text: str) -> Speed:
    """The speed that `realtime`, `max` or a factor like `x60` or `x0.5` names.

    Raises:
        ValueError: it names none.
    """
    if text == "max":
        return Speed(None)
    if text == "realtime":
        return Speed(1.0)
    found = re.fullmatch(r"[x×]([0-9]{1,6}(?:\.[0-9]{1,3})?)", text)
    if found is None or float(found[1]) == 0:
        raise ValueError(f"expected realtime, max or a factor like x60, got {text!r}")
    return Speed(float(found[1]))


def schedule(times: Iterable[Instant], speed: Speed) -> Iterator[Span]:
    """For each event, in the order of the file, how long after the first one it is sent; drawn one by one.

    The order of the file is kept: an event whose time lies before that of one above it, because it came late, is sent
    right behind that one.
    """
    first: Instant | None = None
    for latest in accumulate(times, max):
        first = latest if first is None else first
        yield speed.after(latest - first)


def shift(recorded: Recording, speed: Speed, start: Instant) -> Span:
    """What to add to every time so that the file happens now, when its sending begins at *start*.

    At its own pace or slower, the first event happens at the start. Faster, the last event happens at the end of the
    sending: between them lies the time that lay between them, so the first ones are past. No event is ever sent before
    it happened.
    """
    if speed.times is not None and speed.times <= 1:
        return start - recorded.first
    return start + speed.after(recorded.span) - recorded.last
