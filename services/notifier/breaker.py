"""When an endpoint that fails again and again is left alone, and how it is tried again. PURE.

After FAILURES attempts in a row that it did not answer, or asked to be repeated, an endpoint rests: FIRST_REST, and
twice as long after each trial that fails, up to LONGEST_REST. A trial is a single attempt; one that succeeds ends it
all. What waits meanwhile is not attempted, and so uses up nothing of its schedule.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from services.notifier.delivery import Outcome
from shared.events import SECOND, Instant, Span

FAILURES: Final = 5
FIRST_REST: Final[Span] = 10 * SECOND
LONGEST_REST: Final[Span] = 300 * SECOND
LONGEST_WISH: Final[Span] = 3600 * SECOND  # whoever asks to be left alone for longer is asked again after an hour
JITTER: Final = 0.1  # a rest is up to this share longer, so that several processes do not try together


@dataclass(frozen=True, slots=True)
class Breaker:
    """What a process knows of an endpoint from its own attempts."""

    failures: int = 0  # in a row
    rests: int = 0  # since the last attempt that succeeded
    until: Instant = 0  # when it may be attempted again

    def after(self, outcome: Outcome, now: Instant, *, jitter: float) -> Breaker:
        """What is known after an attempt that ended at *now*.

        Args:
            jitter: in [0, 1), what chance adds to a rest.

        A refusal is an answer, so the endpoint works. What fails while it rests was under way before, and makes no
        rest longer.
        """
        if outcome.result != "retry":
            return CLOSED
        known = replace(self, failures=self.failures + 1)
        if outcome.after:
            # It asked all of us, not one delivery only.
            known = replace(known, until=max(known.until, now + min(outcome.after, LONGEST_WISH)))
        if known.failures < FAILURES or self.is_resting(now):
            return known
        rest = min(FIRST_REST << min(self.rests, 10), LONGEST_REST)
        end = now + rest + round(rest * JITTER * jitter)
        return replace(known, rests=self.rests + 1, until=max(known.until, end))

    def is_resting(self, now: Instant) -> bool:
        """Whether no attempt may begin."""
        return now < self.until

    def room(self, concurrency: int, busy: int, now: Instant) -> int:
        """How many attempts may begin, of *concurrency* at once, while *busy* are under way."""
        if self.is_resting(now):
            return 0
        return max((1 if self.rests else concurrency) - busy, 0)


CLOSED: Final = Breaker()
"""Of an endpoint that nothing is known against."""
