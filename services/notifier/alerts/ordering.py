"""What of an alert a receiver gets in which order, and what of it need not be sent any more. PURE.

The messages about one alert reach a receiver in the order of what they tell: none is sent before the one ahead of it
is sent or superseded. Superseded is a warning when more has happened since, a step of an escalation when there is a
later one, and a breach that was taken back before anybody can have heard of it, together with its retraction.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Final
from uuid import UUID

from services.notifier.alerts.standing import Fact
from services.notifier.delivery import UNFINISHED, State
from shared.events import Instant

OVERTAKEN: Final = "more has happened since"
STEP_OVERTAKEN: Final = "a later step tells it again"
NEVER_TOLD: Final = "taken back before it was sent"
NOTHING_TO_TAKE_BACK: Final = "what it takes back was never sent"


@dataclass(frozen=True, slots=True)
class Told:
    """A delivery of an alert, made before or about to be made."""

    id: UUID
    alert: UUID | None
    receiver: str
    fact: Fact  # what it tells
    state: State
    created_at: Instant
    step: str | None = None
    is_free: bool = True  # no process is at it
    is_unheard: bool = True  # no process ever was, so the receiver cannot know it

    @property
    def waits(self) -> bool:
        """Whether it is still to be sent."""
        return self.state in UNFINISHED

    @property
    def place(self) -> tuple[tuple[int, Instant, str], Instant]:
        """Its place among those of its receiver."""
        return (self.fact.order, self.created_at)


@dataclass(frozen=True, slots=True)
class Plan:
    """What becomes of the deliveries of one or more alerts."""

    superseded: Mapping[UUID, str] = field(default_factory=dict)  # delivery -> why
    after: Mapping[UUID, UUID] = field(default_factory=dict)  # delivery -> the one that must be over before


def planned(deliveries: Iterable[Told]) -> Plan:
    """What becomes of *deliveries*, all that there are of some alerts."""
    superseded: dict[UUID, str] = {}
    after: dict[UUID, UUID] = {}
    lines: dict[tuple[UUID | None, str], list[Told]] = {}
    for each in sorted(deliveries, key=lambda each: each.place):
        lines.setdefault((each.alert, each.receiver), []).append(each)
    for line in lines.values():
        gone = dict(_superseded(line))
        superseded |= gone
        left = [each for each in line if each.waits and each.id not in gone]
        after |= {late.id: early.id for early, late in pairwise(left)}
    return Plan(superseded, after)


def as_it_went(deliveries: Iterable[Told], plan: Plan, ended: Collection[UUID]) -> list[Told]:
    """*deliveries* after *plan* was tried: *ended* were superseded, the others of it a process had taken up."""
    return [_went(each, each.id in ended) if each.id in plan.superseded else each for each in deliveries]


def _went(delivery: Told, ended: bool) -> Told:  # noqa: FBT001 # a value
    return replace(delivery, state="superseded") if ended else replace(delivery, is_free=False, is_unheard=False)


def _superseded(line: Sequence[Told]) -> list[tuple[UUID, str]]:
    # *line*: the deliveries to one receiver, in order.
    found = [(each.id, why) for each in line if each.waits and each.is_free and (why := _overtaken(each, line))]
    for taking_back in line:
        if taking_back.fact.happening == "retracted" and taking_back.waits and taking_back.is_free:
            found += _taken_back(taking_back, line)
    return found


def _overtaken(early: Told, line: Sequence[Told]) -> str | None:
    later = [each for each in line if each.fact.order > early.fact.order and _reaches(each)]
    if early.fact.happening == "warning" and later:
        return OVERTAKEN
    again = (each for each in line if each.fact == early.fact and each.created_at > early.created_at and each.waits)
    return STEP_OVERTAKEN if early.step is not None and any(each.step for each in again) else None


def _taken_back(retraction: Told, line: Sequence[Told]) -> list[tuple[UUID, str]]:
    breach = retraction.fact.breach_id
    about = [each for each in line if each.fact.happening == "breached" and each.fact.breach_id == breach]
    if not about or not all(each.is_unheard and each.is_free for each in about):
        return []
    waiting = [(each.id, NEVER_TOLD) for each in about if each.waits]
    is_known = bool(waiting) or any(each.state == "superseded" for each in about)
    return [*waiting, (retraction.id, NOTHING_TO_TAKE_BACK)] if is_known else []


def _reaches(delivery: Told) -> bool:
    # What a silence hides, or a mute, tells the receiver nothing.
    return delivery.waits or delivery.state in ("delivered", "digested")
