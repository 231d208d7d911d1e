"""The clocks of many items as `./plazo backtest` prints them."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.oracle.clocks import Clock, Reading
from tests.oracle.events import Event, instant, item_of
from tests.oracle.fold import Fold, fold
from tests.oracle.hours import SECOND
from tests.oracle.policies import Policies


def shown_instant(at: int | None) -> str | None:
    """RFC 3339 in UTC, with a fraction only where there is one."""
    if at is None:
        return None
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=at)).isoformat().replace("+00:00", "Z")


def folds(policies: str, events: Iterable[Event], until: str) -> Iterator[tuple[str, Fold]]:
    """(item, its clocks) of every item that something has happened to by *until*."""
    read, end = Policies(policies), instant(until)
    by_item: dict[str, list[Event]] = defaultdict(list)
    for event in events:
        if instant(event["time"]) <= end:
            by_item[item_of(event)].append(event)
    for item, own in by_item.items():
        yield item, fold(read, own, end)


def rows(policies: str, events: Iterable[Event], until: str) -> list[dict[str, Any]]:
    """One row a clock, sorted by item, metric and cycle."""
    found = [
        row(item, clock, folded.read(clock, instant(until)))
        for item, folded in folds(policies, events, until)
        for clock in folded.clocks
    ]
    return sorted(found, key=lambda each: (each["item"], each["metric"], each["cycle"]))


def facts(policies: str, events: Iterable[Event], until: str) -> list[dict[str, Any]]:
    """What a reader hears of the clocks when every event is known in time, sorted by item, metric, cycle and time."""
    found = [
        fact(item, clock, *told)
        for item, folded in folds(policies, events, until)
        for clock in folded.clocks
        for told in clock.told
    ]
    return sorted(found, key=by_clock_and_time)


def comparable(policies: str, found: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows or facts without their cycles' numbers, sorted anew, where some policy applies beside the winner.

    Of clocks of several policies that one event begins, it is left open which has the lower number.
    """
    combined = any("combine" in policy for policy in json.loads(policies)["policies"])
    if not combined:
        return list(found)
    return sorted([{**each, "cycle": None} for each in found], key=lambda each: json.dumps(each, sort_keys=True))


def by_clock_and_time(each: dict[str, Any]) -> tuple[Any, ...]:
    """The order in which facts are compared."""
    return each["item"], each["metric"], each["cycle"], each["at"], each["what"], each["warning"] or ""


def fact(item: str, clock: Clock, what: str, at: int, warning: str | None) -> dict[str, Any]:
    """One thing that is told of a clock."""
    return {
        "item": item,
        "metric": clock.metric,
        "cycle": clock.cycle,
        "what": what,
        "at": shown_instant(at),
        "warning": warning,
    }


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
