"""Whether Kafka answers a process, by what lag tools are shown."""

from __future__ import annotations

import pytest

from services.timer.holdings import Holding, Holdings
from services.timer.touch import SILENT, Touch
from shared.errors import Unavailable
from shared.events import SECOND
from shared.kafka.connection import Place
from tests.fakes_timer import FakeBrokers, Time


class Desk:
    """A process that holds partition 3, folded to 17, if it holds any."""

    def __init__(self, *, holds: bool = True) -> None:
        self.time, self.brokers, self.holdings = Time(), FakeBrokers({Place("events", 0): 5}), Holdings()
        if holds:
            self.holdings.partitions[3] = Holding(3, 1, revision=0, next_offset=17)
        self.touch = Touch(self.brokers, self.holdings, group="timer", topic="events", now=self.time)


async def test_lag_tools_are_shown_how_far_each_partition_is_folded() -> None:
    desk = Desk()
    await desk.touch.round()
    assert desk.brokers.shown == {Place("events", 3): 17}


@pytest.mark.parametrize("holds", [True, False])
async def test_a_process_is_in_touch_until_kafka_was_silent_for_some_time(holds: bool) -> None:
    desk = Desk(holds=holds)
    assert desk.touch()  # nothing was asked yet
    desk.brokers.down = Unavailable("no broker answers")
    await desk.touch.round()
    assert desk.touch()
    desk.time.pass_s(SILENT / SECOND)
    assert not desk.touch()
    desk.brokers.down = None
    await desk.touch.round()
    assert desk.touch()
