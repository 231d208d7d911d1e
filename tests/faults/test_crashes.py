"""Rows 1-4: a process ends between two steps of a record's path, and starts again."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

import pytest

from shared.failpoints import STATUS
from tests.faults.matrix import row
from tests.faults.site import Site
from tests.processes import PlazoProcess

pytestmark = pytest.mark.kafka


async def crash_at(here: Site, **places: list[str]) -> dict[str, PlazoProcess]:
    """Let services end at failpoints under load, each time starting again; they run on without any until all is calm.

    Gives the last run of each.
    """
    last: dict[str, PlazoProcess] = {}

    async def live(stack: AsyncExitStack, service: str) -> None:
        for place in places.get(service, []):
            doomed = await stack.enter_async_context(here.process(service, FAIL_AT=place))
            assert await doomed.ended(60.0) == STATUS
        last[service] = await stack.enter_async_context(here.process(service))

    async with AsyncExitStack() as stack:
        async with asyncio.TaskGroup() as group:
            group.create_task(here.traffic(items=150, over_s=8.0))
            for service in ("notifier", "timer", "ingest"):
                group.create_task(live(stack, service))
        await here.ready(*last.values())
        await here.calm()
        repeated = await here.metric(last["timer"], 'sla_timer_events_total{outcome="repeated"')
        print(f"{repeated:.0f} events folded again and dropped")
        # What a notifier was posting when it ended it posts again, with the same id: nobody knows what became of it.
        await here.agree(alerts_again="notifier" in places)
    return last


@row(1, "crash after consume, before commit")
async def test_what_was_read_and_not_committed_is_folded_once(here: Site) -> None:
    await crash_at(here, timer=["after_poll:9", "before_commit:5"], ingest=["after_poll:9", "before_produce:5"])


@row(2, "crash after commit, before the offset is shown to Kafka")
async def test_what_was_committed_is_not_folded_again(here: Site) -> None:
    await crash_at(here, timer=["after_commit:5", "after_commit:5"], ingest=["after_produce:5", "before_marking:5"])


@row(3, "crash after commit, before publishing", quick=True)
async def test_what_was_committed_and_not_published_is_published(here: Site) -> None:
    await crash_at(here, timer=["after_commit:8", "before_produce:3"])


@row(4, "crash after publishing, before that is noted")
async def test_what_was_published_and_not_noted_is_published_again_and_alerts_once(here: Site) -> None:
    await crash_at(here, timer=["after_produce:3", "before_marking:2"], notifier=["before_marking:2"])
    published = await here.plant.published()
    assert len(published) > len({record.event_id for record in published})
