"""Ingest's settings."""

from __future__ import annotations

import pytest

from services.ingest.normalize import Origin
from services.ingest.settings import Settings
from shared.cloudevents import Tenancy
from shared.configuration import load
from shared.errors import Refused

LEAST = {"KAFKA_BOOTSTRAP": "localhost:9092"}


def test_topics_can_be_named_in_short() -> None:
    settings = load(Settings, {**LEAST, "UPSTREAM_TOPICS": "tickets, calls:canonical"})
    assert [(upstream.topic, upstream.format) for upstream in settings.upstream] == [
        ("tickets", "canonical"),
        ("calls", "canonical"),
        ("sla.intake.v1", "canonical"),  # what comes over HTTP
    ]


def test_a_topic_decides_for_whom_its_events_speak() -> None:
    topics = '[{"topic": "a", "tenant": "acme"}, {"topic": "b", "tenant": "main", "trust_tenant": true}]'
    settings = load(Settings, {**LEAST, "UPSTREAM_TOPICS": topics})
    assert [settings.origin(upstream) for upstream in settings.upstream] == [
        Origin("canonical", Tenancy("acme", trusted=False), 900_000),
        Origin("canonical", Tenancy("main", trusted=True), 900_000),
        Origin("canonical", Tenancy("default", trusted=True), 900_000),
    ]


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        (
            {"UPSTREAM_TOPICS": "tickets:zendisk"},
            "UPSTREAM_TOPICS: tickets: expected the format canonical",
        ),
        ({"UPSTREAM_TOPICS": "a,b,a"}, "UPSTREAM_TOPICS: each topic once: a"),
        ({"UPSTREAM_TOPICS": '[{"topic": "a", "kinds": ["fax"]}]'}, "UPSTREAM_TOPICS[0].kinds"),
        ({"INGEST_RECORD_BYTES": "2000000"}, "INGEST_RECORD_BYTES: Input should be less than or equal to 900000"),
        ({"INGEST_FUTURE_SKEW_S": "-1"}, "INGEST_FUTURE_SKEW_S: Input should be greater than or equal to 0"),
    ],
)
def test_a_wrong_setting_is_named_and_hides_no_other(changes: dict[str, str], told: str) -> None:
    with pytest.raises(Refused) as refused:
        load(Settings, {**LEAST, "INGEST_BATCH_RECORDS": "0", **changes})
    assert told in str(refused.value)
    assert "INGEST_BATCH_RECORDS" in str(refused.value)


def test_every_setting_is_described() -> None:
    assert all(field.description for field in Settings.model_fields.values())
