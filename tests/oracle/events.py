"""Events of one item in the order that decides, and what each says, from docs/events.md alone."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

Event = Mapping[str, Any]

CREATIONS: Final = {"ticket.created", "chat.started", "call.queued"}
OVER: Final = {"ticket.resolved", "ticket.closed", "chat.ended", "call.ended"}
FINAL: Final = {"ticket.merged", "ticket.deleted"}
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def instant(text: str) -> int:
    """Microseconds since 1970 of an RFC 3339 text."""
    return (datetime.fromisoformat(text) - _EPOCH) // timedelta(microseconds=1)


def item_of(event: Event) -> str:
    """`tenant/kind/id`."""
    return f"{event.get('tenant', 'default')}/{kind_of(event)}/{event['subject']}"


def kind_of(event: Event) -> str:
    """`ticket`, `chat` or `call`."""
    return str(event["type"]).partition(".")[0]


def patch_of(event: Event) -> Mapping[str, Any]:
    """The patch of attributes that it carries."""
    return (event.get("data") or {}).get("attributes") or {}


def in_order(events: Iterable[Event]) -> list[Event]:
    """Distinct by source and id; by time, creation before all else, sequence (absent is 0), id, source."""
    distinct = {(event["source"], event["id"]): event for event in events}
    return sorted(
        distinct.values(),
        key=lambda event: (
            instant(event["time"]),
            event["type"] not in CREATIONS,
            int(event.get("sequence", 0)),
            event["id"],
            event["source"],
        ),
    )


def is_reply_of(who: str, event: Event) -> bool:
    """Whether it is a message of *who* (`agent`, `customer`) that counts: public, and written by that person.

    The author decides, whatever the type; an author that is absent is the one that the type names.
    """
    named, _, verb = str(event["type"]).partition(".")[2].partition("_")
    data = event.get("data") or {}
    return verb == "replied" and data.get("public", True) is True and data.get("author", named) == who
