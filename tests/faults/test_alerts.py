"""Rows 22-24, 27, 28: receivers that are slow, refuse, or fail; a flood of breaches; a crash after an answer."""

from __future__ import annotations

import asyncio
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Final

import pytest

from shared.failpoints import STATUS
from tests.faults.matrix import row
from tests.faults.site import Site
from tests.processes import PlazoProcess
from tests.receivers import Answer, Posted

pytestmark = pytest.mark.kafka

SLOW_S: Final = 20.0
UNDER_WAY: Final = 8  # alerts at once, to the first receiver
BESIDE: Final = """
receivers:
  desk: {{webhook: {{url: '{url}', secret_env: HOOK_SECRET}}, concurrency: 8}}
  other: {{webhook: {{url: '{url}/other', secret_env: HOOK_SECRET}}, concurrency: 4}}
  owner: {{webhook: {{url: '{url}/owner', secret_env: HOOK_SECRET}}}}
routes:
  - {{name: breaches, match: {{type: [breached]}}, receivers: [desk, other]}}
  - {{name: rest, receivers: []}}
"""
FALLBACK: Final = """
fallback: owner
"""


@dataclass
class Desk:
    """Who is alerted: what each receiver was posted, when, and what it answers."""

    here: Site
    answers: dict[str, Callable[[Posted], Answer]] = field(default_factory=dict)
    arrived: dict[str, dict[str, float]] = field(default_factory=lambda: defaultdict(dict))
    tries: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))

    def __post_init__(self) -> None:
        self.here.receiver.answer = self._answer

    def _answer(self, posted: Posted) -> Answer:
        name = posted.path.rpartition("/")[2]
        message = posted.headers["webhook-id"]
        self.arrived[name].setdefault(message, time.monotonic())
        self.tries[name][message] += 1
        answer = self.answers.get(name)
        return Answer() if answer is None else answer(posted)

    def notifier(self, more: str = "", **changes: str) -> PlazoProcess:
        """A notifier with a second receiver beside the first, and *more* in its file."""
        routes = self.here.folder / "beside.yaml"
        routes.write_text((BESIDE + more).format(url=self.here.receiver.url))
        return self.here.process("notifier", NOTIFY_ROUTES=str(routes), **changes)

    def only_first(self) -> None:
        """Leave what the second receiver was posted out of the comparison at the end."""
        posted = self.here.receiver.posted
        posted[:] = [each for each in posted if not each.path.endswith(("/other", "/owner"))]

    def lags(self, name: str) -> list[float]:
        """How long after the first alert each of a receiver came, sorted."""
        begun = min(min(times.values()) for times in self.arrived.values())
        return sorted(at - begun for at in self.arrived[name].values())


async def until_delivered(desk: Desk, name: str, within_s: float = 120.0) -> None:
    """Wait until a receiver has had as many alerts as the other one."""
    async with asyncio.timeout(within_s), desk.here.receiver.changed:
        await desk.here.receiver.changed.wait_for(lambda: len(desk.arrived[name]) >= len(desk.arrived["hook"]))


@row(22, "a receiver that answers after 20 s")
async def test_a_slow_receiver_delays_no_other(here: Site) -> None:
    desk = Desk(here)
    never = asyncio.Event()
    asyncio.get_running_loop().call_later(SLOW_S, never.set)
    desk.answers["other"] = lambda _posted: Answer(hold=never)
    async with here.process("ingest"), here.process("timer"), desk.notifier() as notifier:
        await here.ready(notifier)
        await here.traffic(items=80, over_s=4.0)
        await here.calm()
        first = desk.lags("hook")
        await until_delivered(desk, "other")
    assert first[-1] < SLOW_S
    print(f"{len(first)} alerts within {first[-1]:.1f} s; beside them a receiver of which 4 at once wait {SLOW_S:g} s")
    desk.only_first()
    await here.agree()


