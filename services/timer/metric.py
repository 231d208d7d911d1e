"""What a metric is: what starts, ends and pauses its cycles."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from services.timer.conditions import Conditions, matches
from services.timer.occurrences import author, occurring
from shared.events import Event

Ending = Literal["met", "abandoned", "cancelled"]
GoesOn = Literal["never", "required", "always"]

KINDS: Final = ("ticket", "chat", "call")
NEVER: Final[Conditions] = {}  # the pauses of what never stands still


@dataclass(frozen=True, slots=True)
class Trigger:
    """Something that an event says: an occurrence, or by itself an event of one type."""

    on: str  # an occurrence, or the type of an event
    authors: frozenset[str] = frozenset()  # who may have spoken; empty: anybody
    public: bool | None = None  # whether it must be public or private; None: either
    counts_when: Conditions = field(default_factory=dict)  # of the item's attributes after the event

    @property
    def is_narrowed(self) -> bool:
        """Whether it does not count every time that it happens."""
        return bool(self.authors or self.counts_when) or self.public is not None

    def counts(self, event: Event, attributes: Mapping[str, Any]) -> bool:
        """Whether it counts at this event, after which the item has these attributes."""
        return (
            (not self.authors or author(event) in self.authors)
            and self.public in (None, event.public)
            and matches(self.counts_when, attributes)
        )

    def __str__(self) -> str:
        return self.on

    def happens_in(self, kind: str) -> bool:
        """Whether it ever happens to items of a kind."""
        return self.on.startswith(f"{kind}.") if "." in self.on else self.on in occurring(kind)


@dataclass(frozen=True, slots=True)
class Change:
    """A state that the item's attributes come to: conditions that hold now, or hold no more; somebody has it or not."""

    what: Literal["becomes", "leaves", "assigned", "unassigned"]
    conditions: Conditions = field(default_factory=dict)
    counts_when: Conditions = field(default_factory=dict)
    reads: frozenset[str] = field(init=False)  # the attributes whose change can bring it about

    def __post_init__(self) -> None:
        object.__setattr__(self, "reads", frozenset(self.conditions or ("assignee",)))

    def holds(self, attributes: Mapping[str, Any]) -> bool:
        """Whether the item is in the state that it leads to."""
        match self.what:
            case "becomes":
                return matches(self.conditions, attributes)
            case "leaves":
                return not matches(self.conditions, attributes)
            case "assigned":
                return is_assigned(attributes)
            case "unassigned":
                return not is_assigned(attributes)

    def happens(self, before: Mapping[str, Any], after: Mapping[str, Any]) -> bool:
        """Whether a change of what it reads brings it about; who was assigned before does not matter."""
        if self.what in ("becomes", "leaves") and self.holds(before):
            return False
        return self.holds(after)

    def counts(self, attributes: Mapping[str, Any]) -> bool:
        """Whether it counts for an item with these attributes."""
        return matches(self.counts_when, attributes)

    def __str__(self) -> str:
        values = ", ".join(f"{name}: {' or '.join(sorted(each))}" for name, each in self.conditions.items())
        return f"{self.what} {values}".rstrip()

    def happens_in(self, kind: str) -> bool:
        """Whether it ever happens to items of a kind: any item has attributes."""
        return kind in KINDS


AnyTrigger = Trigger | Change


@dataclass(frozen=True, slots=True)
class Metric:
    """What is promised: which triggers start and end its cycles, and when its clocks stand still."""

    name: str
    starts: tuple[AnyTrigger, ...]
    stops: tuple[AnyTrigger, ...]  # they end a cycle as met
    abandons: tuple[AnyTrigger, ...] = ()
    cancels: tuple[AnyTrigger, ...] = ()
    kinds: tuple[str, ...] = KINDS
    pauses: Conditions | None = None  # None: the policy's; NEVER: it does not stand still
    repeats: bool = False  # whether there is more than one cycle
    after_answer: bool = False  # starts only once an agent has replied
    holds_start: bool = False  # what starts it while the item is over counts once the item is reopened
    goes_on: GoesOn = "never"  # after the item is over; `required`: where the policy says `require_reply`
    taken_up: bool = False  # whether reopening takes up a clock that ended because the item was over

    @property
    def ends(self) -> Iterator[tuple[AnyTrigger, Ending]]:
        """Each trigger that ends a cycle, and how."""
        yield from ((trigger, "met") for trigger in self.stops)
        yield from ((trigger, "abandoned") for trigger in self.abandons)
        yield from ((trigger, "cancelled") for trigger in self.cancels)

    @property
    def reads(self) -> frozenset[str]:
        """The attributes that its triggers read; those of its pauses are conditions like any other."""
        changes = [trigger.reads for trigger in self._triggers if isinstance(trigger, Change)]
        return self.names.union(*changes)

    @property
    def names(self) -> frozenset[str]:
        """The attributes that its triggers name; who has the item they read without its name."""
        states = [trigger.conditions for trigger in self._triggers if isinstance(trigger, Change)]
        return frozenset().union(*states, *(trigger.counts_when for trigger in self._triggers))

    @property
    def starts_once(self) -> bool:
        """Whether there is one cycle although what starts it can happen again; creation cannot."""
        return not self.repeats and any(trigger != Trigger("created") for trigger in self.starts)

    @property
    def _triggers(self) -> tuple[AnyTrigger, ...]:
        return (*self.starts, *self.stops, *self.abandons, *self.cancels)

    def pauses_under(self, policys: Conditions) -> Conditions:
        """While which conditions hold its clocks stand still, under a policy with these; none: never."""
        return policys if self.pauses is None else self.pauses

    def stopped_in(self, attributes: Mapping[str, Any]) -> bool:
        """Whether the item is in a state that ends its cycles."""
        return any(
            isinstance(trigger, Change) and trigger.holds(attributes) and trigger.counts(attributes)
            for trigger, _ in self.ends
        )


def is_assigned(attributes: Mapping[str, Any]) -> bool:
    """Whether somebody has the item."""
    return attributes.get("assignee") not in (None, "")
