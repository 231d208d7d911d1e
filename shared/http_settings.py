"""The settings of the HTTP side: where it listens, and whose credentials open it."""

from __future__ import annotations

from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Any, Final
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, PydanticBaseSettingsSource, SettingsConfigDict

from shared.callers import unfit_tenant
from shared.trust import Algorithm, Trust

_URLS: Final = "expected https://…, or http:// to this machine"


class HttpSettings(BaseSettings):
    """Where the HTTP side listens, and who is let in."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore", case_sensitive=False)

    @classmethod
    def settings_customise_sources(  # the signature is the library's
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Take only what `shared.configuration.load` gives: the environment is an argument."""
        return (init_settings,)

    http_host: str = Field("127.0.0.1", description="The address that the HTTP side listens on.")
    http_port: int = Field(0, ge=0, le=65535, description="Its port; 0 takes a free one, which the log names.")
    api_keys_file: Path | None = Field(
        None, description="The API keys that are let in, a file that `./plazo keys` writes."
    )
    oidc_issuer: str | None = Field(None, description="The issuer whose tokens (JWT) are let in, `https://…`.")
    oidc_audience: str | None = Field(None, description="What a token must name as its audience; with `OIDC_ISSUER`.")
    oidc_jwks_url: str | None = Field(
        None, description="Where the issuer's keys are; without it, its discovery document says so."
    )
    oidc_algorithms: Annotated[tuple[Algorithm, ...], NoDecode] = Field(
        ("RS256", "ES256"), min_length=1, description="The signatures that count, `RS256,ES256`."
    )
    oidc_scope_claim: str = Field("scope", min_length=1, description="The claim that has a token's scopes.")
    oidc_scope_prefix: str = Field("plazo:", description="What the names of our scopes begin with there.")
    oidc_tenant_claim: str = Field("tenant", min_length=1, description="The claim that names a token's tenant.")
    oidc_tenant: str | None = Field(
        None, description="The tenant of tokens that name none, `*` for all; without it they are refused."
    )
    oidc_leeway_s: float = Field(30.0, ge=0, le=300, description="How far the issuer's clock may be off, in seconds.")

    @field_validator("oidc_algorithms", mode="before")
    @classmethod
    def _listed(cls, value: Any) -> Any:
        return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value

    @field_validator("oidc_issuer", "oidc_jwks_url")
    @classmethod
    def _cannot_be_forged(cls, value: str | None) -> str | None:
        if value is not None and not is_trustworthy(value):
            raise ValueError(f"{_URLS}, got {value}")
        return value

    @field_validator("oidc_tenant")
    @classmethod
    def _is_a_tenant(cls, value: str | None) -> str | None:
        problem = unfit_tenant(value) if value is not None else None
        if problem:
            raise ValueError(problem)
        return value

    @model_validator(mode="after")
    def _go_together(self) -> HttpSettings:
        if (self.oidc_issuer is None) != (self.oidc_audience is None):
            raise ValueError("OIDC_ISSUER, OIDC_AUDIENCE: expected both or neither")
        return self

    @property
    def asks(self) -> bool:
        """Whether callers are asked for credentials."""
        return self.api_keys_file is not None or self.oidc_issuer is not None

    @property
    def trust(self) -> Trust | None:
        """Which tokens count; None: none do."""
        if self.oidc_issuer is None or self.oidc_audience is None:
            return None
        return Trust(
            self.oidc_issuer,
            self.oidc_audience,
            self.oidc_algorithms,
            scope_claim=self.oidc_scope_claim,
            scope_prefix=self.oidc_scope_prefix,
            tenant_claim=self.oidc_tenant_claim,
            tenant=self.oidc_tenant,
            leeway_s=self.oidc_leeway_s,
        )


def is_trustworthy(url: str) -> bool:
    """Whether what *url* answers cannot be another's: it is https, or this machine itself."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    if parts.scheme == "https":
        return bool(parts.hostname)
    return parts.scheme == "http" and is_this_machine(parts.hostname or "")


def is_this_machine(host: str) -> bool:
    """Whether nobody but this machine reaches *host*."""
    if host == "localhost":
        return True
    try:
        address = ip_address(host)
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return (mapped or address).is_loopback
