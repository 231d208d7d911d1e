"""PURE: an item as the API shows it: its clocks, and why each is as it is."""

from __future__ import annotations

from typing import Any, Final, Literal

import msgspec
from pydantic import BaseModel

from services.timer.clock import Clock, present
from services.timer.item import ItemState
from services.timer.ledger import Ledger, clock_id, told_clocks
from shared.events import SECOND, rfc3339, rfc3339_or_none

ClockState = Literal["running", "paused", "met", "breached", "abandoned", "cancelled"]
STATE_BITS: Final[dict[ClockState, int]] = {
    "running": 1,
    "paused": 2,
    "met": 4,
    "breached": 8,
    "abandoned": 16,
    "cancelled": 32,
}
_STATE: Final = msgspec.msgpack.Decoder(ItemState)
_LEDGER: Final = msgspec.msgpack.Decoder(Ledger)


class StretchView(BaseModel):
    """A time in which a clock ran or stood still without a change; business times are as of its start."""

    start: str
    running: bool
    elapsed_s: float
    paused_s: float
    exclusion: str | None  # the name of the one in which it stood still


class ClockView(BaseModel):
    """One clock: one metric of one item under one policy, one cycle."""

    clock_id: str
    item: str
    metric: str
    cycle: int
    state: ClockState
    policy: str
    policy_version: str
    calendar: str
    severity: str
    target_s: float
    started_at: str
    started_by: dict[str, str]  # source and id of the event that started the cycle
    due_at: str | None
    breached_at: str | None
    stopped_at: str | None
    warnings: list[dict[str, str]]  # label and instant of those that came
    stretches: list[StretchView]


class ItemView(BaseModel):
    """One item: attributes, clocks, and how much has been published about it."""

    item: str
    stage: str  # unknown until it is created, open, over (resolved, closed, ended), final (merged, deleted, spam)
    attributes: dict[str, Any]  # none once the item was deleted
    deleted_at: str | None
    last_event_at: str | None
    published: int  # events on the breach topic
    quarantined: bool
    clocks: list[ClockView]


def item_view(key: str, state: bytes, ledger: bytes, *, quarantined: bool) -> ItemView:
    """The item as its row says it is."""
    facts, told = _STATE.decode(state), _LEDGER.decode(ledger)
    return ItemView(
        item=key,
        stage=facts.stage,
        attributes=facts.attributes,
        deleted_at=rfc3339(facts.deleted[0]) if facts.deleted else None,
        last_event_at=rfc3339(facts.order[0]) if facts.order else None,
        published=told.sequence,
        quarantined=quarantined,
        clocks=[clock_view(key, clock) for clock in told_clocks(facts, told)],
    )


def clocks_of(key: str, state: bytes, ledger: bytes) -> list[ClockView]:
    """All clocks of an item."""
    return [clock_view(key, clock) for clock in told_clocks(_STATE.decode(state), _LEDGER.decode(ledger))]


def clock_view(key: str, clock: Clock) -> ClockView:
    """One clock."""
    stretches = [*clock.past, present(clock)]
    return ClockView(
        clock_id=clock_id(key, clock),
        item=key,
        metric=clock.metric,
        cycle=clock.cycle,
        state=clock.state,
        policy=clock.policy,
        policy_version=clock.version,
        calendar=clock.calendar,
        severity=clock.severity,
        target_s=clock.target / SECOND,
        started_at=rfc3339(clock.started_at),
        started_by={"source": clock.source, "id": clock.event_id},
        due_at=rfc3339_or_none(clock.due_at),
        breached_at=rfc3339_or_none(clock.breached_at),
        stopped_at=rfc3339_or_none(clock.stopped_at),
        warnings=[{"label": warned.label, "at": rfc3339(warned.at)} for warned in clock.warned],
        stretches=[
            StretchView(
                start=rfc3339(each.since),
                running=each.ran,
                elapsed_s=each.elapsed / SECOND,
                paused_s=each.paused / SECOND,
                exclusion=each.exclusion or None,
            )
            for each in stretches
        ],
    )
