"""The timer's settings."""

from __future__ import annotations

import socket
from pathlib import Path

from pydantic import Field, SecretStr

from shared.configuration import CommonSettings


class Settings(CommonSettings):
    """What the timer needs to know beyond what every service does."""

    database_url: SecretStr = Field(description="PostgreSQL, `postgresql://user:password@host:port/name`.")
    policies: Path = Field(description="The policy file, or a folder of them.")
    instance: str = Field(
        default_factory=socket.gethostname,
        min_length=1,
        description="The name of this process; one that restarts under its name takes its partitions back at once.",
    )
    hold_max_s: float = Field(30.0, ge=0, description="Seconds that a deadline waits for evidence that does not come.")
    keep_items: int = Field(
        100_000, ge=1_000, description="Items kept in memory, about 1.3 kB each; the others stay in PostgreSQL."
    )
    keep_closed_days: float = Field(
        0.0,
        ge=0,
        description="Days after its last event that an item which is over is kept; then it is forgotten. 0: for ever.",
    )
    timer_group: str = Field("plazo-timer", description="The group under which lag tools see the timer's offsets.")
