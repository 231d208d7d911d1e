"""The settings of the commands that look after an installation."""

from __future__ import annotations

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from shared.configuration import CommonSettings


class DatabaseSettings(BaseSettings):
    """Where the database is."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore")

    database_url: SecretStr = Field(description="PostgreSQL, `postgresql://user:password@host:port/name`.")


class InstallationSettings(CommonSettings):
    """Where the brokers and the database are."""

    database_url: SecretStr = Field(description="PostgreSQL, `postgresql://user:password@host:port/name`.")
