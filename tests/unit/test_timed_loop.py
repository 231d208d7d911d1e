"""The timed loop: a round, a wait, the next round."""

from __future__ import annotations

import asyncio

import pytest

from shared.errors import Refused
from shared.lifecycle import every, unless


async def test_a_wake_ends_the_wait_for_the_next_round() -> None:
    stop, wake, rounds = asyncio.Event(), asyncio.Event(), asyncio.Queue[int]()

    async def one() -> float:
        rounds.put_nowait(1)
        return 3600.0

    async with asyncio.timeout(5), asyncio.TaskGroup() as group:
        group.create_task(every(one, stop, wake=wake))
        await rounds.get()
        wake.set()
        await rounds.get()
        stop.set()


async def test_a_wake_during_a_round_is_not_lost() -> None:
    stop, wake, number = asyncio.Event(), asyncio.Event(), 0

    async def one() -> float:
        nonlocal number
        number += 1
        wake.set() if number == 1 else stop.set()
        return 3600.0

    async with asyncio.timeout(5):
        await every(one, stop, wake=wake)
    assert number == 2


async def test_a_stop_ends_the_wait() -> None:
    stop = asyncio.Event()

    async def one() -> float:
        stop.set()
        return 3600.0

    async with asyncio.timeout(5):
        await every(one, stop)


async def test_work_that_is_done_before_the_stop_gives_its_result() -> None:
    async def work() -> int:
        return 7

    assert await unless(asyncio.Event(), work()) == 7


async def test_work_that_fails_before_the_stop_fails() -> None:
    async def work() -> None:
        raise Refused("no")

    with pytest.raises(Refused, match="no"):
        await unless(asyncio.Event(), work())


async def test_a_stop_ends_work_that_waits_for_an_answer() -> None:
    stop, begun, ended = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def work() -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    async with asyncio.timeout(5), asyncio.TaskGroup() as group:
        group.create_task(unless(stop, work()))
        await begun.wait()
        stop.set()
    assert ended.is_set()
