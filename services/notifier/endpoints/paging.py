"""Who wakes people, and who routes alerts further, as `notify.yaml` describes them. PURE."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, Field, SecretStr, model_validator

from services.notifier.endpoints.values import (
    SecretWebAddress,
    Strict,
    Timeout,
    WebAddress,
    expect_at_most_one,
    expect_one,
)

Region = Literal["us", "eu"]
PAGERDUTY: Final = {"us": "https://events.pagerduty.com", "eu": "https://events.eu.pagerduty.com"}
OPSGENIE: Final = {"us": "https://api.opsgenie.com", "eu": "https://api.eu.opsgenie.com"}


def routing_key(text: str) -> str:
    """*text*, the integration key of a service at PagerDuty.

    Raises:
        ValueError: it is none; the key is not repeated.
    """
    if len(text) != 32 or not text.isascii() or not text.isalnum():
        raise ValueError("expected an integration key of 32 letters and digits")
    return text


def _routing_key(value: SecretStr) -> SecretStr:
    routing_key(value.get_secret_value())
    return value


class PagerDuty(Strict):
    """A service of PagerDuty, by its Events API v2."""

    key: Annotated[SecretStr, AfterValidator(_routing_key)] | None = None
    key_env: str | None = None
    key_file: Path | None = None
    region: Region = "us"
    api: WebAddress | None = None  # instead of the region's
    timeout: Timeout = 15.0

    @model_validator(mode="after")
    def _given_once(self) -> PagerDuty:
        expect_one(self, "key")
        return self


class Opsgenie(Strict):
    """An integration of Opsgenie, by its Alert API."""

    key: SecretStr | None = None
    key_env: str | None = None
    key_file: Path | None = None
    region: Region = "us"
    api: WebAddress | None = None  # instead of the region's; what stands before `/v2/alerts`
    team: str | None = Field(None, min_length=1)  # who responds, where the integration does not say
    timeout: Timeout = 15.0

    @model_validator(mode="after")
    def _given_once(self) -> Opsgenie:
        expect_one(self, "key")
        return self


class Alertmanager(Strict):
    """A Prometheus Alertmanager, by its API v2."""

    url: SecretWebAddress | None = None  # what stands before `/api/v2/alerts`
    url_env: str | None = None
    url_file: Path | None = None
    token: SecretStr | None = None  # of whoever stands before it
    token_env: str | None = None
    token_file: Path | None = None
    open_for_days: int = Field(7, ge=1, le=365)  # an alert of which no end is told ends by itself after this
    timeout: Timeout = 15.0

    @model_validator(mode="after")
    def _given_once(self) -> Alertmanager:
        expect_one(self, "url")
        expect_at_most_one(self, "token")
        return self
