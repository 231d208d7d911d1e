"""What the gauges say of the partitions of a process."""

from __future__ import annotations

from collections.abc import Mapping

from services.timer.holdings import Holding, Holdings
from services.timer.report import Report
from shared.events import SECOND, Instant
from shared.kafka.connection import Place
from shared.metrics import Metrics
from tests.fakes_timer import FakeBrokers, Time


class FakeOutbox:
    """An outbox whose oldest record is as old as it is told to be."""

    oldest: Instant | None = None

    async def outbox_oldest(self, published: Mapping[int, int]) -> Instant | None:
        """Its oldest record."""
        return self.oldest


READS = {0}.__contains__  # of the partitions 0 and 1 the log of the latter has lost what was next


def own(partition: int) -> Place:
    """A partition of the events topic."""
    return Place("events", partition)


async def test_a_partition_that_is_given_away_leaves_no_lag_behind() -> None:
    metrics, holdings = Metrics("test", "test"), Holdings()
    brokers = FakeBrokers({own(0): 5, own(1): 5}, {})
    report = Report(holdings, [], FakeOutbox(), brokers, "events", reads=READS, now=Time(), metrics=metrics)
    for number in (0, 1):
        holdings.partitions[number] = Holding(number, 1, revision=0, next_offset=3)
    await report.round()
    assert metrics.exposition().count(b'sla_partition_lag_records{partition="') == 2
    assert b'sla_partition_unread{partition="0"} 0.0' in metrics.exposition()
    assert b'sla_partition_unread{partition="1"} 1.0' in metrics.exposition()
    holdings.drop(0)
    await report.round()
    told = metrics.exposition()
    assert b'sla_partition_lag_records{partition="0"' not in told
    assert b'sla_partition_caught_up{partition="0"' not in told
    assert b'sla_partition_unread{partition="0"' not in told
    assert b'sla_partition_lag_records{partition="1",topic="events"} 2.0' in told


async def test_the_age_of_the_outbox_stands_only_while_something_waits() -> None:
    metrics, outbox, waiting = Metrics("test", "test"), FakeOutbox(), ["a record"]
    report = Report(
        Holdings(),
        waiting,
        outbox,
        FakeBrokers({}, {}),
        "events",
        reads=lambda number: number != 1,
        now=Time(),
        metrics=metrics,
    )
    outbox.oldest = 17 * SECOND
    await report.round()
    assert b"sla_outbox_oldest_timestamp_seconds 17.0" in metrics.exposition()
    waiting.clear()
    await report.round()
    assert b"sla_outbox_oldest_timestamp_seconds 0.0" in metrics.exposition()
