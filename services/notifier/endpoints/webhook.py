"""A webhook as `notify.yaml` describes it. PURE."""

from __future__ import annotations

from base64 import b64decode
from typing import Literal

from pydantic import Field, SecretStr, field_validator, model_validator

from services.notifier.endpoints.values import Files, Secrets, Strict, Texts, Timeout, WebAddress, expect_one

Mode = Literal["standard", "cloudevents", "cloudevents-structured"]


class Webhook(Strict):
    """An HTTP POST, signed as Standard Webhooks says: with every secret that is given, the newest first."""

    url: WebAddress
    secret: Secrets | None = None
    secret_env: Texts | None = None
    secret_file: Files | None = None
    mode: Mode = Field("standard", description="What the body is; `cloudevents` has the attributes in headers.")
    timeout: Timeout = 15.0

    @field_validator("secret")
    @classmethod
    def _keys(cls, value: tuple[SecretStr, ...] | None) -> tuple[SecretStr, ...] | None:
        for each in value or ():
            signing_key(each.get_secret_value())
        return value

    @model_validator(mode="after")
    def _given_once(self) -> Webhook:
        expect_one(self, "secret")
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
