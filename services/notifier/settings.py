"""The notifier's settings, from environment variables."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import NoDecode

from services.notifier.links import Links
from services.notifier.reach import Reach, allowed
from shared.configuration import Certificates, CommonSettings
from shared.signed_links import SHORTEST_SECRET


class Settings(CommonSettings):
    """What the notifier needs to know."""

    database_url: SecretStr = Field(description="PostgreSQL, `postgresql://user:password@host:port/name`.")
    notify_routes: Path = Field(description="The routes and receivers, a `notify.yaml`.")
    instance: str = Field(
        default_factory=socket.gethostname,
        min_length=1,
        description="The name of this process, which no other notifier has at the same time; one that restarts under "
        "its name takes up at once what it was delivering.",
    )
    notifier_group: str = Field("plazo-notifier", description="The notifier's consumer group.")
    notifier_batch_records: int = Field(
        500, ge=1, le=2000, description="How many records are remembered in one transaction at most."
    )
    notifier_claim_s: float = Field(
        90.0, gt=60.0, le=3600.0,
        description="How long deliveries stay with a process that died and does not come back under its name, in "
        "seconds; longer than any attempt takes.",
    )  # fmt: skip
    notifier_kept_days: float = Field(
        90.0,
        gt=0,
        description="How long breaches and their deliveries are kept, in days; longer than the breach topic.",
    )
    webhook_allow: Annotated[tuple[str, ...], NoDecode] = Field(
        (),
        description="Networks and hosts that webhooks may reach though they are internal, or over `http://`: "
        "`10.1.0.0/16,hooks.internal`.",
    )
    webhook_ports: Annotated[frozenset[int], NoDecode] = Field(
        frozenset(), description="The only ports that webhooks may reach: `443,8443`; every port without it."
    )
    alert_link_url: str | None = Field(
        None,
        description="Where people reach this notifier over HTTP, `https://alerts.example.com`: with it, messages carry"
        " a link that acknowledges their alert.",
    )
    alert_link_secret: SecretStr | None = Field(
        None, description="What those links are signed with, 32 characters or more, the same for every notifier."
    )
    notifier_ca_file: Certificates | None = Field(
        None, description="Certificates (PEM) that are trusted beside the system's, of webhooks and mail servers."
    )

    @field_validator("webhook_allow", "webhook_ports", mode="before")
    @classmethod
    def _listed(cls, value: Any) -> Any:
        return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value

    @field_validator("webhook_allow")
    @classmethod
    def _networks_and_hosts(cls, webhook_allow: tuple[str, ...]) -> tuple[str, ...]:
        allowed(webhook_allow)
        return webhook_allow

    @field_validator("alert_link_url")
    @classmethod
    def _http(cls, alert_link_url: str | None) -> str | None:
        parts = urlsplit(alert_link_url or "https://example.com")
        if parts.scheme not in ("https", "http") or not parts.hostname or parts.query or parts.fragment:
            raise ValueError(f"expected a URL like https://alerts.example.com, got {alert_link_url!r}")
        return alert_link_url

    @field_validator("alert_link_secret")
    @classmethod
    def _long(cls, alert_link_secret: SecretStr | None) -> SecretStr | None:
        if alert_link_secret is not None and len(alert_link_secret.get_secret_value()) < SHORTEST_SECRET:
            raise ValueError(f"expected {SHORTEST_SECRET} characters or more")
        return alert_link_secret

    @model_validator(mode="after")
    def _both(self) -> Settings:
        if (self.alert_link_url is None) != (self.alert_link_secret is None):
            raise ValueError("expected both ALERT_LINK_URL and ALERT_LINK_SECRET, or none of them")
        return self

    @property
    def links(self) -> Links | None:
        """Makes the links that messages carry; None where they carry none."""
        if self.alert_link_url is None or self.alert_link_secret is None:
            return None
        return Links(self.alert_link_url, self.alert_link_secret.get_secret_value())

    @property
    def reach(self) -> Reach:
        """Where webhooks may go."""
        networks, hosts = allowed(self.webhook_allow)
        return Reach(networks, hosts, self.webhook_ports)
