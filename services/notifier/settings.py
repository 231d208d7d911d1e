"""The notifier's settings, from environment variables."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, SecretStr

from shared.configuration import CommonSettings


class Settings(CommonSettings):
    """What the notifier needs to know."""

    database_url: SecretStr = Field(description="PostgreSQL, `postgresql://user:password@host:port/name`.")
    notify_routes: Path = Field(description="The routes and receivers, a `notify.yaml`.")
    notifier_group: str = Field("plazo-notifier", description="The notifier's consumer group.")
    notifier_batch_records: int = Field(
        500, ge=1, le=2000, description="How many records are remembered in one transaction at most."
    )
    notifier_claim_s: float = Field(
        90.0, gt=60.0, le=3600.0,
        description="How long deliveries stay with a process that died, in seconds; longer than any attempt takes.",
    )  # fmt: skip
    notifier_kept_days: float = Field(
        90.0,
        gt=0,
        description="How long breaches and their deliveries are kept, in days; longer than the breach topic.",
    )
