"""API keys: what one looks like, the file that holds their hashes, and which of them a text is. PURE.

A key is `plazo_<id>_<secret>`. The id is public: it finds the entry, and names the key in logs. The secret is 192 bits
of chance, so a plain SHA-256 of the key cannot be turned around, and is fast enough for every request.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Callable
from typing import Annotated, Final, Self

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from shared.callers import Caller, Scope, tenant_named, unfit_scopes, unfit_tenant
from shared.documents import parse
from shared.errors import Denied
from shared.events import Instant, parse_instant, rfc3339

MARK: Final = "plazo_"
_SHAPE: Final = re.compile(r"plazo_([a-z]{8})_[0-9a-f]{48}", re.ASCII)
_LETTERS: Final = "abcdefghijklmnopqrstuvwxyz"  # ids are letters alone: YAML reads 12345678, and 1e234567, as numbers
_NO_HASH: Final = "sha256:" + 64 * "0"
_UNKNOWN: Final = "The API key is not known."
_HEADING: Final = "# The API keys that are let in, by their hashes. `./plazo keys` writes this file.\n"


def _instant(value: object) -> object:
    return parse_instant(value) if isinstance(value, str) else value


def _tenant(value: object) -> object:
    problem = unfit_tenant(value) if isinstance(value, str) else None
    if problem:
        raise ValueError(problem)
    return value


When = Annotated[Instant, BeforeValidator(_instant)]


class ApiKey(BaseModel):
    """A key as the file holds it: without its secret."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str = Field(pattern=r"^[a-z]{8}$")
    name: str = Field(min_length=1, max_length=128)  # for people: who has it, what for
    tenant: Annotated[str, BeforeValidator(_tenant)]  # `*`: all
    scopes: tuple[Scope, ...]
    hash: str = Field(pattern=r"^sha256:[0-9a-f]{64}$")
    created: When
    expires: When | None = None
    revoked: When | None = None

    @model_validator(mode="after")
    def _fits(self) -> Self:
        problem = unfit_scopes(self.scopes, self.tenant)
        if problem:
            raise ValueError(problem)
        return self

    def ended(self, now: Instant) -> str | None:
        """Why the key opens nothing any more at *now*, or None."""
        if self.revoked is not None:
            return "was revoked"
        if self.expires is not None and self.expires <= now:
            return f"expired at {rfc3339(self.expires)}"
        return None


class KeyFile(BaseModel):
    """All keys of a file."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    keys: tuple[ApiKey, ...] = ()

    @model_validator(mode="after")
    def _each_once(self) -> Self:
        ids = [key.id for key in self.keys]
        repeated = sorted({each for each in ids if ids.count(each) > 1})
        if repeated:
            raise ValueError(f"expected each id once, got twice: {', '.join(repeated)}")
        return self

    def caller(self, text: str, now: Instant) -> Caller:
        """Whose key *text* is.

        Raises:
            Denied: it is none of the file, or one that has ended.
        """
        shape = _SHAPE.fullmatch(text)
        found = next((key for key in self.keys if shape and key.id == shape[1]), None)
        # Compared in constant time, and also where no key has the id: the time of an answer tells nothing.
        same = hmac.compare_digest(hash_of(text), found.hash if found else _NO_HASH)
        if found is None or not same:
            raise Denied(_UNKNOWN)
        ended = found.ended(now)
        if ended:
            raise Denied(f"The API key {found.id} {ended}.")
        return Caller(f"key {found.id}", frozenset(found.scopes), tenant_named(found.tenant))


def hash_of(key: str) -> str:
    """What is kept of a key."""
    return "sha256:" + hashlib.sha256(key.encode(errors="surrogatepass")).hexdigest()


def fresh(chance: Callable[[int], bytes]) -> tuple[str, str]:
    """(id, key) of a new key, made of the unpredictable bytes that *chance* gives."""
    identity = "".join(_LETTERS[byte % 26] for byte in chance(8))
    return identity, f"{MARK}{identity}_{chance(24).hex()}"


def read(text: str, file: str) -> KeyFile:
    """The keys in the text of *file*.

    Raises:
        BadDocument: names everything that is wrong, with its line.
    """
    return parse(text, KeyFile, file)


def write(keys: KeyFile) -> str:
    """The text of a file with *keys*; the inverse of `read`."""
    return _HEADING + yaml.safe_dump({"keys": [_plain(key) for key in keys.keys]}, sort_keys=False, width=120)


def _plain(key: ApiKey) -> dict[str, object]:
    fields = key.model_dump(mode="json", exclude_none=True)
    for name in ("created", "expires", "revoked"):
        if name in fields:
            fields[name] = rfc3339(fields[name])
    return fields
