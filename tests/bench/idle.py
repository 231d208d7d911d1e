"""Open clocks by the million that stay idle, written to the database as the timer itself would have written them.

A few hundred tickets are folded by a real timer in memory; what it writes of them is stored again and again under other
keys, through the timer's own store. So the rows have the stored format, whatever that is.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from itertools import islice
from typing import Final

from services.timer.lease_store import LeaseStore
from services.timer.policies import Policies
from services.timer.rulebook import Rulebook
from services.timer.store import TimerStore
from services.timer.write_set import HistoryRow, ItemRow, WriteSet
from shared.cloudevents import decode_structured
from shared.events import SECOND, Instant
from shared.kafka.producer import partition_of
from tests.bench.harness import PARTITIONS, Bench
from tests.bench.workload import idle
from tests.factories import move
from tests.timer_world import Process, World

CLOCKS: Final = 2  # open ones of an item: first response and resolution
PATTERNS: Final = 400
CHUNK: Final = 50_000  # items in one transaction
Pattern = tuple[ItemRow, HistoryRow]


async def fill(bench: Bench, clocks: int, now: Instant) -> None:
    """Store *clocks* open clocks that fall due in some months; before any timer of the installation has run."""
    leases, store = LeaseStore(bench.database), TimerStore(bench.database)
    policies = Policies(leases, bench.policies, now=lambda: now)
    await policies.register()
    await leases.install(PARTITIONS)
    patterns = await _patterns(policies.rulebook(), now)
    items, revision = Counter[int](), 0
    rows = _rows(patterns, clocks // CLOCKS)
    while chunk := list(islice(rows, CHUNK)):
        items.update(item.partition for item, _ in chunk)
        await store.write(_write_set(chunk, items, revision))
        revision += 1
    # Readers of the states of clocks were told of them when they were opened.
    await store.fed(dict.fromkeys(range(PARTITIONS), (0, revision)))
    for table in ("item", "history"):
        bench.sql(f"VACUUM (ANALYZE) timer.{table}")
    bench.sql("CHECKPOINT")


async def _patterns(rulebook: Rulebook, now: Instant) -> list[Pattern]:
    world = World(rulebook, now)
    process = Process("pattern", world, keep_items=PATTERNS)
    for partition in range(len(world.log)):
        await process.take(partition)
    for number in range(PATTERNS):
        world.append(decode_structured(idle(number, now - number * 60 * SECOND)))
    await process.fold(PATTERNS)
    await process.end()
    histories = {(row.partition, row.key): row for row in world.tables.history}
    return [(row, histories[place]) for place, row in world.tables.items.items()]


def _rows(patterns: list[Pattern], count: int) -> Iterator[Pattern]:
    for number in range(count):
        item, history = patterns[number % len(patterns)]
        key = f"default/ticket/idle-{number}"
        partition = partition_of(key.encode(), PARTITIONS)
        yield (
            item._replace(partition=partition, key=key, revision=0),
            history._replace(partition=partition, key=key, revision=0),
        )


def _write_set(chunk: list[Pattern], items: Counter[int], revision: int) -> WriteSet:
    moves = tuple(
        move(
            partition,
            epoch=0,
            revision=revision,
            next_offset=None,
            items=items[partition],
            open_clocks=json.dumps({"running/medium": CLOCKS * items[partition]}),
        )
        for partition in range(PARTITIONS)
    )
    return WriteSet(moves, tuple(item for item, _ in chunk), tuple(history for _, history in chunk))
