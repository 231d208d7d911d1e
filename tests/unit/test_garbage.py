"""Garbage that Python's counting of holders does not find: looked for now and then, and not among what stays anyway."""

from __future__ import annotations

import asyncio
import gc
import weakref

from shared.lifecycle import WHOLE_TURN, collect_garbage


class Knot:
    """An object that holds itself."""

    def __init__(self) -> None:
        self.itself = self


async def gone(*knots: weakref.ref[Knot]) -> None:
    """Wait until all of them are."""
    async with asyncio.timeout(20.0):
        while any(knot() is not None for knot in knots):  # noqa: ASYNC110 # the collector tells nobody
            await asyncio.sleep(0)


async def test_what_only_holds_itself_goes_and_pythons_own_rounds_rest_meanwhile() -> None:
    stop = asyncio.Event()
    old = Knot()
    collecting = asyncio.create_task(collect_garbage(stop, 0.0))
    await asyncio.sleep(0)
    assert not gc.isenabled()
    assert gc.get_freeze_count() > 0
    await gone(weakref.ref(Knot()))
    young = Knot()
    for _ in range(3 * WHOLE_TURN):  # it grows old
        await asyncio.sleep(0)
    seen = weakref.ref(young)
    del young
    await gone(seen)
    stop.set()
    await collecting
    assert gc.isenabled()
    assert gc.get_freeze_count() == 0
    assert old.itself is old
