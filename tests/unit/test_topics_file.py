"""Plazo's own topics: their file, what is missing at a cluster, and what differs there."""

from __future__ import annotations

import pytest

from services.cli.topics_file import EMBEDDED_PARTITIONS, PATH, Topic, differences, missing, read, small
from shared.errors import BadDocument
from shared.events import Topics
from shared.kafka.admin import NewTopic

DAY_MS = 86_400_000
ALL = "\n".join(
    f"  {name}: {{partitions: 1, retention: 1d}}"
    for name in ("sla.intake.v1", "sla.breaches.v1", "sla.clocks.v1", "sla.deadletters.v1")
)


def file_with(events: str) -> str:
    return f"topics:\n{ALL}\n  sla.events.v1: {{{events}}}\n"


def topic(**changes: object) -> Topic:
    return Topic.model_validate({"partitions": 4, "retention": "7d", **changes})


def test_the_file_of_the_project_names_every_topic_under_its_prefix() -> None:
    own = Topics("eu.")
    topics = read(PATH.read_text(), "topics.yaml", "eu.")
    assert set(topics) == {own.intake, own.events, own.breaches, own.clocks, own.deadletters}
    assert topics[own.events].partitions == 32
    assert topics[own.clocks].cleanup == "compact"
    assert topics[own.breaches].retention >= 14 * DAY_MS


@pytest.mark.parametrize(
    ("events", "message"),
    [
        ("partitions: 0, retention: 7d", "topics.sla.events.v1.partitions: expected greater than or equal to 1"),
        ("partitions: many, retention: 7d", "topics.sla.events.v1.partitions: expected a whole number, got 'many'"),
        ("partitions: 4", "topics.sla.events.v1.retention: is required"),
        ("partitions: 4, retention: 7", "expected hours or days like 48h or 7d, or forever, got 7"),
        ("partitions: 4, retention: 0d", "expected hours or days like 48h or 7d, or forever, got '0d'"),
        (
            "partitions: 4, retention: 7d, cleanup: shrink",
            "topics.sla.events.v1.cleanup: expected 'delete' or 'compact'",
        ),
        ("partitions: 4, retention: 7d, in_sync: 2", "expected in_sync of at most 1, the replicas, got 2"),
        ("partitions: 4, retention: 7d, colour: red", "topics.sla.events.v1.colour: is not known here"),
    ],
)
def test_a_mistake_is_named_with_its_line_and_field(events: str, message: str) -> None:
    with pytest.raises(BadDocument) as caught:
        read(file_with(events), "topics.yaml")
    assert str(caught.value).startswith("topics.yaml:6: ")
    assert message in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        f"topics:\n{ALL}\n",  # one is missing
        file_with("partitions: 4, retention: 7d") + "  sla.other.v1: {partitions: 1, retention: 1d}\n",  # one too many
    ],
)
def test_the_file_has_to_name_exactly_plazos_topics(text: str) -> None:
    with pytest.raises(BadDocument, match=r"expected exactly the topics sla\.breaches\.v1, "):
        read(text, "topics.yaml")


@pytest.mark.parametrize(
    ("retention", "milliseconds"),
    [("7d", 7 * DAY_MS), ("48h", 2 * DAY_MS), ("forever", -1)],
)
def test_retention_is_told_to_kafka_in_milliseconds(retention: str, milliseconds: int) -> None:
    assert topic(retention=retention).settings == {"cleanup.policy": "delete", "retention.ms": str(milliseconds)}


def test_only_what_is_not_there_is_missing() -> None:
    found = missing({"a": topic(), "b": topic()}, {"a": 9, "c": 1}, brokers=1)
    assert [each.name for each in found] == ["b"]


@pytest.mark.parametrize(
    ("brokers", "replicas", "in_sync"),
    [
        (5, 3, "2"),  # more brokers than copies
        (3, 3, "2"),  # just enough
        (2, 2, None),  # too few: as many copies as there can be, and none of them may be missed for writing
        (1, 1, None),
    ],
)
def test_there_are_no_more_copies_than_brokers(brokers: int, replicas: int, in_sync: str | None) -> None:
    wanted = topic(replicas=3, in_sync=2)
    settings = {**wanted.settings, **({"min.insync.replicas": in_sync} if in_sync else {})}
    assert missing({"a": wanted}, {}, brokers) == [NewTopic("a", 4, replicas, settings)]


def test_a_laptop_gets_fewer_partitions_and_never_more() -> None:
    found = small({"a": topic(partitions=32), "b": topic(partitions=2)})
    assert {name: each.partitions for name, each in found.items()} == {"a": EMBEDDED_PARTITIONS, "b": 2}


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, []),  # a broker that tells nothing
        ({"cleanup.policy": "delete", "retention.ms": str(7 * DAY_MS)}, []),
        ({"retention.ms": str(8 * DAY_MS)}, []),  # longer harms nobody
        ({"retention.ms": "-1"}, []),
        ({"retention.ms": str(6 * DAY_MS)}, ["a keeps records for 144 h, expected 168 h"]),
        ({"cleanup.policy": "compact"}, ["a has cleanup.policy=compact, expected delete"]),
    ],
)
def test_what_differs_is_told(settings: dict[str, str], expected: list[str]) -> None:
    assert differences("a", topic(), settings) == expected


def test_a_topic_that_is_kept_forever_must_not_forget() -> None:
    wanted = topic(retention="forever")
    assert differences("a", wanted, {"retention.ms": "3600000"}) == ["a keeps records for 1 h, expected forever"]
