"""What the services answer, asked by the few functions that the command line uses."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from services.cli.backtest import shown
from services.cli.files import decode_line
from services.cli.hours import Question, answer_one
from services.timer import backtest
from services.timer.calendars import load_calendars
from services.timer.policy_file import load
from services.timer.rulebook import Rulebook
from shared.events import parse_instant
from tests.oracle.events import Event
from tests.oracle.rows import shown_instant


def rows(policies: str, events: Iterable[Event], until: str) -> list[dict[str, Any]]:
    """The rows of `./plazo backtest`."""
    return [
        shown(row)
        for row in backtest.run([_read(event) for event in events], _rulebook(policies), parse_instant(until))
    ]


_WHAT: Final = {
    "sla.clock.warning.v1": "warning",
    "sla.clock.breached.v1": "breached",
    "sla.breach.stopped.v1": "stopped",
    "sla.breach.cancelled.v1": "cancelled",
    "sla.breach.retracted.v1": "retracted",
}


def published(policies: str, events: Sequence[Event], arrivals: Sequence[str], until: str) -> list[dict[str, Any]]:
    """What would have been published, in order, had each event become known at its arrival."""
    known = [backtest.Arrival(parse_instant(at), _read(event)) for at, event in zip(arrivals, events, strict=True)]
    known.sort(key=lambda arrival: arrival.at)
    outputs = backtest.published_of(known, _rulebook(policies), parse_instant(until))
    return [
        {"what": _WHAT[output.type], "at": shown_instant(output.time), **msgspec.to_builtins(output.event)}
        for output in outputs
    ]


def hours(calendars: str, questions: Iterable[Mapping[str, Any]]) -> list[Any]:
    """The results of `./plazo hours --stdin`."""
    known = load_calendars({"calendars.json": calendars})
    return [answer_one(known, msgspec.convert(question, Question))["result"] for question in questions]


def _rulebook(policies: str) -> Rulebook:
    return Rulebook(((0, load({"policies.json": policies})),))


def _read(event: Event) -> Any:
    return decode_line(json.dumps(event).encode(), Path("events.jsonl"), 1)
