"""A Kafka topic, and what the Apprise library reaches, as `notify.yaml` describes them. PURE."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, SecretStr, model_validator

from services.notifier.endpoints.values import Strict, Timeout, expect_one


class KafkaTopic(Strict):
    """A topic of the brokers that Plazo itself uses."""

    topic: str = Field(pattern=r"^[A-Za-z0-9._-]{1,249}$")
    timeout: Timeout = 30.0


class Apprise(Strict):
    """One of the services that the Apprise library knows, by a URL of its kind."""

    url: SecretStr | None = None
    url_env: str | None = None
    url_file: Path | None = None
    timeout: Timeout = 30.0

    @model_validator(mode="after")
    def _given_once(self) -> Apprise:
        expect_one(self, "url")
        return self
