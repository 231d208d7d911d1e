"""PURE: an item's committed row as the records of its clocks on the compacted topic."""

from __future__ import annotations

from typing import Final

import msgspec

from services.timer.clock import Clock
from services.timer.item import ItemState
from services.timer.ledger import Ledger, clock_id, told_clocks
from services.timer.write_set import ItemRow
from shared.events import SECOND, ClockState, rfc3339, rfc3339_or_none
from shared.kafka.connection import Outgoing
from shared.published import clock_headers

_STATE: Final = msgspec.msgpack.Decoder(ItemState)
_LEDGER: Final = msgspec.msgpack.Decoder(Ledger)
_JSON: Final = msgspec.json.Encoder()


def clock_records(row: ItemRow) -> list[Outgoing]:
    """The present state of each clock of an item, and a tombstone for each clock that late evidence removed.

    The key is the clock's id; of two records of one clock the one with the higher `revision` holds.
    """
    state, told = _STATE.decode(row.state), _LEDGER.decode(row.ledger)
    records = [_record(row, clock, told.sequence) for clock in told_clocks(state, told)]
    present = {record.key for record in records}
    removed = [name.encode() for name in row.retired.split()]
    return [*records, *(Outgoing(key, None, []) for key in removed if key not in present)]


def clock_names(row: ItemRow) -> list[bytes]:
    """The keys of all clocks of an item that were ever told: those that it has, and those that were removed."""
    present = [clock_id(row.key, clock) for clock in _STATE.decode(row.state).clocks]
    return [name.encode() for name in dict.fromkeys([*present, *row.retired.split()])]


def _record(row: ItemRow, clock: Clock, sequence: int) -> Outgoing:
    tenant, kind, subject = row.key.split("/", 2)
    name = clock_id(row.key, clock)
    shown = ClockState(
        clock_id=name,
        item=row.key,
        tenant=tenant,
        kind=kind,  # type: ignore[arg-type]  # an item's key holds one of the three kinds
        id=subject,
        metric=clock.metric,
        cycle=clock.cycle,
        policy=clock.policy,
        policy_version=clock.version,
        calendar=clock.calendar,
        severity=clock.severity,
        state=clock.state,
        target_s=clock.target / SECOND,
        started_at=rfc3339(clock.started_at),
        due_at=rfc3339_or_none(clock.due_at),
        breached_at=rfc3339_or_none(clock.breached_at),
        stopped_at=rfc3339_or_none(clock.stopped_at),
        since=rfc3339(clock.since),
        elapsed_s=clock.elapsed / SECOND,
        paused_s=clock.paused / SECOND,
        sequence=sequence,
        revision=row.revision,
    )
    headers = clock_headers(clock=name, revision=row.revision, item=row.key, tenant=tenant, time=clock.since)
    return Outgoing(name.encode(), _JSON.encode(shown), headers)
