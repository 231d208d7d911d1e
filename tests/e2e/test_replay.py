"""A help desk's log through every service, on the real broker and database: what comes out is what backtest says."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from standardwebhooks import Webhook

from services.timer import backtest
from services.timer.policy_file import load
from services.timer.rulebook import Rulebook
from shared.cloudevents import decode_structured
from shared.events import ClockState, parse_instant
from tests.agreement import assert_no_gaps, told, without_repeats
from tests.e2e.helpdesk import POLICIES, encoded, events, read_log
from tests.plant import PATIENCE_S, Plant, Published, plant, until
from tests.processes import ROOT
from tests.receivers import HttpReceiver, Posted, http_receiver
from tests.servers import Topics

pytestmark = pytest.mark.kafka

SECRET = "whsec_" + base64.b64encode(bytes(range(32))).decode()
ROUTES = """
receivers: {{desk: {{webhook: {{url: '{url}', secret_env: HOOK_SECRET}}, concurrency: 8}}}}
routes:
  - {{name: live, match: {{type: [breached], kind: [chat, call]}}, receivers: [desk]}}
  - {{name: rest, receivers: []}}
"""
UNTIL = "2026-01-01T00:00:00Z"  # after the whole log, and before any run of this test


@pytest.fixture(scope="module")
def log() -> list[dict[str, Any]]:
    return events(read_log())


@pytest.fixture
async def works(topics: Topics, database_url: str, tmp_path: Path) -> AsyncIterator[Plant]:
    async with plant(topics, database_url, tmp_path, POLICIES) as made:
        yield made


async def test_what_comes_out_is_what_backtest_says_whatever_is_killed(works: Plant, log: list[dict[str, Any]]) -> None:
    """Two timers share the partitions; one is killed in the middle, so are ingest and the notifier: nothing is lost."""
    async with http_receiver() as receiver:
        routes = works.folder / "notify.yaml"
        routes.write_text(ROUTES.format(url=receiver.url))
        works.extra |= {"NOTIFY_ROUTES": str(routes), "HOOK_SECRET": SECRET, "NOTIFIER_CLAIM_S": "61"}
        (works.folder / "log.jsonl").write_bytes(b"\n".join(value for _, value in encoded(log)))
        await works.send(encoded(log))
        begun = time.monotonic()
        await _survive(works, len(log), receiver)
        seconds = time.monotonic() - begun
        published, clocks = await works.published(), await works.clocks()
    rows = _rows(works.folder)
    print(_summary(works, log, published, seconds, len(rows)))
    distinct = without_repeats(published)
    assert_no_gaps(distinct)
    assert told(distinct) == _expected(log)
    assert _breaches(distinct) == _backtested(rows)
    _assert_alerts_were_delivered(distinct, receiver.posted)
    _assert_states_are_told(clocks.values(), rows)


async def _survive(works: Plant, events: int, receiver: HttpReceiver) -> None:
    """Run everything over the log, with a kill -9 of each service on the way, until nothing is left to do."""
    ingest, notifier = works.process("ingest"), works.process("notifier")
    one, two = works.process("timer", "timer-1"), works.process("timer", "timer-2")
    async with one, two, notifier, ingest:
        await until(lambda: works.has_folded(events // 5), "a fifth of the log")
        ingest.kill()
        ingest.start()
        await until(lambda: works.has_folded(events // 2), "half of the log")
        one.kill()
        one.start()
        await receiver.until(lambda posted: len(posted) > 100, within_s=PATIENCE_S)
        notifier.kill()
        notifier.start()
        await works.settled(events)
        await until(works.fed, "the states of all clocks to be told")
        wanted = len({record.event.breach_id for record in await works.published() if _is_routed(record)})
        await receiver.until(lambda posted: len(_webhook_ids(posted)) >= wanted, within_s=PATIENCE_S)


def _is_routed(record: Published) -> bool:
    return record.type == "sla.clock.breached.v1" and record.event.kind in {"chat", "call"}


def _webhook_ids(posted: Iterable[Posted]) -> set[str]:
    return {each.headers["webhook-id"] for each in posted}


def _assert_alerts_were_delivered(distinct: Iterable[Published], posted: list[Posted]) -> None:
    """Every breach that is routed reached the receiver, signed; one that came twice has the same id both times."""
    alerted: dict[str, str] = {}
    for each in posted:
        body = Webhook(SECRET).verify(each.body, each.headers)
        assert alerted.setdefault(body["data"]["breach_id"], each.headers["webhook-id"]) == each.headers["webhook-id"]
    assert set(alerted) == {record.event.breach_id for record in distinct if _is_routed(record)}


def _expected(log: list[dict[str, Any]]) -> Counter[str]:
    rulebook = Rulebook(((0, load({"policies.yaml": POLICIES})),))
    events = [decode_structured(value) for _, value in encoded(log)]
    return told(backtest.published(events, rulebook, parse_instant(UNTIL)))


FIELDS = ("item", "metric", "cycle", "policy", "target_s", "started_at", "due_at", "breached_at")


def _breaches(distinct: Iterable[Published]) -> list[tuple[Any, ...]]:
    return sorted(
        tuple(getattr(record.event, name) for name in FIELDS)
        for record in distinct
        if record.type == "sla.clock.breached.v1"
    )


def _rows(folder: Path) -> list[dict[str, Any]]:
    """What `./plazo backtest` prints for the same file: one row a clock."""
    arguments = ["--policies", folder / "policies.yaml", "--events", folder / "log.jsonl", "--until", UNTIL]
    command = [sys.executable, "-m", "services", "backtest", *map(str, arguments)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return [json.loads(line) for line in done.stdout.splitlines()]


def _backtested(rows: Iterable[dict[str, Any]]) -> list[tuple[Any, ...]]:
    return sorted(tuple(row[name] for name in FIELDS) for row in rows if row["state"] == "breached")


def _assert_states_are_told(told: Iterable[ClockState], rows: Iterable[dict[str, Any]]) -> None:
    """The compacted topic holds each clock as the backtest has it at the end; `due_at` of a paused one is nothing."""
    names = ("item", "metric", "cycle", "policy", "state", "started_at", "stopped_at", "breached_at")
    assert sorted(tuple(str(getattr(state, name)) for name in names) for state in told) == sorted(
        tuple(str(row[name]) for name in names) for row in rows
    )


def _summary(works: Plant, log: list[dict[str, Any]], published: list[Published], seconds: float, clocks: int) -> str:
    kinds = Counter(record.type for record in published)
    repeats = len(published) - len({record.event_id for record in published})
    now = datetime.now(UTC).isoformat(timespec="seconds")
    told = f"{now} {len(log)} events, {clocks} clocks, {dict(kinds)}, {repeats} repeats, {seconds:.1f} s"
    return f"{told}, logs in {works.folder}"
