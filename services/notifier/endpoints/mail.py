"""Mails as `notify.yaml` describes them. PURE."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, model_validator

from services.notifier.endpoints.values import Address, Strict, Timeout


def _listed(value: Any) -> Any:
    if value == []:
        raise ValueError("expected at least one address")
    return [value] if isinstance(value, str) else value


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
