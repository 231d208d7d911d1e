"""Sample messages of every kind, two of each, for who writes templates. PURE."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any, Final, get_args
from uuid import UUID

import msgspec

from services.notifier import sample
from services.notifier.customers import PLAN, for_the_customer
from services.notifier.delivery import AlertView, Delivery
from services.notifier.templates.view import TemplateKind
from shared.breach_records import BreachRecord, PublishedRecord
from shared.events import BreachType, CountedSpan, Instant, instant, moment, parse_instant

_DUE: Final = parse_instant("2026-01-05T12:00:00Z")
_ID: Final = UUID("2a6d5c1e-7f0b-8a11-9c52-5e1f6b7a8c01")
_LINK: Final = "https://alerts.example.com/alerts/eyJhbGVydCI6Li4ufQ"
_LIST: Final = "https://alerts.example.com/digests/eyJkaWdlc3QiOi4uLn0"
_EVENT: Final = msgspec.structs.replace(
    sample.BREACH.data,
    explanation=[CountedSpan("2026-01-05T08:00:00Z", "2026-01-05T12:00:00Z", "running", 14_400.0)],
)
_PAUSED: Final = CountedSpan(
    "2026-01-05T10:00:00Z", "2026-01-05T10:30:00Z", "excluded", 1_800.0, "power-cut", "The building had no power."
)
_LATE: Final[dict[str, Any]] = {
    "elapsed_s": 19_800.0,
    "stopped_at": "2026-01-05T13:30:00Z",
    "detected_at": "2026-01-05T13:30:00.25Z",
}
_ELSEWHERE: Final[dict[str, Any]] = {
    "tenant": "acme",
    "kind": "call",
    "id": "7",
    "item": "acme/call/7",
    "metric": "answer",
    "severity": "low",
    "attributes": {},
    "explanation": [],
    "due_at": None,
    "late_evidence_possible": True,
}
_BEFORE: Final[dict[str, Any]] = {
    "breach_id": None,
    "elapsed_s": 11_520.0,
    "breached_at": None,
    "detected_at": "2026-01-05T11:12:00.011Z",
    "explanation": [CountedSpan("2026-01-05T08:00:00Z", "2026-01-05T11:12:00Z", "running", 11_520.0)],
}
_CHANGES: Final[dict[TemplateKind, tuple[dict[str, Any], dict[str, Any]]]] = {
    "warning": (
        {**_BEFORE, "warning": "80%"},
        {**_BEFORE, "warning": "15m_left"},
    ),
    "breached": ({}, {"explanation": [_PAUSED] * 21}),
    "stopped": (_LATE, _LATE),
    "cancelled": ({}, {}),
    "retracted": ({}, {"replaced_by": "0d1b4a4e-6c7f-5a55-9d7c-2f0a54a9a001"}),
}
_TO_CUSTOMERS: Final[frozenset[TemplateKind]] = frozenset({"customer_told", "customer_restored"})
_TYPES: Final[dict[str, BreachType]] = {name.split(".")[2]: name for name in get_args(BreachType)}


def samples(kind: TemplateKind) -> tuple[Delivery, Delivery]:
    """Two messages of *kind*: a usual one, and one of another tenant, where much is absent or has another form."""
    first, second = _records(kind)
    usual = _delivery(first, AlertView(_ID, "open", url=_LINK))
    other = _delivery(second, AlertView(_ID, "acknowledged", acknowledged_by="Ana"))
    if kind == "silent":
        return replace(usual, alert=None), replace(other, alert=None)
    if kind == "escalation":
        return replace(usual, step="+30m"), replace(other, step="+1h")
    if kind == "digest":
        worst_first = sorted(_CHANGES, key=lambda name: name != "breached")
        members = tuple(record for name in worst_first for record in _records(name))
        usual = replace(usual, members=members[:3], count=3, listed_at=_LIST)
        return usual, replace(other, members=members, count=250)
    return usual, other


def sample_of(record: PublishedRecord, kind: TemplateKind) -> Delivery:
    """The message of *kind* that would tell of *record*."""
    if kind in _TO_CUSTOMERS and isinstance(record, BreachRecord):
        record = for_the_customer(record, PLAN)
    return replace(samples(kind)[0], record=record, members=(record,) if kind == "digest" else ())


_AT: Final[dict[TemplateKind, Instant]] = {
    "warning": parse_instant("2026-01-05T11:12:00Z"),
    "stopped": parse_instant("2026-01-05T13:30:00Z"),
}


def _records(kind: TemplateKind) -> Iterator[PublishedRecord]:
    if kind == "silent":
        yield sample.SILENCE
        configured = msgspec.structs.replace(sample.SILENCE.data, tenant="acme", usual_gap_s=None)
        yield msgspec.structs.replace(sample.SILENCE, data=configured)
        return
    name = _OF_A_BREACH.get(kind, kind)
    usual, other = _CHANGES[name]
    for changes in (usual, {**_ELSEWHERE, **other}):
        record = _record(name, changes)
        yield for_the_customer(_with_plan(record), PLAN) if kind in _TO_CUSTOMERS else record


_OF_A_BREACH: Final[dict[TemplateKind, TemplateKind]] = {
    "digest": "breached",
    "escalation": "breached",
    "customer_told": "breached",
    "customer_restored": "stopped",
    "heartbeat": "breached",
}


def _with_plan(record: BreachRecord) -> BreachRecord:
    attributes = {**record.data.attributes, PLAN[0]: "Ana calls you before noon."}
    return msgspec.structs.replace(record, data=msgspec.structs.replace(record.data, attributes=attributes))


def _record(name: TemplateKind, changes: dict[str, Any]) -> BreachRecord:
    at = _AT.get(name, _DUE)
    return BreachRecord("sample", _TYPES[name], moment(at), msgspec.structs.replace(_EVENT, **changes))


def _delivery(record: PublishedRecord, alert: AlertView) -> Delivery:
    return Delivery(
        id=_ID,
        route="urgent",
        receiver="on-call",
        channel="email",
        reason="route urgent: severity is critical or high",
        record=record,
        created_at=instant(record.time),
        alert=alert,
    )
