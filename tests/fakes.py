"""Stand-ins of a few lines for what the services talk to."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from shared.errors import Unavailable
from shared.events import Headers
from shared.kafka.connection import Outgoing


@dataclass
class FakeProducer:
    """Keeps what is written; topics in *away* cannot be written."""

    written: dict[str, list[Outgoing]] = field(default_factory=dict)
    away: set[str] = field(default_factory=set)

    async def send(self, topic: str, records: Iterable[Outgoing]) -> None:
        """Keep *records*."""
        taken = list(records)
        if topic in self.away:
            raise Unavailable(f"{topic} is away")
        self.written.setdefault(topic, []).extend(taken)

    def on(self, topic: str) -> list[Outgoing]:
        """What was written to *topic*."""
        return self.written.get(topic, [])


@dataclass
class FakeRecord:
    """A record as a consumer gives it."""

    value: bytes | None
    headers: Headers = ()
    topic: str = "tickets"
    partition: int = 0
    offset: int = 0
    timestamp: int = 1_767_600_000_000
    key: bytes | None = b"upstream-key"
