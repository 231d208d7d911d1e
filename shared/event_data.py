"""The `data` of canonical events, and what events of particular types say in it."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from shared.errors import BadRecord
from shared.events import SNAPSHOTS, Author, Event, Instant, Snapshot, parse_instant, rfc3339
from shared.hostile import shown

FIRST_INSTANT: Final = parse_instant("1900-01-01T00:00:00Z")
LAST_INSTANT: Final = parse_instant("9000-01-01T00:00:00Z")
"""Beyond these no support case happens, and calendars and time zones come to their ends."""

TELLING: Final = SNAPSHOTS | {"ticket.merged"}
"""The types whose data says more than that of any type."""

_LONGEST_ID: Final = 512  # characters, as of an event's subject
_LONGEST_TIME: Final = 64  # characters; what is longer is cut, and then no time


class EventData(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """The `data` of a canonical CloudEvent."""

    attributes: dict[str, Any] = {}
    author: Author | None = None
    public: bool = True
    # These count only on the types that they are for: others may use the names for something else.
    created_at: Any = None
    complete: Any = None
    merged_into: Any = None


def told(event_type: str, data: EventData) -> tuple[dict[str, Any], Snapshot | None]:
    """(the patch of the attributes, what a snapshot says beside it) of an event of one of the types TELLING.

    Raises:
        BadRecord: something that counts on this type is not what it should be; names the field.
    """
    attributes = data.attributes
    if data.merged_into is not None:
        attributes = {**attributes, "merged_into": _survivor(data.merged_into)}
    if event_type not in SNAPSHOTS:
        return attributes, None
    if data.complete is not None and not isinstance(data.complete, bool):
        raise BadRecord("invalid", f"expected true or false, got {shown(data.complete)}", "data.complete")
    return attributes, Snapshot(_creation(data.created_at), bool(data.complete))


def data_of(event: Event) -> EventData:
    """The `data` that tells the event; the inverse of how it is read."""
    said = event.snapshot
    if said is None:
        return EventData(event.attributes, event.author, event.public)
    created_at = None if said.created_at is None else rfc3339(said.created_at)
    return EventData(event.attributes, event.author, event.public, created_at, said.complete or None)


def _survivor(named: Any) -> str:
    if isinstance(named, bool) or not isinstance(named, str | int) or not 0 < len(str(named)) <= _LONGEST_ID:
        raise BadRecord("invalid", f"expected the id of the item that goes on, got {shown(named)}", "data.merged_into")
    return str(named)


def _creation(named: Any) -> Instant | None:
    if named is None:
        return None
    try:
        at = parse_instant((named if isinstance(named, str) else shown(named))[:_LONGEST_TIME])
    except ValueError as exc:
        raise BadRecord("invalid", str(exc), "data.created_at") from exc
    if not FIRST_INSTANT <= at < LAST_INSTANT:
        raise BadRecord("invalid", "expected a time between the years 1900 and 9000", "data.created_at")
    return at
