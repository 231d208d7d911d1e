"""Which partitions are ours, under which epoch.

A lease lives three seconds by the database's clock and is renewed every second. Every process takes its fair share:
what is free or expired, and what was its own before a restart. One that has more than its share gives some back.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

import structlog

from services.timer.store import Lease
from shared.errors import Unavailable

log = structlog.get_logger(__name__)
RENEW_S: Final = 1.0


class Leases(Protocol):
    """What ownership needs of the database."""

    async def beat(self, instance: str) -> int:
        """Say that this process lives; how many do."""

    async def leases(self) -> list[Lease]:
        """Every lease."""

    async def renew(self, instance: str, epochs: Mapping[int, int]) -> set[int]:
        """Renew; the partitions that are still ours."""

    async def take(self, instance: str, partition: int) -> Lease | None:
        """Take a partition; None when somebody was quicker."""

    async def release(self, instance: str, partition: int, epoch: int) -> None:
        """Give a partition back."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do about ownership now."""

    take: tuple[int, ...] = ()
    release: tuple[int, ...] = ()


def plan(leases: Sequence[Lease], instance: str, owned: frozenset[int], members: int) -> Plan:
    """Decide what to take and what to give back, so that *members* processes share the partitions evenly.

    A process's own leases that it does not hold (it was killed and came back under its name) are taken at once.
    """
    share = math.ceil(len(leases) / max(members, 1))
    mine = [lease.partition for lease in leases if lease.partition not in owned and lease.owner == instance]
    free = [
        lease.partition
        for lease in leases
        if lease.partition not in owned and lease.owner != instance and (lease.owner is None or lease.expired)
    ]
    # Processes start looking at different partitions, so that they rarely want the same one.
    turn = sum(instance.encode()) % max(len(free), 1)
    wanted = [*mine, *free[turn:], *free[:turn]]
    surplus = max(0, len(owned) - share)
    return Plan(take=tuple(wanted[: max(0, share - len(owned))]), release=tuple(sorted(owned, reverse=True)[:surplus]))


class Ownership:
    """Keeps the leases of this process: one round a second."""

    def __init__(
        self,
        store: Leases,
        instance: str,
        *,
        taken: Callable[[Lease], Awaitable[None]],
        given_up: Callable[[int], Awaitable[None]],
        lost: Callable[[int], None],
    ) -> None:
        self._store = store
        self._instance = instance
        self._taken = taken  # begin with a partition
        self._given_up = given_up  # finish what is under way, so that it can be released
        self._lost = lost  # drop it: somebody else has it
        self.epochs: dict[int, int] = {}  # partition -> epoch of what is ours

    async def round(self) -> float:
        """Renew, take, release; the seconds until the next round."""
        try:
            await self._renew()
            members = await self._store.beat(self._instance)
            decided = plan(await self._store.leases(), self._instance, frozenset(self.epochs), members)
            for partition in decided.release:
                await self.release(partition)
            for partition in decided.take:
                await self._take(partition)
        except Unavailable as exc:
            # Without the database nothing can be written, by this process or by one that takes over meanwhile.
            log.warning("leases wait", error=str(exc))
        return RENEW_S

    async def release(self, partition: int) -> None:
        """Finish with a partition and give it back."""
        epoch = self.epochs.pop(partition)
        await self._given_up(partition)
        await self._store.release(self._instance, partition, epoch)
        log.info("partition released", partition=partition, epoch=epoch)

    async def release_all(self) -> None:
        """Give everything back, at a clean stop."""
        for partition in sorted(self.epochs):
            await self.release(partition)

    def forget(self, partition: int) -> None:
        """Note that a partition is no longer ours."""
        if self.epochs.pop(partition, None) is not None:
            self._lost(partition)

    async def _renew(self) -> None:
        if not self.epochs:
            return
        kept = await self._store.renew(self._instance, self.epochs)
        for partition in set(self.epochs) - kept:
            log.warning("partition lost", partition=partition, epoch=self.epochs[partition])
            self.forget(partition)

    async def _take(self, partition: int) -> None:
        lease = await self._store.take(self._instance, partition)
        if lease is not None:
            self.epochs[partition] = lease.epoch
            await self._taken(lease)
            log.info("partition taken", partition=partition, epoch=lease.epoch, next_offset=lease.next_offset)
