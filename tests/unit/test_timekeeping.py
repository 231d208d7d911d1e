"""One time for all processes: what is followed of the database's clock, and what is not."""

from __future__ import annotations

import pytest

from shared.errors import Unavailable
from shared.events import SECOND, Instant
from shared.timekeeping import MEASURE_S, Timekeeper

STARTED = 1_767_600_000 * SECOND


class Clocks:
    """A process's monotonic clock, and the database's."""

    def __init__(self) -> None:
        self.monotonic = 500 * SECOND
        self.database = STARTED
        self.answer_takes = 1000
        self.down = False
        self.keeper = Timekeeper(lambda: self.monotonic, self._ask)

    async def _ask(self) -> Instant:
        if self.down:
            raise Unavailable("the database does not answer")
        self.pass_us(self.answer_takes // 2)
        there = self.database
        self.pass_us(self.answer_takes - self.answer_takes // 2)
        return there

    def pass_us(self, span: int, drift: float = 0.0) -> None:
        """Let time pass, in which the database's clock gains *drift*."""
        self.monotonic += span
        self.database += round(span * (1 + drift))

    def error(self) -> int:
        """How far `now` is ahead of the database's clock."""
        return self.keeper.now() - self.database


async def test_now_is_the_databases_time_and_never_ahead_of_it() -> None:
    clocks = Clocks()
    assert await clocks.keeper.round() == MEASURE_S
    assert -clocks.answer_takes <= clocks.error() <= 0


async def test_between_measurements_now_moves_as_the_monotonic_clock_does() -> None:
    clocks = Clocks()
    await clocks.keeper.round()
    before = clocks.keeper.now()
    clocks.pass_us(7 * SECOND)
    assert clocks.keeper.now() == before + 7 * SECOND


async def test_drift_is_followed() -> None:
    clocks = Clocks()
    for _ in range(100):
        clocks.pass_us(10 * SECOND, drift=0.01)
        await clocks.keeper.round()
    assert abs(clocks.error()) <= clocks.answer_takes


@pytest.mark.parametrize("step", [3600 * SECOND, -3600 * SECOND, 3 * SECOND, -3 * SECOND])
async def test_a_step_of_the_clock_is_not_followed(step: int) -> None:
    clocks = Clocks()
    await clocks.keeper.round()
    before = clocks.keeper.now()
    clocks.database += step
    for _ in range(3):
        clocks.pass_us(10 * SECOND)
        await clocks.keeper.round()
    taken = 3 * (10 * SECOND + clocks.answer_takes)
    assert clocks.keeper.now() == before + taken


async def test_a_clock_that_is_set_back_is_followed_again() -> None:
    clocks = Clocks()
    await clocks.keeper.round()
    clocks.database += 3600 * SECOND
    await clocks.keeper.round()
    clocks.database -= 3600 * SECOND - SECOND // 1000
    await clocks.keeper.round()
    assert -clocks.answer_takes <= clocks.error() <= 0


async def test_an_answer_that_took_long_is_left_aside() -> None:
    clocks = Clocks()
    await clocks.keeper.round()
    before = clocks.error()
    clocks.answer_takes = SECOND
    await clocks.keeper.round()
    assert clocks.error() == before


async def test_without_an_answer_time_goes_on() -> None:
    clocks = Clocks()
    await clocks.keeper.round()
    before = clocks.error()
    clocks.down = True
    clocks.pass_us(100 * SECOND)
    await clocks.keeper.round()
    assert clocks.error() == before


async def test_a_process_does_not_begin_with_a_time_that_nobody_told_it() -> None:
    clocks = Clocks()
    clocks.down = True
    with pytest.raises(Unavailable):
        await clocks.keeper.round()
