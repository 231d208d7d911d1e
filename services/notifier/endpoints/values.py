"""Values that the settings of several channels have: a time limit, an address, a URL, a secret. PURE."""

from __future__ import annotations

import re
from email.utils import parseaddr
from typing import Annotated, Any, Final
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

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


Timeout = Annotated[
    float, Field(gt=0, le=LONGEST_TIMEOUT_S), BeforeValidator(_seconds, json_schema_input_type=float | str)
]
Address = Annotated[str, BeforeValidator(lambda value: _address(value) if isinstance(value, str) else value)]
WebAddress = Annotated[str, AfterValidator(web_address)]
