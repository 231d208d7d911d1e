"""A breach and a silence such as a file about them can be tried on, before there are any. PURE."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from shared.breach_records import BreachRecord, SilenceRecord
from shared.events import BreachEvent, SourceSilence, moment, parse_instant

BREACH: Final = BreachRecord(
    id="0d1b4a4e-6c7f-5a55-9d7c-2f0a54a9e001",
    type="sla.clock.breached.v1",
    time=moment(parse_instant("2026-01-05T12:00:00Z")),
    data=BreachEvent(
        breach_id="0d1b4a4e-6c7f-5a55-9d7c-2f0a54a9a001",
        clock_id="0d1b4a4e-6c7f-5a55-9d7c-2f0a54a9c001",
        item="default/ticket/42",
        tenant="default",
        kind="ticket",
        id="42",
        metric="first_response",
        cycle=1,
        policy="standard-tickets",
        policy_version="v1",
        calendar="office",
        severity="high",
        target_s=14_400.0,
        elapsed_s=14_400.0,
        started_at="2026-01-05T08:00:00Z",
        due_at="2026-01-05T12:00:00Z",
        breached_at="2026-01-05T12:00:00Z",
        detected_at="2026-01-05T12:00:00.003Z",
        evidence_through="2026-01-05T12:00:00.002Z",
        sequence=1,
        attributes={"priority": "high", "customer": "acme", "group": "support", "assignee": "nora"},
    ),
)
SILENCE: Final = SilenceRecord(
    id="0d1b4a4e-6c7f-5a55-9d7c-2f0a54a9e002",
    type="sla.source.silent.v1",
    time=moment(parse_instant("2026-01-05T12:00:00Z")),
    data=SourceSilence(
        tenant="default",
        source="/helpdesk",
        severity="high",
        last_event_at="2026-01-05T11:50:00Z",
        quiet_s=600.0,
        allowed_s=600.0,
        usual_gap_s=60.0,
        detected_at="2026-01-05T12:00:01Z",
        evidence_through="2026-01-05T12:00:00Z",
    ),
)

_OF_LATER: Final = {  # what a breach that has just happened has not
    "stopped_at": "2026-01-05T13:00:00Z",
    "warning": "80%",
    "replaced_by": "0d1b4a4e-6c7f-5a55-9d7c-2f0a54a9a002",
}
_NO_FIELDS: Final = frozenset({"attributes", "explanation"})
FIELD_VALUES: Final[Mapping[str, Any]] = {
    name: value
    for fields in (
        msgspec.structs.asdict(SILENCE.data),
        msgspec.structs.asdict(BREACH.data),
        _OF_LATER,
        {"type": "breached"},
    )
    for name, value in fields.items()
    if name not in _NO_FIELDS
}
"""Every field of a breach or a silence by its name, each with a value as it may have."""
