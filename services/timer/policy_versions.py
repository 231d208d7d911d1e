"""The versions of the policies that any process registered in the database, as this process knows them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import structlog

from services.timer import metric_file
from services.timer.calendar_data import decode
from services.timer.lease_store import StoredVersion
from services.timer.policy_file import load
from services.timer.policy_set import PolicySet
from services.timer.rulebook import Rulebook
from shared.errors import Unavailable
from shared.events import Instant

log = structlog.get_logger(__name__)


class Versions(Protocol):
    """What is kept of policies in the database."""

    async def versions(self, known: Sequence[Instant]) -> list[StoredVersion]:
        """The versions that are not known yet."""


class PolicyVersions:
    """A rulebook kept up with the database."""

    def __init__(self, store: Versions) -> None:
        self._store = store
        self._known: dict[Instant, PolicySet] = {}
        self._rulebook: Rulebook | None = None

    def rulebook(self) -> Rulebook:
        """The versions known by now.

        Raises:
            Unavailable: there is none yet.
        """
        if self._rulebook is None:
            raise Unavailable("no policies are loaded yet")
        return self._rulebook

    @property
    def is_empty(self) -> bool:
        """Whether no version is known."""
        return not self._known

    async def look(self) -> None:
        """Take over versions that any process registered.

        Raises:
            Unavailable: the database did not answer.
        """
        for stored in await self._store.versions(list(self._known)):
            self._known[stored.effective_from] = made = _made(stored)
            log.info(
                "policies loaded",
                version=made.version,
                effective_from=stored.effective_from,
                calendar_data=made.calendar_data.name,
            )
        if self._known:
            self._rulebook = Rulebook(tuple(sorted(self._known.items(), key=lambda item: item[0])))


def _made(stored: StoredVersion) -> PolicySet:
    # Named as it was registered, whatever a later release of this program makes of the hash.
    data = None if stored.calendar_data is None else decode(stored.calendar_data)
    files = dict(stored.files)
    metrics = files.pop(metric_file.FILE, None)  # None: registered before they were kept
    return load(files, data=data, metrics=metrics).named(stored.version)
