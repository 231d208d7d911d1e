"""Rows 1-4: a process ends between two steps of a record's path, and starts again."""

from __future__ import annotations

import asyncio

import pytest

from shared.failpoints import STATUS
from tests.faults.matrix import row
from tests.faults.site import Site

pytestmark = pytest.mark.kafka


async def crash_at(here: Site, service: str, place: str) -> None:
    """Let a service end at a failpoint under load, start again without it, and see that nothing came of it."""
    names = {"ingest", "timer", "notifier"}
    others = [here.process(name) for name in sorted(names - {service})]
    doomed, again = here.process(service, FAIL_AT=place), here.process(service)
    async with others[0], others[1], doomed, asyncio.TaskGroup() as group:
        group.create_task(here.traffic(items=150, over_s=6.0))
        assert await doomed.ended(60.0) == STATUS
        async with again:
            await here.calm()
    await here.agree()


@row(1, "crash after consume, before commit", quick=True)
async def test_what_was_read_and_not_committed_is_folded_once(here: Site) -> None:
    await crash_at(here, "timer", "before_commit:6")
