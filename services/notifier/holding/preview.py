"""What a silence would hide, shown before it is made. PURE."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from services.notifier.holding.ranking import urgency
from services.notifier.holding.silences import Silence
from shared.breach_records import PublishedRecord

EXAMPLES: Final = 20


@dataclass(frozen=True, slots=True)
class Late:
    """Something that was published of late, and how many deliveries it called for."""

    record: PublishedRecord
    deliveries: int


@dataclass(frozen=True, slots=True)
class Preview:
    """What of the last day and of the open alerts a silence matches, as if it had been in force."""

    events: int
    deliveries: int
    open_alerts: int
    examples: tuple[PublishedRecord, ...]  # the worst first, at most EXAMPLES, open ones before others


def preview(silence: Silence, late: Iterable[Late], open_alerts: Iterable[PublishedRecord]) -> Preview:
    """What *silence* would hide of what was published of late, and of what is open."""
    hidden = [each for each in late if silence.matches(each.record)]
    still_open = sorted(filter(silence.matches, open_alerts), key=urgency)
    others = sorted((each.record for each in hidden), key=urgency)
    examples = {each.id: each for each in (*still_open, *others)}
    return Preview(
        *(len(hidden), sum(each.deliveries for each in hidden), len(still_open)),
        tuple(examples.values())[:EXAMPLES],
    )
