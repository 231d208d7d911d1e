"""Generated histories of one item, and policies that give their clocks something to do."""

from __future__ import annotations

from typing import Any, Final

from hypothesis import strategies as st

from services.timer.rulebook import Rulebook
from shared.events import SECOND, Event, Instant, Snapshot
from tests.histories import DAY, MONDAY, policies

STEP: Final = 900 * SECOND  # times fall on quarters of an hour, so that events often share one, or meet a due time
LENGTH: Final = 3 * DAY
BEGIN: Final[Instant] = MONDAY + 9 * 3600 * SECOND
UNTIL: Final[Instant] = MONDAY + 2 * LENGTH

_TYPES: Final = {
    "ticket": (
        *("created", "updated", "updated", "agent_replied", "customer_replied", "resolved", "reopened", "reopened"),
        *("closed", "merged", "snapshot", "snapshot", "snapshot"),
    ),
    "chat": ("started", "accepted", "agent_replied", "customer_replied", "missed", "ended", "updated", "snapshot"),
    "call": ("queued", "queued", "answered", "held", "held", "resumed", "abandoned", "ended", "updated", "snapshot"),
}
_ATTRIBUTES: Final[dict[str, tuple[Any, ...]]] = {
    "status": ("open", "pending", "on_hold", None),
    "priority": ("urgent", "low", None),
    "customer": ("acme", "zed", None),
    "assignee": ("ann", "bob", None),
    "group": ("g1", None),
    "note": ("x", None),  # nothing depends on it
}

_SNAPSHOT_ATTRIBUTES: Final[dict[str, tuple[Any, ...]]] = {
    "status": ("open", "open", "pending", "on_hold", "resolved", "closed", "spam", "strange", None),
    "merged_into": (None, None, None, "2"),
}
_SNAPSHOTS: Final = st.builds(
    Snapshot,
    created_at=st.sampled_from((None, BEGIN - DAY, BEGIN, BEGIN + 4 * STEP, BEGIN + DAY)),
    complete=st.booleans(),
)

# One metric for each word of their language, so that each does something in some history.
_METRICS: Final = """
replied: {starts: [created, customer_message], stops: agent_reply, holds_start: true, goes_on: required, repeats: true}
told: {starts: customer_message, stops: {event: [ticket.agent_replied, chat.agent_replied], author: [agent, bot],
       public: any}, cancels: {event: [ticket.updated, chat.updated], counts_when: {priority: urgent}}, goes_on: always}
pending_time: {starts: {becomes: {status: [pending, on_hold]}}, stops: [{leaves: {status: [pending, on_hold]}}, over],
               pauses: never, repeats: true}
owned: {starts: assigned, stops: [unassigned, over], abandons: final, taken_up: true, repeats: true}
work: {starts: [created, reopened], stops: [over, {becomes: {group: g1}}], pauses: {status: pending}, taken_up: true,
       repeats: true}
talk: {kinds: call, starts: [answered, resumed], stops: [over, {becomes: {group: g1}}], abandons: abandoned,
       pauses: {held: true}, repeats: true}
hold: {kinds: call, starts: held, stops: resumed, repeats: true}
"""
_OWN: Final = """
- name: own
  applies_to: {}
  calendar: always
  targets:
    {replied: 1h, told: 2h, pending_time: 3h, owned: 1h, work: {within: 8h, by: {priority: {low: 4h}}, warn_at: [50%]},
     talk: 30m, hold: 15m}
  pause_when: {status: pending}
  require_reply: true
- name: owned
  applies_to: {customer: acme}
  calendar: office
  targets: {owned: 30m, work: 2h, first_response: 1h}
  on_reopen: restart
- name: ignored
  applies_to: {customer: zed}
  calendar: always
  targets: {owned: 2h, work: 6h}
  on_reopen: ignore
"""

