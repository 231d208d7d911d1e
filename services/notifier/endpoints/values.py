"""Values that the settings of several channels have: a time limit, an address, a URL, a secret. PURE."""

from __future__ import annotations

import re
from email.utils import parseaddr
from pathlib import Path
from typing import Annotated, Any, Final
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, SecretStr

from services.notifier.reach import is_disguised

LONGEST_TIMEOUT_S: Final = 60.0  # shorter than a claim lasts, so that no attempt outlives its claim
_TIMEOUT: Final = re.compile(r"^(\d+(?:\.\d+)?) ?(ms|s|m)$")
_UNITS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0}
_ADDRESS: Final = re.compile(r"^[^\s@<>(),;:\"\\]+@[^\s@<>(),;:\"\\]+$", re.ASCII)


class Strict(BaseModel):
    """A part of the file: what it does not name is refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


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


def web_address(value: str) -> str:
    """*value*, a URL over which something can be posted.

    Raises:
        ValueError: it is none. The value is not repeated: a URL can carry a password or a token.
    """
    parts = urlsplit(value)
    if parts.scheme not in ("https", "http") or not parts.hostname or any(c.isspace() for c in value):
        raise ValueError("expected a URL like https://example.com/hook")
    if is_disguised(parts.hostname):
        raise ValueError("expected a name or an address like 192.0.2.1 in the URL")
    return value


def _secret_web_address(value: SecretStr) -> SecretStr:
    web_address(value.get_secret_value())
    return value


def _listed(value: Any) -> Any:
    if value == []:
        raise ValueError("expected at least one")
    return [value] if isinstance(value, str) else value


Timeout = Annotated[
    float, Field(gt=0, le=LONGEST_TIMEOUT_S), BeforeValidator(_seconds, json_schema_input_type=float | str)
]
Address = Annotated[str, BeforeValidator(lambda value: _address(value) if isinstance(value, str) else value)]
WebAddress = Annotated[str, AfterValidator(web_address)]
SecretWebAddress = Annotated[SecretStr, AfterValidator(_secret_web_address)]
"""A URL that lets in whoever knows it, as those of chat rooms do."""
Texts = Annotated[tuple[str, ...], BeforeValidator(_listed, json_schema_input_type=str | list[str])]
Secrets = Annotated[tuple[SecretStr, ...], BeforeValidator(_listed, json_schema_input_type=str | list[str])]
Files = Annotated[tuple[Path, ...], BeforeValidator(_listed, json_schema_input_type=str | list[str])]


def given(settings: BaseModel, name: str) -> list[str]:
    """Which of *name*, *name*`_env` and *name*`_file` stand in *settings*: the ways in which a secret is given."""
    return [each for each in (name, f"{name}_env", f"{name}_file") if getattr(settings, each) is not None]


def expect_one(settings: BaseModel, name: str) -> None:
    """Check that a secret is given in exactly one way.

    Raises:
        ValueError: it is given in none, or in several.
    """
    if len(given(settings, name)) != 1:
        raise ValueError(f"expected exactly one of {name}, {name}_env, {name}_file")


def expect_at_most_one(settings: BaseModel, name: str) -> None:
    """Check that a secret which may be left out is given in at most one way.

    Raises:
        ValueError: it is given in several.
    """
    if len(given(settings, name)) > 1:
        raise ValueError(f"expected one of {name}, {name}_env, {name}_file, or none of them")
