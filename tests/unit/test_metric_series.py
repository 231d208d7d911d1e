"""However many items, tenants, policies and sources there are, the number of series stays."""

from __future__ import annotations

from random import Random
from typing import Any, Final

import msgspec
import pytest

from services.ingest.handlers import Ingest
from services.ingest.normalize import Origin
from services.ingest.status_file import built_in
from services.timer.ledger import Output
from services.timer.tally import count
from shared.cloudevents import Tenancy
from shared.dlq_limit import DlqLimit, DlqMeter
from shared.events import SECOND, BreachType, Topics, parse_instant
from shared.kafka.connection import MAX_RECORD_BYTES, Outgoing
from shared.metrics import METRIC_LABELS, OTHER, POLICY_LABELS, SOURCE_LABELS, Metrics
from tests.factories import breach_event
from tests.fakes import FakeRecord

NOON = parse_instant("2026-01-05T12:00:00Z")
MANY = 100_000
SOME = 10_000
TYPES: Final[tuple[BreachType, ...]] = ("sla.clock.breached.v1", "sla.clock.warning.v1", "sla.breach.retracted.v1")


class Nowhere:
    """Takes records and keeps none."""

    async def send(self, _topic: str, records: Any) -> None:
        """Look at each once, as the producer does."""
        for record in records:
            assert isinstance(record, Outgoing)


@pytest.fixture
def metrics() -> Metrics:
    return Metrics("test", "test")


def series(metrics: Metrics) -> int:
    """How many lines a scrape has that are no comments."""
    return sum(not line.startswith(b"#") for line in metrics.exposition().splitlines())


def event(chance: Random) -> bytes:
    """An event of which nothing was there before, and one in five that cannot be used."""
    kinds = ["ticket.created", "chat.created", "call.ended", "ticket.updated", f"ticket.{chance.random()}"]
    return msgspec.json.encode(
        {
            "specversion": "1.0",
            "id": f"e-{chance.random()}",
            "source": f"/source/{chance.random()}",
            "type": chance.choice(kinds),
            "subject": f"{chance.random()}",
            "tenant": f"tenant-{chance.getrandbits(40)}",
            "time": "2026-01-05T11:59:00Z",
            "data": {"attributes": {"status": f"status {chance.random()}", "customer": f"{chance.random()}"}},
        }
    )


async def test_ingest_shows_no_more_after_100_000_events_of_as_many_items_tenants_and_sources(metrics: Metrics) -> None:
    chance = Random(1)  # the same events in every run
    origins = {"tickets": Origin("canonical", Tenancy(trusted=True), MAX_RECORD_BYTES)}
    ingest = Ingest(
        Nowhere(), Topics(), origins, 300 * SECOND, metrics, now=lambda: NOON, statuses=built_in(),
        meter=DlqMeter(DlqLimit(in_a_row=0, share=1)),
    )  # fmt: skip
    shown = []
    for _ in range(MANY // SOME):
        await ingest.on_batch([FakeRecord(event(chance)) for _ in range(SOME)])
        shown.append(series(metrics))
    accepted = metrics.registry.get_sample_value(
        "sla_ingest_events_total", {"source": "canonical", "kind": "ticket", "outcome": "accepted"}
    )
    assert accepted is not None
    assert accepted > SOME
    assert set(shown) == {shown[0]}


def test_the_timer_shows_no_more_after_100_000_policies_and_metrics(metrics: Metrics) -> None:
    chance = Random(2)  # the same names in every run
    shown = []
    for number in range(MANY):
        named = breach_event(
            policy=f"policy {chance.random()}",
            metric=f"metric {chance.random()}",
            severity=chance.choice(["low", "medium", "high", "critical"]),
            tenant=f"tenant {chance.random()}",
            id=f"{chance.random()}",
        )
        count(metrics, Output("id", chance.choice(TYPES), NOON, named), NOON + SECOND)
        if number % SOME == SOME - 1:
            shown.append(series(metrics))
    assert set(shown) == {shown[0]}
    counted = [sample for family in metrics.breaches.collect() for sample in family.samples]
    of_policies = {sample.labels["policy"] for sample in counted}
    assert len(of_policies) <= POLICY_LABELS + 1
    assert len({sample.labels["metric"] for sample in counted}) <= METRIC_LABELS + 1
    assert OTHER in of_policies


def test_what_is_counted_as_other_is_counted(metrics: Metrics) -> None:
    for number in range(POLICY_LABELS + 7):
        named = breach_event(policy=f"policy {number}", metric="resolution", severity="low")
        count(metrics, Output("id", "sla.clock.breached.v1", NOON, named), NOON)
    labels = {"policy": OTHER, "metric": "resolution", "severity": "low"}
    assert metrics.registry.get_sample_value("sla_breaches_total", labels) == 7


def test_of_many_sources_the_rest_is_shown_as_one(metrics: Metrics) -> None:
    known = {("acme", f"/source/{number}"): (1000.0 + number, False) for number in range(MANY)}
    known["acme", "/quiet"] = (500.0, True)
    metrics.show_sources(known)
    rest = {"tenant": OTHER, "source": OTHER}
    assert series(metrics) - series(Metrics("test", "test")) == 2 * (SOURCE_LABELS + 1)
    assert metrics.registry.get_sample_value("sla_source_silent", rest) == 1
    assert metrics.registry.get_sample_value("sla_source_last_event_timestamp_seconds", rest) == 500.0


def test_sources_that_fit_have_no_rest(metrics: Metrics) -> None:
    metrics.show_sources({("acme", "/pbx"): (1000.0, False)})
    assert metrics.registry.get_sample_value("sla_source_silent", {"tenant": OTHER, "source": OTHER}) is None
