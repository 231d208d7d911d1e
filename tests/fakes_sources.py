"""What the timer reads about sources, in memory. A contract suite holds it to the real tables."""

from __future__ import annotations

from services.timer.source_store import Heard
from services.timer.write_set import HearingRow, SourceRow
from shared.errors import Unavailable
from shared.events import Instant
from tests.fakes_timer import Tables


class FakeSources:
    """`SourceStore` in memory."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables
        self.down = False

    async def heard(self) -> list[Heard]:
        """When each source was last heard."""
        self._answer()
        latest: dict[tuple[str, str], Instant] = {}
        for (_, tenant, source), at in self._tables.heard.items():
            latest[tenant, source] = max(at, latest.get((tenant, source), at))
        return [Heard(*name, at) for name, at in latest.items()]

    async def sources(self, partition: int) -> list[SourceRow]:
        """The habits that the owner of a partition stored."""
        self._answer()
        return [row for row in self._tables.sources.values() if row.partition == partition]

    async def hearing(self, partition: int) -> HearingRow | None:
        """When everything could be heard."""
        self._answer()
        return self._tables.hearings.get(partition)

    async def forget(self, before: Instant) -> None:
        """Remove what was last heard before an instant."""
        self._answer()
        tables = self._tables
        tables.heard = {key: at for key, at in tables.heard.items() if at >= before}
        tables.sources = {key: row for key, row in tables.sources.items() if row.latest >= before}

    def _answer(self) -> None:
        if self.down:
            raise Unavailable("the database does not answer")
