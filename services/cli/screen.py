"""What a person sees of `./plazo run`: where things are, and each breach and alert as it happens."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from rich.console import Console
from rich.text import Text

from services.cli.lines import delivered_line, published_line
from services.notifier.delivery import Delivery, Outcome
from shared.breach_records import PublishedRecord
from shared.events import HEARTBEAT_TENANT, Instant

_REMEMBERED: Final = 10_000  # events shown already; an alert arrives within so many


class Screen:
    """Shows each breach once, and before any alert about it, whichever of the two is heard of first."""

    def __init__(self, console: Console, *, now: Callable[[], Instant], left_over: Callable[[str], bool]) -> None:
        """Show on *console* what happens to items; to those that are *left_over*, by their id, only that it does."""
        self._console = console
        self._now = now
        self._left_over = left_over
        self._quiet = False
        self._shown: dict[str, None] = {}  # by the event's id, the oldest first

    def header(self, rows: Mapping[str, str]) -> None:
        """Where everything is, a line each."""
        for name, value in rows.items():
            self._console.print(Text.assemble((f"{name:<12}", "dim"), value))
        self._console.print()

    def published(self, record: PublishedRecord) -> None:
        """Show something that happened to a clock or a source."""
        if record.id in self._shown or record.data.tenant == HEARTBEAT_TENANT:
            return
        self._shown[record.id] = None
        if len(self._shown) > _REMEMBERED:
            del self._shown[next(iter(self._shown))]
        if not self._left_over(record.name):
            self._console.print(published_line(record))
        elif not self._quiet:
            self._quiet = True
            self._console.print(
                Text("Made-up items of an earlier run break their promises too; not shown here.", "dim")
            )

    def delivered(self, delivery: Delivery, _outcome: Outcome) -> None:
        """Show an alert that arrived."""
        self.published(delivery.record)
        if not self._left_over(delivery.record.name):
            self._console.print(delivered_line(delivery, self._now()))
