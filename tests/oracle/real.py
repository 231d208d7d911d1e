"""What the services answer, asked by the few functions that the command line uses."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

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


def rows(policies: str, events: Iterable[Event], until: str) -> list[dict[str, Any]]:
    """The rows of `./plazo backtest`."""
    return [
        shown(row)
        for row in backtest.run([_read(event) for event in events], _rulebook(policies), parse_instant(until))
    ]


def published(policies: str, events: Sequence[Event], until: str) -> list[dict[str, Any]]:
    """What `./plazo backtest --arrival` would have published; each event arrives at its `data.arrived_at`."""
    arrivals = [backtest.Arrival(parse_instant(event["data"]["arrived_at"]), _read(event)) for event in events]
    arrivals.sort(key=lambda arrival: arrival.at)
    outputs = backtest.published_of(arrivals, _rulebook(policies), parse_instant(until))
    return [{"type": output.type, **msgspec.to_builtins(output.event)} for output in outputs]


def hours(calendars: str, questions: Iterable[Mapping[str, Any]]) -> list[Any]:
    """The results of `./plazo hours --stdin`."""
    known = load_calendars({"calendars.json": calendars})
    return [answer_one(known, msgspec.convert(question, Question))["result"] for question in questions]


def _rulebook(policies: str) -> Rulebook:
    return Rulebook(((0, load({"policies.json": policies})),))


def _read(event: Event) -> Any:
    return decode_line(json.dumps(event).encode(), Path("events.jsonl"), 1)
