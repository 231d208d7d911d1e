"""Rows 13, 29, 44: clocks that are set, a restart with very many open clocks, settings that are wrong."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import pytest

from tests.faults.matrix import row
from tests.faults.site import Site
from tests.faults.test_input import ticket, write
from tests.plant import until
from tests.processes import PlazoProcess

pytestmark = pytest.mark.kafka

HOUR_S: Final = 3600
IDLE: Final = 200_000
DUE_S: Final = 4.0  # what is written at the start is due so much later
READY_S: Final = 10.0  # on two cores beside everything else; `make bench` has the figure with a million


def with_clock(process: PlazoProcess, file: Path) -> PlazoProcess:
    """The process with a wall clock that is ahead by the seconds in a file."""
    file.write_text("0")
    return PlazoProcess([str(file), *process.arguments], process.env, process.log, module="tests.faults.wall_clock")


@row(13, "wall clocks are set an hour ahead, and back")
@pytest.mark.parametrize("service", ["timer", "notifier"])
async def test_a_step_of_a_wall_clock_fires_nothing_and_delays_nothing(here: Site, service: str) -> None:
    clock = here.folder / "clock"
    services = {name: here.process(name) for name in ("ingest", "timer", "notifier")}
    services[service] = with_clock(services[service], clock)
    async with services["ingest"], services["timer"], services["notifier"]:
        await here.ready(*services.values())
        for number, ahead_s in enumerate((0, HOUR_S, -HOUR_S, 0)):
            clock.write_text(str(ahead_s))
            await here.traffic(items=40, over_s=3.0, seed=13 + number)
        await here.calm(within_s=60.0)
    await here.agree()


COPY: Final = """
INSERT INTO timer.item SELECT (jsonb_populate_record(i, jsonb_build_object('key', i.key || '-' || n))).*
FROM timer.item i, generate_series(1, {count}) AS n WHERE i.key = 'default/ticket/idle'
"""


@row(29, f"a timer that is killed with {IDLE:,} open clocks")
async def test_a_timer_with_very_many_clocks_is_back_soon(here: Site) -> None:
    far = (here.folder / "policies.yaml").read_text().replace("within: 8s", "within: 8s, by: {group: {idle: 9000h}}")
    (here.folder / "policies.yaml").write_text(far)
    async with here.process("ingest") as ingest, here.process("notifier"), here.process("timer") as timer:
        await here.ready(ingest, timer)
        await write(here, [ticket("idle", data={"attributes": {"group": "idle", "priority": "urgent"}})])
        await until(lambda: told(here), "the only breach so far")
        timer.kill()
        async with here.plant.database.raw("make clocks") as connection:
            await connection.execute(COPY.format(count=IDLE))
            await connection.execute("UPDATE timer.lease SET items = items + $1::bigint / 8", IDLE)
            await connection.execute("ANALYZE timer.item")
        await write(here, [ticket("due")])
        begun = time.monotonic()
        timer.start()
        await until(lambda: told(here, 2), "the breach after the restart")
        took_s = time.monotonic() - begun
    print(f"the first breach was readable {took_s:.1f} s after the start, and due {DUE_S:g} s after it")
    assert took_s - DUE_S < READY_S


async def told(here: Site, count: int = 1) -> bool:
    """Whether so many breaches are told."""
    return len({record.event_id for record in await here.plant.published() if "breached" in record.type}) >= count


@row(44, "settings that are wrong")
@pytest.mark.parametrize("service", ["ingest", "timer", "notifier"])
async def test_a_wrong_setting_ends_the_start_with_its_name(here: Site, service: str) -> None:
    wrong: Mapping[str, str] = {
        "HTTP_PORT": "eighty",
        "LOG_LEVEL": "loud",
        "KAFKA_SECURITY_PROTOCOL": "SASL_PLAINTEXT",
        "FAIL_AT": "lunch",
    }
    process = here.process(service, **wrong)
    process.start()
    assert await process.ended() == 1
    for name in ("HTTP_PORT", "LOG_LEVEL", "FAIL_AT"):
        assert f"{name}: " in process.output()
    assert "Traceback" not in process.output()
