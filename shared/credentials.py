"""Who is let in over HTTP: the keys of a file, which is read again when it changes, and an issuer's tokens."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from shared import api_keys
from shared.api_keys import KeyFile
from shared.callers import Caller
from shared.errors import BadDocument, Denied, Refused
from shared.events import Instant
from shared.http_settings import HttpSettings
from shared.lifecycle import Signals, every, reload_on_change, together
from shared.metrics import Metrics

if TYPE_CHECKING:
    from shared.issuer import Issuer


class Credentials:
    """The API keys and the issuer of a process, at least one of them."""

    def __init__(self, settings: HttpSettings, now: Callable[[], Instant]) -> None:
        """Read the keys.

        Raises:
            Refused: the file cannot be read.
            BadDocument: it names everything in it that is wrong.
        """
        self._now = now
        self._file = settings.api_keys_file
        self._issuer = _issuer(settings, now)
        try:
            self._keys = KeyFile() if self._file is None else _read(self._file)
        except OSError as exc:
            raise Refused(f"API_KEYS_FILE: {exc.strerror}: {exc.filename}; `./plazo keys new` makes it") from exc

    async def caller(self, credential: str) -> Caller:
        """Who shows *credential*.

        Raises:
            Denied: it opens nothing; says why.
            Unavailable: whether it does cannot be known now.
        """
        if credential.startswith(api_keys.MARK):
            return self._keys.caller(credential, self._now())
        if self._issuer is None:
            raise Denied("The credential is no API key, and tokens are not let in here.")
        return await self._issuer.caller(credential)

    async def run(self, signals: Signals, metrics: Metrics) -> None:
        """Follow the changes of file and issuer until told to stop."""
        parts = []
        if self._file is not None:
            with suppress(OSError, BadDocument):  # as after the start: what is known goes on
                await self._reload()  # it may have changed since the start, when nobody was looking yet
            parts.append(reload_on_change(self._file, self._reload, signals, metrics=metrics))
        if self._issuer is not None:
            parts.append(every(self._issuer.round, signals.stop))
        await together(signals.stop, *parts)

    async def _reload(self) -> None:
        if self._file is not None:
            self._keys = _read(self._file)


def credentials_of(settings: HttpSettings, now: Callable[[], Instant]) -> Credentials | None:
    """Who is let in; None where nobody is asked who they are.

    Raises:
        Refused, BadDocument: the file of keys cannot be read, or used.
    """
    return Credentials(settings, now) if settings.asks else None


def _issuer(settings: HttpSettings, now: Callable[[], Instant]) -> Issuer | None:
    if settings.trust is None:
        return None
    from shared.issuer import Issuer, fetch  # noqa: PLC0415 # its libraries take 13 MiB, and few processes let tokens in

    return Issuer(settings.trust, fetch, now, jwks_url=settings.oidc_jwks_url)


def _read(path: Path) -> KeyFile:
    return api_keys.read(path.read_text(encoding="utf-8", errors="replace"), str(path))
