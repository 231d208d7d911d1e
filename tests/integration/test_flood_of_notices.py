"""Many breaches at one instant to twenty receivers, one dead and one slow: each of them is accounted for.

With FLOOD in the environment, so many: `FLOOD=10000 .venv/bin/pytest -s tests/integration/test_flood_of_notices.py`.
"""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import pytest
from sqlalchemy import func, select

from deploy.local.ports import free_port
from services.notifier.tables import delivery
from shared.breach_records import BreachRecord
from shared.db import Database
from shared.failpoints import STATUS
from tests.factories import breach
from tests.integration.test_notifier import Installation, installed, running
from tests.processes import PlazoProcess
from tests.receivers import Answer, Posted, http_receiver

__all__ = ["installed"]  # the fixture
SLOW_S: Final = 0.5
CUSTOMERS: Final = 5
PLAIN: Final = [f"plain-{n}" for n in range(8)]
GROUPED: Final = [*(f"grouped-{n}" for n in range(7)), "slow"]
PACED: Final = [f"paced-{n}" for n in range(3)]
DEAD: Final = ["dead"]
ALL: Final = [*PLAIN, *GROUPED, *PACED, *DEAD]
Counts = dict[str, Counter[str]]  # receiver -> state -> how many deliveries

RECEIVER: Final = "  {name}: {{webhook: {{url: '{url}', secret_env: HOOK_SECRET, timeout: 5s}}, concurrency: 16{more}}}"
ROUTES: Final = """
  - {{name: plain, receivers: [{plain}], continue: true}}
  - {{name: grouped, receivers: [{grouped}], continue: true, group_by: [customer], group_wait: 1s, group_interval: 2s}}
  - {{name: rest, receivers: [{paced}]}}
"""


def write_routes(here: Installation, url: str) -> None:
    """Twenty receivers at *url*, but for the dead one."""
    dead = f"http://127.0.0.1:{free_port()}"
    lines = [
        RECEIVER.format(
            name=f"{here.prefix}{name}",
            url=f"{dead if name in DEAD else url}/{name}",
            more=", rate_limit: 100/min" if name in PACED else "",
        )
        for name in ALL
    ]
    named = {
        kind: ", ".join(f"{here.prefix}{name}" for name in names)
        for kind, names in (("plain", [*PLAIN, *DEAD]), ("grouped", GROUPED), ("paced", PACED))
    }
    here.routes.write_text("receivers:\n" + "\n".join(lines) + "\nroutes:" + ROUTES.format(**named))


async def counts(here: Installation, database: Database) -> Counts:
    """What has become of the deliveries that tell of one event each, and of their digests as `messages`."""
    columns = (delivery.c.receiver, delivery.c.state, (delivery.c.count > 1).label("is_digest"))
    asked = select(*columns, func.count().label("number")).where(delivery.c.receiver.like(f"{here.prefix}%"))
    async with database.transaction("count") as connection:
        rows = (await connection.execute(asked.group_by(*columns))).all()
    found: Counts = defaultdict(Counter)
    for row in rows:
        name = row.receiver.removeprefix(here.prefix)
        found[name][f"{row.state} digests" if row.is_digest else row.state] += row.number
    return found


def is_done(found: Counts) -> bool:
    """Whether all but the dead receiver have heard of everything."""
    open_ = ("held", "pending", "pending digests")
    return len(found) == len(ALL) and not any(found[name][state] for name in ALL for state in open_ if name not in DEAD)


def told(posted: Sequence[Posted]) -> dict[str, int]:
    """How many events each receiver was told of, a digest as many as it says; repeats count once."""
    found: dict[str, dict[str, int]] = defaultdict(dict)
    for each in posted:
        body: Any = json.loads(each.body)
        number = body["data"]["count"] if body["type"] == "sla.digest.v1" else 1
        found[each.path.strip("/")][each.headers["webhook-id"]] = number
    return {name: sum(messages.values()) for name, messages in found.items()}


def of_customers(here: Installation, number: int, start: int = 0) -> list[BreachRecord]:
    """Breaches of items of a few customers, all at one instant; another installation's are others."""
    return [
        breach(
            f"{here.prefix}{n}",
            item=f"default/ticket/{here.prefix}{n}",
            clock_id=f"{here.prefix}{n}",
            attributes={"customer": f"customer-{n % CUSTOMERS}"},
        )
        for n in range(start, start + number)
    ]


async def flood(here: Installation, number: int, within_s: float) -> None:
    """Publish *number* breaches, and account for every one at every receiver."""
    async with http_receiver() as http:

        def answer(posted: Posted) -> Answer:
            if posted.path.strip("/") != "slow":
                return Answer()
            hold = asyncio.Event()
            asyncio.get_running_loop().call_later(SLOW_S, hold.set)
            return Answer(hold=hold)

        http.answer = answer
        write_routes(here, f"http://127.0.0.1:{http.port}")
        database = Database(here.database_url)
        started = time.monotonic()
        try:
            async with running(here), asyncio.timeout(within_s):
                await here.publish(of_customers(here, number))
                while not is_done(found := await counts(here, database)):  # noqa: ASYNC110 # rows have no event
                    await asyncio.sleep(0.1)
        finally:
            await database.close()
        took = time.monotonic() - started
        heard = told(http.posted)
    for name in ALL:
        print(
            f"{name:12} told of {heard.get(name, 0):6}  "
            + ", ".join(f"{n} {state}" for state, n in sorted(found[name].items()))
        )
    print(f"{number} breaches, {number * len(ALL)} notices, {len(http.posted)} messages, {took:.1f} s")
    for name in ALL:
        of_events = Counter({state: n for state, n in found[name].items() if not state.endswith("digests")})
        assert of_events.total() == number, name  # every event, for every receiver
        assert name in DEAD or of_events["delivered"] + of_events["digested"] == number, name
        assert heard.get(name, 0) == (0 if name in DEAD else number), name
    assert found["dead"] == {"pending": number}
    assert all(found[name]["delivered"] == number for name in PLAIN)
    assert all(found[name]["digested"] > 0 for name in (*GROUPED, *PACED))


async def test_every_breach_of_a_flood_is_accounted_for(installed: Installation) -> None:  # the fixture
    await flood(installed, number=int(os.environ.get("FLOOD", "500")), within_s=600.0)


GATHERED: Final = """
receivers: {{{name}: {{webhook: {{url: '{url}', secret_env: HOOK_SECRET}}}}}}
routes: [{{receivers: [{name}], group_wait: 1s, group_interval: 1s}}]
"""


@pytest.mark.kafka
async def test_a_notifier_that_dies_after_a_release_tells_it_once_all_the_same(
    installed: Installation,  # the fixture
    tmp_path: Path,
) -> None:
    async with http_receiver() as http:
        installed.routes.write_text(GATHERED.format(name=f"{installed.prefix}team", url=http.url))
        doomed = PlazoProcess(["notifier"], {**installed.environment, "FAIL_AT": "after_release"}, tmp_path / "doomed")
        async with doomed:
            await installed.publish(of_customers(installed, 50))
            assert await doomed.ended(90.0) == STATUS
        before = len(http.posted)
        async with PlazoProcess(["notifier"], installed.environment, tmp_path / "again"):
            await http.until(lambda _: sum(told(http.posted).values()) == 50, within_s=60.0)
            await installed.publish(of_customers(installed, 1, start=50))
            await http.until(lambda _: sum(told(http.posted).values()) == 51, within_s=60.0)
    assert before == 0
    assert len(http.posted) == len({each.headers["webhook-id"] for each in http.posted})
