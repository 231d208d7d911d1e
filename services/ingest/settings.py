"""Ingest's settings, from environment variables."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, field_validator

from services.ingest.normalize import SOURCES, Origin
from services.ingest.status_file import built_in, extended
from services.ingest.statuses import StatusTable
from shared.cloudevents import Tenancy
from shared.configuration import CommonSettings, Upstream
from shared.errors import BadDocument
from shared.kafka.connection import MAX_RECORD_BYTES


class Settings(CommonSettings):
    """What ingest needs to know beyond what every service does."""

    ingest_future_skew_s: float = Field(
        300.0,
        ge=0,
        le=86_400,
        description="How far in the future an event may lie, in seconds; later ones are refused.",
    )
    ingest_batch_records: int = Field(
        10_000, ge=1, le=100_000, description="How many records are read, forwarded and committed together at most."
    )
    ingest_record_bytes: int = Field(
        MAX_RECORD_BYTES, ge=1, le=MAX_RECORD_BYTES, description="The largest record that is read, in bytes."
    )
    ingest_session_timeout_ms: int = Field(
        10_000,
        ge=1_000,
        le=300_000,
        description="After how many milliseconds of silence others take over a process's part.",
    )
    ingest_body_bytes: int = Field(
        1_048_576, ge=1, description="The largest body of a request to `POST /v1/events`, in bytes."
    )
    ingest_answer_s: float = Field(
        5.0, gt=0, description="How long `POST /v1/events` waits for Kafka before it answers 503, in seconds."
    )

    statuses: Path | None = Field(
        None, description="A YAML file that adds to the table of what the status names of systems mean."
    )

    @field_validator("statuses")
    @classmethod
    def _status_names(cls, statuses: Path | None) -> Path | None:
        _table(statuses)
        return statuses

    @field_validator("upstream_topics")
    @classmethod
    def _can_be_read(cls, upstream_topics: tuple[Upstream, ...]) -> tuple[Upstream, ...]:
        for upstream in upstream_topics:
            if upstream.format not in SOURCES:
                raise ValueError(f"{upstream.topic}: expected the format {', '.join(SOURCES)}, got {upstream.format}")
        topics = [upstream.topic for upstream in upstream_topics]
        repeated = sorted({topic for topic in topics if topics.count(topic) > 1})
        if repeated:
            raise ValueError(f"each topic once: {', '.join(repeated)}")
        return upstream_topics

    def status_table(self) -> StatusTable:
        """What status names mean."""
        return _table(self.statuses)

    def origin(self, upstream: Upstream) -> Origin:
        """How the records of an upstream topic are read."""
        tenancy = Tenancy(upstream.tenant, upstream.trust_tenant)
        return Origin(upstream.format, tenancy, self.ingest_record_bytes)


def _table(path: Path | None) -> StatusTable:
    if path is None:
        return built_in()
    try:
        return extended(path.read_text(encoding="utf-8-sig"), str(path))
    except BadDocument as exc:
        raise ValueError(str(exc)) from exc
    except (OSError, UnicodeDecodeError) as exc:
        raise ValueError(f"{path} cannot be read: {exc}") from exc
