"""Garbage that Python's counting of holders does not find: looked for now and then, and not among what stays anyway."""

from __future__ import annotations

import asyncio
import gc
import weakref

from shared.lifecycle import collect_garbage
from tests.fakes_timer import soon


class Knot:
    """An object that holds itself."""

    def __init__(self) -> None:
        self.itself = self


async def test_what_only_holds_itself_goes_and_pythons_own_rounds_rest_meanwhile() -> None:
    stop = asyncio.Event()
    stays = Knot()
    collecting = asyncio.create_task(collect_garbage(stop, 0.0))
    await soon(lambda: not gc.isenabled())
    assert gc.get_freeze_count() > 0
    young = weakref.ref(Knot())
    await soon(lambda: young() is None)
    knot = Knot()
    rounds = gc.get_stats()[2]["collections"]
    await soon(lambda: gc.get_stats()[2]["collections"] > rounds)  # by now it is old
    old = weakref.ref(knot)
    del knot
    await soon(lambda: old() is None)
    stop.set()
    await collecting
    assert gc.isenabled()
    assert gc.get_freeze_count() == 0
    assert stays.itself is stays
