"""Which of several things that were published is worse. PURE."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from shared.breach_records import BreachRecord, PublishedRecord
from shared.events import Severity

_RANK: Final[Mapping[Severity, int]] = {"critical": 0, "high": 1, "medium": 2, "low": 3}

Urgency = tuple[int, float, str]


def urgency(record: PublishedRecord) -> Urgency:
    """What sorts *record* among others, the worst first: by severity, then by what is most overdue, then by its id."""
    if isinstance(record, BreachRecord):
        over = record.data.elapsed_s - record.data.target_s
    else:
        over = record.data.quiet_s - record.data.allowed_s
    return _RANK[record.data.severity], -over, record.id