@row(23, "a receiver that answers 503, closes, and is tried again after a restart")
async def test_what_failed_is_tried_again_also_by_the_next_process(here: Site) -> None:
    desk = Desk(here)
    # A quarter of the alerts only: an endpoint that fails again and again would be left alone.
    failing = {"0": 503, "4": 503, "8": 0, "c": 0}

    def first_fails(posted: Posted) -> Answer:
        name = posted.headers["webhook-id"]
        status = failing.get(name[-1]) if desk.tries["hook"][name] == 1 else None
        return Answer() if status is None else Answer(status=status)

    def each_is_through() -> bool:
        return all(tries >= (2 if name[-1] in failing else 1) for name, tries in desk.tries["hook"].items())

    desk.answers["hook"] = first_fails
    async with here.process("ingest"), here.process("timer"), here.process("notifier") as notifier:
        await here.ready(notifier)
        await here.traffic(items=60, over_s=3.0)
        await here.calm()
        notifier.kill()
        notifier.start()
        async with asyncio.timeout(90.0), here.receiver.changed:
            await here.receiver.changed.wait_for(each_is_through)
    assert any(tries > 1 for tries in desk.tries["hook"].values())
    await here.agree(alerts_again=True)


@row(24, "a receiver that says 410")
async def test_a_receiver_that_is_no_more_is_left_alone_and_another_is_told_in_its_place(here: Site) -> None:
    desk = Desk(here)
    desk.answers["other"] = lambda _posted: Answer(status=410)
    async with here.process("ingest"), here.process("timer"), desk.notifier(FALLBACK) as notifier:
        await here.ready(notifier)
        await here.traffic(items=60, over_s=3.0)
        await here.calm()
        await until_delivered(desk, "owner")
        asked = len(desk.tries["other"])
        notifier.kill()
        notifier.start()
        await here.ready(notifier)
        await here.traffic(items=20, over_s=1.0, seed=2)
        await here.calm()
        await until_delivered(desk, "owner")
        disabled = await here.metric(notifier, 'sla_notification_endpoints{state="disabled"')
    # What was under way when it said so, and nothing more: also not by the next process.
    assert 1 <= asked <= 4
    assert len(desk.tries["other"]) == asked
    assert disabled == 1
    # What was under way when the process was killed may come again, under its id.
    assert max(desk.tries["owner"].values()) <= 2
    desk.only_first()
    await here.agree(alerts_again=True)


@row(27, "2,000 breaches at once")
async def test_a_flood_of_breaches_reaches_its_receiver_whole(here: Site) -> None:
    desk = Desk(here)
    async with here.everything():
        await here.traffic(items=2_000, over_s=0.5)
        await here.calm()
    lags = desk.lags("hook")
    print(f"{len(lags)} alerts within {lags[-1]:.1f} s")
    await here.agree()


@row(28, "crash after a receiver's answer, before that is noted")
async def test_an_alert_whose_answer_was_not_noted_comes_again_under_its_id(here: Site) -> None:
    desk = Desk(here)
    doomed, again = here.process("notifier", FAIL_AT="after_http:12"), here.process("notifier")
    async with AsyncExitStack() as stack:
        for process in (here.process("ingest"), here.process("timer"), doomed):
            await stack.enter_async_context(process)
        async with asyncio.TaskGroup() as group:
            group.create_task(here.traffic(items=100, over_s=4.0))
            assert await doomed.ended(90.0) == STATUS
            await stack.enter_async_context(again)
            await here.calm()
        # What the dead process had claimed, the answered among it, is taken up again by the one of its name.
        async with asyncio.timeout(120.0), here.receiver.changed:
            await here.receiver.changed.wait_for(lambda: max(desk.tries["hook"].values()) > 1)
    repeats = sum(count - 1 for count in desk.tries["hook"].values())
    print(f"{repeats} alerts came again, each under its id")
    assert repeats <= UNDER_WAY
    await here.agree(alerts_again=True)
