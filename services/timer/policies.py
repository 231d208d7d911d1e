"""The policies in use: files become versions in the database, and every process takes them from there."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final, Protocol

import structlog

from services.timer import metric_file
from services.timer.calendar_data import encode
from services.timer.lease_store import StoredVersion
from services.timer.policy_file import load
from services.timer.policy_versions import PolicyVersions, Versions
from services.timer.rulebook import Rulebook
from shared.errors import BadDocument, Problem, Refused, Unavailable
from shared.events import SECOND, Instant, Span

log = structlog.get_logger(__name__)
LOOK_S: Final = 1.0
# A new version takes effect when every process had time to see it; the first one holds from the beginning of time.
LEAD: Final[Span] = 3 * SECOND
ALWAYS: Final[Instant] = -(2**62)


class Register(Versions, Protocol):
    """What is kept of policies in the database, and how more comes there."""

    async def register_version(self, version: StoredVersion) -> None:
        """Let a version take effect."""


class Policies:
    """The rulebook of this process, kept up with the database."""

    def __init__(self, store: Register, folder: Path, *, now: Callable[[], Instant]) -> None:
        self._store = store
        self._folder = folder
        self._now = now
        self._versions = PolicyVersions(store)
        self._owed = False  # files were to be registered, and the database did not answer

    def rulebook(self) -> Rulebook:
        """The versions known to this process; `register` must have run."""
        return self._versions.rulebook()

    async def register(self) -> None:
        """Read the files, and let them take effect for clocks that start from now on.

        Raises:
            BadDocument: with every problem of the files; what was in force stays in force.
            Unavailable: the database did not answer.
        """
        files = read_files(self._folder)
        policies = load(files, now=self._now())
        await self.look()
        first = self._versions.is_empty
        effective_from = ALWAYS if first else self._now() + LEAD
        # What the version is computed with is kept with it, so that it means the same under a later release.
        files = {**files, metric_file.FILE: metric_file.built_in_text()}
        data = encode(policies.calendar_data)
        await self._store.register_version(StoredVersion(policies.version, effective_from, files, data))
        await self.look()

    async def start(self) -> None:
        """As `register`, for a process that cannot begin without policies.

        Raises:
            BadDocument, Unavailable: as `register`.
            Refused: the files cannot be read.
        """
        try:
            await self.register()
        except OSError as exc:
            raise Refused(f"POLICIES: {exc.strerror}: {exc.filename}") from exc

    async def reload(self) -> None:
        """As `register`; what the database cannot take now is registered once it answers again.

        Raises:
            BadDocument, OSError: the files cannot be used; what was in force stays in force.
        """
        try:
            await self.register()
            self._owed = False
        except Unavailable as exc:
            self._owed = True
            log.warning("policies are registered later", error=str(exc))

    async def look(self) -> None:
        """Take over versions that any process registered."""
        await self._versions.look()

    async def round(self) -> float:
        """Look for new versions; the seconds until the next look."""
        try:
            await (self.reload() if self._owed else self.look())
        except (BadDocument, OSError) as exc:
            self._owed = False  # changed once more, which is told where changes are noticed
            log.error("policies not registered", error=str(exc))  # noqa: TRY400 # names the places in the files
        except Unavailable as exc:
            log.warning("policies wait", error=str(exc))
        return LOOK_S


def read_files(path: Path) -> Mapping[str, str]:
    """name -> text of the policy file, or of every `*.yaml`, `*.yml` and `*.json` in the folder.

    Raises:
        OSError: it cannot be read.
        BadDocument: a file is not UTF-8 text.
    """
    if not path.is_dir():
        return {path.name: _text(path)}
    found = sorted(file for file in path.iterdir() if file.suffix in {".yaml", ".yml", ".json"})
    return {file.name: _text(file) for file in found}


def _text(file: Path) -> str:
    content = file.read_bytes()
    try:
        return content.decode()
    except UnicodeDecodeError as exc:
        line = content.count(b"\n", 0, exc.start) + 1
        raise BadDocument([Problem(file.name, line, "", "expected text in UTF-8")]) from exc
