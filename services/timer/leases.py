"""Which partitions are ours, under which epoch.

A lease lives three seconds by the database's clock and is renewed every second. Every process takes its fair share:
what is free or expired, and what was its own before a restart. One that has more than its share gives some back. One
that Kafka does not answer, while it answers others, gives back all.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

import structlog

from services.timer.lease import Crew, Lease
from shared.errors import Unavailable

log = structlog.get_logger(__name__)
RENEW_S: Final = 1.0
CUT_OFF_ROUNDS: Final = 6  # after an outage Kafka answers one process some seconds before another
AT_ONCE: Final = 8  # partitions that are begun with between two renewals


class Leases(Protocol):
    """What ownership needs of the database."""

    async def beat(self, instance: str, *, in_touch: bool) -> Crew:
        """Say that this process lives, and whether Kafka answers it; how many do."""

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

    Shares differ by one at most. A process's own leases that it does not hold (it was killed and came back under its
    name) are taken at once.
    """
    share = _share(leases, instance, len(owned), members)
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


def _share(leases: Sequence[Lease], instance: str, owned: int, members: int) -> int:
    # Where the shares do not come out even, as many processes as are left over may have one more. Who has it keeps it;
    # of too many, because two took one at the same time, those whose names come first do.
    least, left_over = divmod(len(leases), max(members, 1))
    if not left_over:
        return least
    counts = Counter(lease.owner for lease in leases if lease.owner is not None and not lease.expired)
    counts[instance] = owned
    ahead = sorted(name for name, count in counts.items() if count > least)
    if instance in ahead:
        return least + (ahead.index(instance) < left_over)
    return least + (len(ahead) < left_over)


class Ownership:
    """Keeps the leases of this process: one round a second."""

    def __init__(  # noqa: PLR0913 # one argument for each thing that it connects
        self,
        store: Leases,
        instance: str,
        *,
        in_touch: Callable[[], bool],
        taken: Callable[[Lease], Awaitable[None]],
        given_up: Callable[[int], Awaitable[None]],
        lost: Callable[[int], None],
    ) -> None:
        self._store = store
        self._instance = instance
        self._in_touch = in_touch  # whether Kafka answers this process
        self._taken = taken  # begin with a partition
        self._given_up = given_up  # finish what is under way, so that it can be released
        self._lost = lost  # drop it: somebody else has it
        self.epochs: dict[int, int] = {}  # partition -> epoch of what is ours
        self._failed: set[int] = set()
        self._cut_off = 0  # rounds in a row in which Kafka answered others and not this process

    async def round(self) -> float:
        """Renew, take, release; the seconds until the next round.

        Beginning with a partition takes time, and meanwhile the others must be renewed, so a round begins with a few.
        """
        try:
            await self._renew()
            decided = await self._decided()
            await self.release(decided.release)
            # What could not be begun with comes last, so that it is in nobody's way.
            await self._take_all(sorted(decided.take, key=self._failed.__contains__)[:AT_ONCE])
        except Unavailable as exc:
            # Without the database nothing can be written, by this process or by one that takes over meanwhile.
            log.warning("leases wait", error=str(exc))
            return RENEW_S
        return RENEW_S if len(decided.take) <= AT_ONCE else 0.0

    async def _decided(self) -> Plan:
        """What to take and to give back: the share of those whom Kafka answers, or of all where it answers nobody."""
        in_touch = self._in_touch()
        crew = await self._store.beat(self._instance, in_touch=in_touch)
        self._cut_off = self._cut_off + 1 if crew.in_touch and not in_touch else 0
        if self._cut_off > CUT_OFF_ROUNDS:
            if self.epochs:
                log.warning("Kafka answers others: they take over", partitions=sorted(self.epochs))
            return Plan(release=tuple(sorted(self.epochs)))
        members = crew.in_touch if in_touch else crew.live
        return plan(await self._store.leases(), self._instance, frozenset(self.epochs), members)

    async def release(self, partitions: Iterable[int]) -> None:
        """Finish with partitions, all at the same time, and give them back."""
        async with asyncio.TaskGroup() as group:
            for partition in partitions:
                group.create_task(self._release(partition))

    async def release_all(self) -> None:
        """Give everything back, at a clean stop; what cannot be given back expires by itself."""
        await self.release(sorted(self.epochs))

    def forget(self, partition: int) -> None:
        """Note that a partition is no longer ours."""
        if self.epochs.pop(partition, None) is not None:
            self._lost(partition)

    async def _release(self, partition: int) -> None:
        epoch = self.epochs.pop(partition)
        await self._given_up(partition)
        try:
            await self._store.release(self._instance, partition, epoch)
        except Unavailable as exc:
            log.warning("a lease was not given back, it expires", partition=partition, error=str(exc))
            return
        log.info("partition released", partition=partition, epoch=epoch)

    async def _renew(self) -> None:
        if not self.epochs:
            return
        kept = await self._store.renew(self._instance, self.epochs)
        for partition in set(self.epochs) - kept:
            log.warning("partition lost", partition=partition, epoch=self.epochs[partition])
            self.forget(partition)

    async def _take_all(self, partitions: Sequence[int]) -> None:
        # At the same time, because each asks the database and the brokers six times, one after the other.
        failures = await asyncio.gather(*(self._take(partition) for partition in partitions), return_exceptions=True)
        for failure in failures:
            if failure is not None:
                raise failure

    async def _take(self, partition: int) -> None:
        lease = await self._store.take(self._instance, partition)
        if lease is None:
            return
        self._failed.add(partition)
        await self._taken(lease)  # when that fails, the lease is still ours, and is taken again in a later round
        self._failed.discard(partition)
        self.epochs[partition] = lease.epoch
        log.info("partition taken", partition=partition, epoch=lease.epoch, next_offset=lease.next_offset)
