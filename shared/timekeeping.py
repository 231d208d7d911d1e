"""One time for all processes: a monotonic clock, set by the database's clock now and then."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

import structlog

from shared.errors import Unavailable
from shared.events import SECOND, Instant, Span

log = structlog.get_logger(__name__)
MEASURE_S: Final = 10.0
STEP: Final[Span] = 2 * SECOND  # more than clocks drift between two measurements: somebody set one
SLOW: Final[Span] = SECOND // 10  # an answer that took so long says too little about when it was given


class Timekeeper:
    """Gives `now`; between measurements it only moves as the monotonic clock does."""

    def __init__(self, monotonic_us: Callable[[], int], database_now: Callable[[], Awaitable[Instant]]) -> None:
        self._monotonic_us = monotonic_us
        self._database_now = database_now
        self._offset: Span | None = None

    def now(self) -> Instant:
        """The present instant."""
        return self._monotonic_us() + (self._offset or 0)

    async def round(self) -> float:
        """Measure the offset; the seconds until the next measurement.

        The offset is the least that the answer allows, so that `now` is never ahead of the database's clock: evidence
        through an instant that has not come yet would be none. A step of the database's clock is not followed: it
        would fire, or hold, everything at once. It is logged, and the monotonic clock goes on; a restart takes the new
        time.

        Raises:
            Unavailable: the database did not answer, and it never did before.
        """
        try:
            before = self._monotonic_us()
            there = await self._database_now()
            after = self._monotonic_us()
        except Unavailable as exc:
            if self._offset is None:
                raise
            log.warning("the database's clock was not read", error=str(exc))
            return MEASURE_S
        offset = there - after
        if self._offset is None:
            self._offset = offset
        elif after - before > SLOW:
            log.warning("the database's clock answers slowly", seconds=(after - before) / SECOND)
        elif abs(offset - self._offset) < STEP:
            self._offset = offset
        else:
            log.error("the database's clock was set", seconds=(offset - self._offset) / SECOND)
        return MEASURE_S
