"""Receivers as `notify.yaml` describes them: a name, and one channel with its settings. PURE."""

from __future__ import annotations

import re
from base64 import b64decode
from email.utils import parseaddr
from pathlib import Path
from typing import Annotated, Any, Final
from urllib.parse import urlsplit

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, field_validator, model_validator

from services.notifier.delivery import ChannelName
from services.notifier.reach import is_disguised

LONGEST_TIMEOUT_S: Final = 60.0  # shorter than a claim lasts, so that no attempt outlives its claim
_TIMEOUT: Final = re.compile(r"^(\d+(?:\.\d+)?) ?(ms|s|m)$")
_UNITS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0}
_ADDRESS: Final = re.compile(r"^[^\s@<>(),;:\"\\]+@[^\s@<>(),;:\"\\]+$", re.ASCII)


def _seconds(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    found = _TIMEOUT.match(value)
    if not found:
        raise ValueError(f"expected a time like 15s, got {value!r}")
    return float(found[1]) * _UNITS[found[2]]


def _address(value: str) -> str:
    if not _ADDRESS.match(parseaddr(value)[1]) or "\n" in value or "\r" in value:
        raise ValueError(f"expected an address like team@example.com, got {value!r}")
    return value


def _listed(value: Any) -> Any:
    if value == []:
        raise ValueError("expected at least one address")
    return [value] if isinstance(value, str) else value


Timeout = Annotated[
    float, Field(gt=0, le=LONGEST_TIMEOUT_S), BeforeValidator(_seconds, json_schema_input_type=float | str)
]
Address = Annotated[str, BeforeValidator(lambda value: _address(value) if isinstance(value, str) else value)]


class Strict(BaseModel):
    """A part of the file: what it does not name is refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class Console(Strict):
    """Lines on the process's standard output."""


class Webhook(Strict):
    """An HTTP POST, signed as Standard Webhooks says."""

    url: str
    secret: SecretStr | None = None
    secret_env: str | None = None
    secret_file: Path | None = None
    timeout: Timeout = 15.0

    @field_validator("url")
    @classmethod
    def _http(cls, value: str) -> str:
        # The value is not repeated: a URL can carry a password or a token.
        parts = urlsplit(value)
        if parts.scheme not in ("https", "http") or not parts.hostname or any(c.isspace() for c in value):
            raise ValueError("expected a URL like https://example.com/hook")
        if is_disguised(parts.hostname):
            raise ValueError("expected a name or an address like 192.0.2.1 in the URL")
        return value

    @field_validator("secret")
    @classmethod
    def _key(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None:
            signing_key(value.get_secret_value())
        return value

    @model_validator(mode="after")
    def _one_secret(self) -> Webhook:
        given = [value for value in (self.secret, self.secret_env, self.secret_file) if value is not None]
        if len(given) != 1:
            raise ValueError("expected exactly one of secret, secret_env, secret_file")
        return self


class Smtp(Strict):
    """The mail server that takes the mail."""

    host: str
    port: int = Field(587, ge=1, le=65535)
    starttls: bool = True
    tls: bool = False  # from the first byte on, as on port 465
    username: str | None = None
    password_env: str | None = None
    password_file: Path | None = None

    @model_validator(mode="after")
    def _consistent(self) -> Smtp:
        if self.tls and self.starttls and "starttls" in self.model_fields_set:
            raise ValueError("expected tls or starttls, not both")
        passwords = [value for value in (self.password_env, self.password_file) if value is not None]
        if len(passwords) != (0 if self.username is None else 1):
            raise ValueError("expected username together with one of password_env, password_file, or none of them")
        return self


class Email(Strict):
    """A mail to one or more people."""

    to: Annotated[
        tuple[Address, ...],
        BeforeValidator(_listed, json_schema_input_type=str | list[str]),
    ]
    sender: Address = Field(alias="from")
    smtp: Smtp
    timeout: Timeout = 30.0


class Receiver(Strict):
    """One channel, and how many attempts it may have under way at once."""

    console: Console | None = None
    webhook: Webhook | None = None
    email: Email | None = None
    concurrency: int | None = Field(None, ge=1, le=64)

    @model_validator(mode="after")
    def _one_channel(self) -> Receiver:
        if sum(value is not None for value in (self.console, self.webhook, self.email)) != 1:
            raise ValueError("expected exactly one of console, webhook, email")
        return self

    @property
    def channel(self) -> ChannelName:
        """The kind of its channel."""
        if self.webhook is not None:
            return "webhook"
        return "email" if self.email is not None else "console"


def signing_key(secret: str) -> bytes:
    """The key in a Standard Webhooks secret, `whsec_` and base64.

    Raises:
        ValueError: it is no such secret, or has fewer bytes than are safe; the secret is not repeated.
    """
    text = secret.removeprefix("whsec_").rstrip("=")  # the padding may be left out
    try:
        key = b64decode(text + "=" * (-len(text) % 4), validate=True)
    except ValueError as exc:
        raise ValueError("expected a secret of whsec_ and base64") from exc
    if not 24 <= len(key) <= 64:
        raise ValueError(f"expected a secret of 24 to 64 bytes, got {len(key)}")
    return key
