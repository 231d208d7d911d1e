"""Where the secrets of receivers are found: in the file itself, in the environment, or in a file of their own."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from pydantic import SecretStr

from services.notifier.endpoints.values import Strict, given, web_address

ADDRESSING: Final = ("url", "token", "key")  # of the secrets: those that say where something goes


class Keyring:
    """Finds what *environment*, files and settings hold."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = environment

    def every(self, settings: Strict, name: str) -> list[str]:
        """The secrets that *settings* give as *name*, *name*`_env` or *name*`_file`, in their order; [] without any.

        Raises:
            ValueError: one is missing; says where it was looked for.
        """
        found: list[str] = []
        for way in given(settings, name):
            value = getattr(settings, way)
            several = value if isinstance(value, tuple) else [value]
            found += [self._read(way.removeprefix(name), each) for each in several]
        return found

    def one(self, settings: Strict, name: str) -> str:
        """The only one of them, which the settings are known to have; raises as `every` does."""
        return self.every(settings, name)[0]

    def password(self, settings: Strict) -> str:
        """The password that *settings* name, which they are known to do; raises as `every` does."""
        given_as = {way: getattr(settings, f"password{way}") for way in ("_env", "_file")}
        return next(self._read(way, value) for way, value in given_as.items() if value is not None)

    def url(self, settings: Strict) -> str:
        """The URL that *settings* give.

        Raises:
            ValueError: it is missing, or something else; it is not repeated.
        """
        return web_address(self.one(settings, "url"))

    def fingerprint(self, channel: str, settings: Strict) -> str:
        """A text that changes when *settings* lead to another place, and tells nobody where.

        Raises:
            ValueError: a secret is missing.
        """
        known = type(settings).model_fields
        leads = [self.every(settings, name) for name in ADDRESSING if f"{name}_env" in known]
        plain = settings.model_dump(mode="json", exclude={"timeout"})  # in which secrets are stars
        return hashlib.sha256(json.dumps([channel, plain, leads], sort_keys=True).encode()).hexdigest()

    def _read(self, way: str, value: Any) -> str:
        if isinstance(value, SecretStr):
            return value.get_secret_value()
        if way == "_file":
            found, where = _content(Path(value)), f"the file {value}"
        elif way == "_env":
            found, where = self._environment.get(value, ""), f"the environment variable {value}"
        else:
            found, where = str(value), "the file itself"
        if not found:
            raise ValueError(f"expected a secret in {where}, found none")
        return found


def _content(file: Path) -> str:
    try:
        return file.read_text().strip()
    except (OSError, UnicodeDecodeError) as exc:
        reason = exc.strerror if isinstance(exc, OSError) else "not text"
        raise ValueError(f"cannot read the secret in {file}: {reason}") from exc
