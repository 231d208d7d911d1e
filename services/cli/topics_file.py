"""Plazo's own topics as `deploy/topics.yaml` names them. PURE: its text in, topics out."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PositiveInt, model_validator

from shared.documents import parse
from shared.events import Topics
from shared.kafka.admin import NewTopic

PATH: Final = Path(__file__).resolve().parents[2] / "deploy" / "topics.yaml"
EMBEDDED_PARTITIONS: Final = 8
"""As many as a laptop can use; the first start freezes them in its database."""

_HOUR_MS: Final = 3_600_000
_RETENTION: Final = re.compile(r"([1-9][0-9]{0,4})([hd])")
_FOREVER: Final = -1  # as Kafka writes it


def _milliseconds(value: Any) -> Any:
    if value == "forever":
        return _FOREVER
    found = _RETENTION.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        raise ValueError(f"expected hours or days like 48h or 7d, or forever, got {value!r}")
    return int(found[1]) * _HOUR_MS * (24 if found[2] == "d" else 1)


class Topic(BaseModel):
    """What a topic should be like."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    partitions: Annotated[int, Field(ge=1, le=4096)]
    retention: Annotated[int, BeforeValidator(_milliseconds)]  # ms; -1 is forever
    cleanup: Literal["delete", "compact"] = "delete"
    replicas: PositiveInt = 1
    in_sync: PositiveInt = 1

    @model_validator(mode="after")
    def _can_be_written(self) -> Self:
        if self.in_sync > self.replicas:
            raise ValueError(f"expected in_sync of at most {self.replicas}, the replicas, got {self.in_sync}")
        return self

    @property
    def settings(self) -> Mapping[str, str]:
        """The topic's settings by their Kafka names, as far as they do not depend on the cluster."""
        return {"cleanup.policy": self.cleanup, "retention.ms": str(self.retention)}


class _TopicsFile(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    topics: dict[str, Topic]

    @model_validator(mode="after")
    def _all_are_there(self) -> Self:
        own = Topics()
        expected = {own.intake, own.events, own.breaches, own.clocks, own.deadletters}
        if self.topics.keys() != expected:
            raise ValueError(f"expected exactly the topics {', '.join(sorted(expected))}")
        return self


def read(text: str, file: str, prefix: str = "") -> dict[str, Topic]:
    """full name -> topic.

    Raises:
        BadDocument: names everything that is wrong, with its line.
    """
    return {prefix + name: topic for name, topic in parse(text, _TopicsFile, file).topics.items()}


def small(topics: Mapping[str, Topic]) -> dict[str, Topic]:
    """*topics* for one broker on a laptop."""
    return {
        name: topic.model_copy(update={"partitions": min(topic.partitions, EMBEDDED_PARTITIONS)})
        for name, topic in topics.items()
    }


def missing(wanted: Mapping[str, Topic], there: Mapping[str, int], brokers: int) -> list[NewTopic]:
    """The topics of *wanted* that are not *there*, for a cluster of so many brokers, in the order of their names."""
    return [_new(name, topic, brokers) for name, topic in sorted(wanted.items()) if name not in there]


def _new(name: str, topic: Topic, brokers: int) -> NewTopic:
    if brokers < topic.replicas:
        # With every copy required, one broker that restarts would stop all writing.
        return NewTopic(name, topic.partitions, brokers, topic.settings)
    settings = {**topic.settings, "min.insync.replicas": str(topic.in_sync)}
    return NewTopic(name, topic.partitions, topic.replicas, settings)


def differences(name: str, topic: Topic, settings: Mapping[str, str]) -> list[str]:
    """In what the topic's *settings*, as the brokers tell them, differ from what it should be like.

    A setting that the brokers do not tell is not compared. A longer retention than asked for is no difference.
    """
    found = []
    cleanup = settings.get("cleanup.policy", topic.cleanup)
    if cleanup != topic.cleanup:
        found.append(f"{name} has cleanup.policy={cleanup}, expected {topic.cleanup}")
    kept = int(settings.get("retention.ms", topic.retention))
    if topic.cleanup == "delete" and _shorter(kept, topic.retention):
        found.append(f"{name} keeps records for {kept // _HOUR_MS} h, expected {_hours(topic.retention)}")
    return found


def _shorter(kept: int, wanted: int) -> bool:
    return kept != _FOREVER and (wanted == _FOREVER or kept < wanted)


def _hours(retention: int) -> str:
    return "forever" if retention == _FOREVER else f"{retention // _HOUR_MS} h"