_BUILT_IN: Final = tuple(
    Rulebook(((0, policies(text)),))
    for text in (
        # One policy for all, around the clock.
        """
- name: plain
  applies_to: {}
  calendar: always
  targets:
    {first_response: {within: 2h, warn_at: [50%]}, next_response: 1h, periodic_update: 4h,
     resolution: {within: 8h, warn_at: [50%, 80%, 15m_left]}, assignment: 30m, pickup: 30m, answer: 15m, handling: 1h}
  pause_when: {status: [pending, on_hold]}
""",
        # Terms that differ by attributes, in calendars that close; some items are covered by nobody.
        """
- name: urgent
  applies_to: {priority: [urgent, low]}
  calendar: office
  targets: {first_response: {within: 1h, by: {customer: {acme: 30m}}}, resolution: 4h, assignment: 1h, answer: 15m}
  pause_when: {status: pending}
- name: gold
  applies_to: {customer: acme}
  calendar: always
  targets: {resolution: {within: 6h, warn_at: [25%, 50%, 1h_left]}, next_response: 1h, periodic_update: 2h, pickup: 15m}
  pause_when: {status: [on_hold]}
  require_reply: true
- name: team
  applies_to: {group: g1}
  calendar: office
  targets: {resolution: 2h, assignment: 15m}
  combine: all
""",
        # Every option that is not the default.
        """
- name: kept
  applies_to: {}
  calendar: always
  targets: {resolution: {within: 4h, by: {priority: {urgent: 1h}}, warn_at: [50%]}, first_response: 1h}
  on_change: keep
  on_reopen: ignore
- name: restarted
  applies_to: {customer: acme}
  calendar: office
  targets: {resolution: {within: 4h, by: {priority: {urgent: 1h}}}, first_response: 1h, assignment: 2h}
  on_change: restart
  on_reopen: restart
  require_reply: true
""",
        # Terms that the item chooses in every way.
        """
- name: chosen
  applies_to: {}
  when: '!has(item.group) || kind != "ticket"'
  calendar: {default: office, by: {priority: {urgent: always}}}
  targets:
    first_response: {within: 2h, calendar: always}
    resolution: {within: 8h, pause_when: {status: on_hold}, warn_at: [50%]}
    next_response: {within: 1h, pause_when: {}}
    assignment: {within: 1h, by: {priority: {urgent: 15m}}}
  pause_when: {status: [pending, on_hold]}
- name: otherwise
  applies_to: {}
  calendar: always
  targets: {resolution: 5h, pickup: 10m, answer: 1m, handling: 30m}
  pause_when: {priority: low}
""",
    )
)
RULEBOOKS: Final = (*_BUILT_IN, Rulebook(((0, policies(_OWN, _METRICS)),)))


def rulebooks() -> st.SearchStrategy[Rulebook]:
    """One of RULEBOOKS."""
    return st.sampled_from(RULEBOOKS)


@st.composite
def histories(draw: st.DrawFn, max_size: int = 14) -> list[Event]:
    """Distinct events of one item within LENGTH, in no order, nearly always with a creation among the first.

    What creates the item is its creation, or now and then a snapshot.
    """
    kind = draw(st.sampled_from(("ticket", "ticket", "ticket", "chat", "call")))
    creation = draw(
        st.sampled_from(({"ticket": "created", "chat": "started", "call": "queued"}[kind],) * 3 + ("snapshot",))
    )
    size = draw(st.integers(0, max_size))
    types = [creation, *draw(st.lists(st.sampled_from(_TYPES[kind]), min_size=size, max_size=size))]
    return [_event(draw, kind, name, number) for number, name in enumerate(types)]


def _event(draw: st.DrawFn, kind: str, name: str, number: int) -> Event:
    quarters = draw(st.integers(0, 8 if number == 0 else LENGTH // STEP))
    is_snapshot = name == "snapshot"
    values = {**_ATTRIBUTES, **_SNAPSHOT_ATTRIBUTES} if is_snapshot else _ATTRIBUTES
    patch = st.fixed_dictionaries({}, optional={key: st.sampled_from(some) for key, some in values.items()})
    return Event(
        time=BEGIN + quarters * STEP,
        id=f"{number:02}",
        source=draw(st.sampled_from(("/a", "/b"))),
        type=f"{kind}.{name}",
        tenant="default",
        kind=kind,  # type: ignore[arg-type]  # one of the three that are sampled above
        subject="1",
        sequence=draw(st.integers(0, 2)),
        attributes=draw(patch),
        author=draw(st.sampled_from((None, None, None, "agent", "customer", "bot"))),
        public=draw(st.sampled_from((True, True, True, False))),
        snapshot=draw(_SNAPSHOTS) if is_snapshot else None,
    )
