"""Whether the hot paths still cost what they did, as a multiple of a fixed loop of plain Python in the same process.

Absolute times differ between machines and hours; the ratio of two CPU times of one process, taken turn by turn, hardly
does: in twenty runs on two cores that had four times as much to do as they could, each ratio stayed within an eighth
of its median. A bound is 1.6 times the usual value, so that only a real regression breaks it.

To renew the bounds, after a change that makes a path faster or dearer on purpose, run

    pytest -s tests/unit/test_relative_speed.py

some times: it prints what each path costs. Write the medians into USUAL. How fast the paths really are is shown by
`make bench`.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import Final

import pytest

from services.ingest.handlers import Ingest
from services.ingest.normalize import Origin
from services.timer import backtest
from services.timer.policy_file import load
from services.timer.rulebook import Rulebook
from shared.cloudevents import Tenancy, decode_structured
from shared.events import SECOND, Topics, parse_instant
from shared.kafka.connection import MAX_RECORD_BYTES
from shared.metrics import Metrics
from tests.bench.policies import SAMPLE
from tests.bench.workload import Shape, lifecycles
from tests.fakes import FakeProducer, FakeRecord

NOW: Final = parse_instant("2026-11-20T12:00:00Z")
EVENTS: Final = 2_000
QUESTIONS: Final = 10_000
TURNS: Final = 7  # of which the quickest counts: whatever else the machine does can only take time away
FACTOR: Final = 1.6
LOOP: Final = 5_000  # rounds of the reference

# What an event, or a question, costs in rounds of the reference loop.
USUAL: Final = {"fold": 15.5, "ingest": 5.1, "calendar": 0.9}


def reference() -> None:
    """A fixed amount of what the paths mostly do: build small objects, look names up, compare, format, call."""
    known: dict[str, tuple[int, str]] = {}
    for number in range(LOOP):
        key = f"item-{number % 97}"
        before, text = known.get(key, (0, ""))
        merged = {"a": number, "b": before, "c": text}
        merged = {name: value for name, value in {**merged, "d": key}.items() if value is not None}
        known[key] = (max(before, number), str(len(merged)))


def cost(path: Callable[[], None], count: int) -> float:
    """What one of *count* that *path* does costs, in rounds of the reference loop."""
    paths, references = [], []
    for _ in range(TURNS):
        references.append(_used(reference))
        paths.append(_used(path))
    return (min(paths) / count) / (min(references) / LOOP)


def _used(work: Callable[[], None]) -> float:
    begun = time.process_time()
    work()
    return time.process_time() - begun


def check(name: str, found: float) -> None:
    """Print the cost for whoever renews the bounds, and compare."""
    print(f"{name}: {found:.2f} rounds of the reference, usually {USUAL[name]}")
    assert found < FACTOR * USUAL[name], f"{name} costs {found / USUAL[name]:.1f} times what it did"


@pytest.fixture(scope="module")
def values() -> list[bytes]:
    return [value for _, value in lifecycles(Shape(EVENTS, in_flight=200), NOW)]


@pytest.fixture(scope="module")
def rulebook() -> Rulebook:
    return Rulebook(((0, load({SAMPLE.name: SAMPLE.read_text()})),))


def test_folding_an_event_costs_what_it_did(values: list[bytes], rulebook: Rulebook) -> None:
    def fold() -> None:
        assert backtest.run((decode_structured(value) for value in values), rulebook, NOW)

    check("fold", cost(fold, len(values)))


def test_forwarding_an_event_costs_what_it_did(values: list[bytes]) -> None:
    origins = {"tickets": Origin("canonical", Tenancy(), MAX_RECORD_BYTES)}
    metrics = Metrics("test", "test")
    records = [FakeRecord(value) for value in values]

    def forward() -> None:
        producer = FakeProducer()
        ingest = Ingest(producer, Topics(), origins, 300 * SECOND, metrics, now=lambda: NOW)
        with pytest.raises(StopIteration):  # nothing in it waits, so one step is all of it
            ingest.on_batch(records).send(None)
        assert len(producer.on(Topics().events)) == len(records)

    check("ingest", cost(forward, len(records)))


def test_a_question_to_a_calendar_costs_what_it_did(rulebook: Rulebook) -> None:
    hours = rulebook.versions[0][1].calendars["madrid"]
    pick = random.Random(1)
    asked = [(NOW + pick.randrange(-(10**13), 10**13), pick.randrange(200 * 3600) * SECOND) for _ in range(QUESTIONS)]

    def ask() -> None:
        for start, span in asked:
            hours.add(start, span)

    check("calendar", cost(ask, QUESTIONS))
