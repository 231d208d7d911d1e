"""The clocks of many items as `./plazo backtest` prints them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.oracle.clocks import Clock, Reading
from tests.oracle.events import Event, instant, item_of
from tests.oracle.fold import fold
from tests.oracle.hours import SECOND
from tests.oracle.policies import Policies


def shown_instant(at: int | None) -> str | None:
    """RFC 3339 in UTC, with a fraction only where there is one."""
    if at is None:
        return None
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=at)).isoformat().replace("+00:00", "Z")


def rows(policies_text: str, events: Iterable[Event], until: str) -> list[dict[str, Any]]:
    """One row a clock, sorted by item, metric, cycle, and policy."""
    policies, end = Policies(policies_text), instant(until)
    by_item: dict[str, list[Event]] = defaultdict(list)
    for event in events:
        if instant(event["time"]) <= end:
            by_item[item_of(event)].append(event)
    result = []
    for item, own in by_item.items():
        folded = fold(policies, own, end)
        result += [row(item, clock, folded.read(clock, end)) for clock in folded.clocks]
    return sorted(result, key=lambda each: (each["item"], each["metric"], each["cycle"], each["policy"]))


def row(item: str, clock: Clock, reading: Reading) -> dict[str, Any]:
    """One clock: an open one as of the end, a stopped one as of its stop."""
    state = clock.ended or ("paused" if reading.is_paused else "running")
    due_at = None if state == "paused" else reading.due_at
    if clock.breached_at is not None:
        state, due_at = "breached", clock.breach_due_at
    return {
        "item": item,
        "metric": clock.metric,
        "cycle": clock.cycle,
        "policy": clock.terms.policy,
        "state": state,
        "started_at": shown_instant(clock.started_at),
        "due_at": shown_instant(due_at),
        "stopped_at": shown_instant(clock.stopped_at),
        "breached_at": shown_instant(clock.breached_at),
        "target_s": clock.terms.target / SECOND,
        "elapsed_s": reading.elapsed / SECOND,
        "paused_s": reading.paused / SECOND,
    }
