"""The notifier's settings, from environment variables."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import NoDecode

from services.notifier.reach import Reach, allowed
from shared.configuration import Certificates, CommonSettings


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

    @property
    def reach(self) -> Reach:
        """Where webhooks may go."""
        networks, hosts = allowed(self.webhook_allow)
        return Reach(networks, hosts, self.webhook_ports)
