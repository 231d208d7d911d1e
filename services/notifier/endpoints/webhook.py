"""A webhook as `notify.yaml` describes it. PURE."""

from __future__ import annotations

from base64 import b64decode
from pathlib import Path

from pydantic import SecretStr, field_validator, model_validator

from services.notifier.endpoints.values import Strict, Timeout, WebAddress


class Webhook(Strict):
    """An HTTP POST, signed as Standard Webhooks says."""

    url: WebAddress
    secret: SecretStr | None = None
    secret_env: str | None = None
    secret_file: Path | None = None
    timeout: Timeout = 15.0

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
