"""What a reader of the topic holds as true in the end, and what really was."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from tests.oracle.events import Event
from tests.oracle.rows import folds, shown_instant

Truth = list[dict[str, Any]]


def held_true(published: Iterable[Mapping[str, Any]]) -> Truth:
    """The breaches that were told and not taken back, each with the last that was told of its end."""
    breaches: dict[str, dict[str, Any]] = {}
    for event in published:
        if event["what"] == "retracted":
            del breaches[event["breach_id"]]
        elif event["what"] == "breached":
            assert event["breach_id"] not in breaches
            breaches[event["breach_id"]] = {
                "item": event["item"],
                "metric": event["metric"],
                "policy": event["policy"],
                "due_at": event["due_at"],
                "breached_at": event["breached_at"],
                "end": None,
            }
        elif event["what"] in ("stopped", "cancelled"):
            breaches[event["breach_id"]]["end"] = [event["what"], event["stopped_at"]]
    return sorted(breaches.values(), key=str)


def what_was(policies: str, events: Iterable[Event], until: str) -> Truth:
    """The breaches of all clocks, each with its last end, if it had one."""
    found = []
    for item, folded in folds(policies, events, until):
        for clock in folded.clocks:
            if clock.breached_at is None:
                continue
            ends = [[what, shown_instant(at)] for what, at, _ in clock.told if what in ("stopped", "cancelled")]
            found.append(
                {
                    "item": item,
                    "metric": clock.metric,
                    "policy": clock.terms.policy,
                    "due_at": shown_instant(clock.breach_due_at),
                    "breached_at": shown_instant(clock.breached_at),
                    "end": ends[-1] if ends else None,
                }
            )
    return sorted(found, key=str)
