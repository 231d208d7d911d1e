"""The watch and partitions that come and go: what is due after a new start fires, and nothing of before stays."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Sequence

from services.timer.evidence import Evidence
from services.timer.holdings import Deadline, Holding
from tests.fakes_timer import soon
from tests.unit.test_watch import Post, own


class PostThatLoses(Post):
    """While a deadline fires, the other partition is lost and taken again, and something of it is due."""

    async def _fire(self, entries: Sequence[Deadline], evidence: Evidence) -> None:
        await super()._fire(entries, evidence)
        if self.names == ["first"]:
            self.holdings.drop(1)
            self.holdings.partitions[1] = Holding(1, 3, revision=0, next_offset=50)
            self.due("after", 1)


async def test_what_is_due_in_a_partition_that_was_just_taken_again_fires() -> None:
    post = PostThatLoses()
    for number in (0, 1):
        post.brokers.held[own(number)] = 50
    post.due("first", 0)
    post.due("lost", 1)
    async with post.running():
        await soon(lambda: len(post.watch._waiting) == 2)
        post.fold(0, 50)
        await soon(lambda: post.names == ["first", "after"])


async def test_what_was_held_of_a_partition_that_is_gone_does_not_stay_in_memory() -> None:
    post = Post()
    post.due("a")
    async with post.running():
        await soon(lambda: bool(post.fired))
    gone = weakref.ref(post.holdings.partitions[0])
    post.holdings.drop(0)
    gc.collect()
    assert gone() is None
