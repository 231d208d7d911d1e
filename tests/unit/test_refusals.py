"""What of the timer's records counts against its limit of dead letters."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from services.timer.draft import Draft
from services.timer.holdings import Holding
from services.timer.refusals import Refusals
from shared.dlq_limit import DlqLimit
from shared.errors import BadRecord, TooManyDeadLetters
from shared.events import Topics
from shared.kafka.connection import Record
from shared.metrics import Metrics
from tests.fakes import FakeRecord

INVALID = BadRecord("invalid", "no")
TOO_LATE = BadRecord("too_late", "no")
QUARANTINED = BadRecord("quarantined", "no")


class Table:
    """Refusals of a limit of three in a row, with one partition."""

    def __init__(self) -> None:
        self.draft = Draft(Topics().breaches)
        self.metrics = Metrics("test", "test")
        limit = DlqLimit(in_a_row=3)
        self.refusals = Refusals(Topics().deadletters, limit, self.metrics, draft=lambda: self.draft)
        self.holding = Holding(0, 1, revision=0, next_offset=0)

    def bury(self, records: Sequence[Record], error: BadRecord) -> None:
        for record in records:
            self.refusals.bury(self.holding, record, error)

    @property
    def used(self) -> float | None:
        return self.metrics.registry.get_sample_value("sla_dlq_limit_used", {"stage": "timer"})


def records(count: int) -> list[Record]:
    return [FakeRecord(b"", topic="sla.events.v1", offset=offset) for offset in range(count)]


@pytest.fixture
def table() -> Table:
    return Table()


def test_so_many_bad_records_in_a_row_are_the_end(table: Table) -> None:
    some = records(3)
    table.bury(some, INVALID)
    with pytest.raises(TooManyDeadLetters, match=r"3 records of sla\.events\.v1 in a row"):
        table.refusals.weigh(some)
    assert table.refusals.stopped is not None
    assert table.used == 1


def test_one_that_was_folded_between_them_begins_the_count_anew(table: Table) -> None:
    some = records(5)
    table.bury([some[0], some[1], some[3], some[4]], INVALID)
    table.refusals.weigh(some)
    assert table.used == pytest.approx(2 / 3)


def test_events_from_before_a_deletion_say_nothing_of_the_stream(table: Table) -> None:
    some = records(5)
    table.bury(some, TOO_LATE)
    table.refusals.weigh(some)
    table.bury(some[:2], INVALID)
    table.refusals.weigh(some[:2])
    assert table.used == pytest.approx(2 / 3)


def test_an_item_that_was_quarantined_counts_once(table: Table) -> None:
    some = records(9)
    table.bury(some, QUARANTINED)
    for record in some[1:]:
        table.refusals.follows(record)
    table.refusals.weigh(some)
    assert table.used == pytest.approx(1 / 3)


def test_records_that_wait_for_their_history_are_weighed_when_they_are_folded(table: Table) -> None:
    some = records(4)
    table.bury(some[:2], INVALID)
    table.refusals.weigh(some, but=some[2:])
    table.bury(some[2:], INVALID)
    with pytest.raises(TooManyDeadLetters):
        table.refusals.weigh(some[2:])
