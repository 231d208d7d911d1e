"""What becomes of a receiver's held notices when some are due: sent, told together, held on, or not sent. PURE.

1. What is no longer so, or was told meanwhile, or is silenced or muted by now, ends here.
2. What must wait still (a snooze, the quiet hours, its group's interval) is held on.
3. The others are messages: one a group, one for each that is in no group.
4. Where the receiver's rate limit leaves room for fewer, the least urgent of them become one message more.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from typing import NamedTuple
from uuid import UUID

from services.notifier.alerts.deciding import rested
from services.notifier.alerts.standing import StandingAlert
from services.notifier.customers import CUSTOMERS
from services.notifier.delivery import Notice, placed
from services.notifier.grouping import group_in
from services.notifier.holding.hold import Ending, Waiting, ended, waiting
from services.notifier.holding.ranking import urgency
from services.notifier.holding.rules import Rules
from services.notifier.inhibition import is_warning
from shared.breach_records import BreachRecord, PublishedRecord
from shared.events import Instant, rfc3339


@dataclass(frozen=True, slots=True)
class Held:
    """A notice that waits, as it is remembered."""

    id: UUID
    notice: Notice
    record: PublishedRecord
    alert: StandingAlert | None
    alert_id: UUID | None


@dataclass(frozen=True, slots=True)
class Situation:
    """What a release depends on beside the notices."""

    now: Instant
    rules: Rules
    told: Mapping[str, Instant] = field(default_factory=dict)  # group -> when it was told last
    full_at: Instant | None = None  # of the receiver's bucket


class Digest(NamedTuple):
    """Notices that are told as one."""

    id: UUID
    members: tuple[Held, ...]  # the worst first, at least two
    reason: str


@dataclass(slots=True)
class Release:
    """What becomes of each notice; every one is in exactly one of these."""

    go: list[Held] = field(default_factory=list)
    digests: list[Digest] = field(default_factory=list)
    waits: list[tuple[Held, Waiting]] = field(default_factory=list)
    ends: list[tuple[Held, Ending]] = field(default_factory=list)
    full_at: Instant | None = None  # of the receiver's bucket, after it

    @property
    def told(self) -> Iterator[Held]:
        """What is told now, by itself or within a digest."""
        yield from self.go
        for digest in self.digests:
            yield from digest.members


class _Message(NamedTuple):
    members: tuple[Held, ...]  # the worst first
    group: str | None


def release(held: Sequence[Held], at: Situation) -> Release:
    """What becomes of *held*, all of them one receiver's: what is due, and what is in a group of which some is due."""
    found = Release(full_at=at.full_at)
    messages = _messages(_ready(_settled(held, at, found), at, found))
    if not messages:
        return found
    pace = at.rules.paces.get(messages[0].members[0].notice.receiver)
    if pace is not None:
        room = pace.free(at.full_at, at.now)
        if room == 0:
            free = Waiting(pace.next_free(at.full_at, at.now), f"rate limit {pace.text}")
            found.waits += [(each, free) for message in messages for each in message.members]
            return found
        found.full_at = pace.taken(min(len(messages), room), at.full_at, at.now)
        messages = _within(room, messages, pace.text, found)
    for message in messages:
        _tell(message, f"{_words(message.group)}", found)
    return found


def _settled(held: Sequence[Held], at: Situation, found: Release) -> list[Held]:
    newest: dict[UUID, int] = {}
    for each in held:
        if each.alert_id is not None and each.notice.step is None:
            newest[each.alert_id] = max(newest.get(each.alert_id, 0), _sequence(each))
    left = []
    for each in held:
        ending = _superseded(each, newest, at) or ended(
            each.notice, each.record, alert=each.alert, rules=at.rules, now=at.now
        )
        left.append(each) if ending is None else found.ends.append((each, ending))
    return left


def _superseded(each: Held, newest: Mapping[UUID, int], at: Situation) -> Ending | None:
    if each.alert_id is None or each.alert is None:
        return None
    standing = each.alert.standing
    if each.notice.step is not None:
        over = standing in ("ended", "retracted")
        return Ending("superseded", f"meanwhile the alert is {standing}") if over else None
    if _sequence(each) < newest[each.alert_id]:
        return Ending("superseded", "what came after it is told")
    if each.record.type == "sla.clock.breached.v1" and standing == "retracted":
        return Ending("superseded", "it was taken back before it was told")
    if is_warning(each.record) and standing not in ("warning", "acknowledged"):
        return Ending("superseded", f"meanwhile the alert is {standing}")
    return None


def _ready(held: Iterable[Held], at: Situation, found: Release) -> list[Held]:
    left = []
    for each in held:
        wait = waiting(each.notice, each.record, at.rules, at.now) or _snoozed(each, at.now) or _interval(each, at)
        left.append(each) if wait is None else found.waits.append((each, wait))
    return left


def _snoozed(each: Held, now: Instant) -> Waiting | None:
    if each.notice.receiver == CUSTOMERS:
        return None
    notice = rested(replace(each.notice, state="pending", due=now), each.alert, now)
    return None if notice.state == "pending" else Waiting(notice.due or now, notice.why)


def _interval(each: Held, at: Situation) -> Waiting | None:
    last = at.told.get(each.notice.group or "")
    grouping = at.rules.groupings.get(each.notice.route)
    if last is None or grouping is None or last + grouping.interval <= at.now:
        return None
    until = last + grouping.interval
    return Waiting(until, f"{_words(each.notice.group)}, told at {rfc3339(last)}")


def _messages(held: Iterable[Held]) -> list[_Message]:
    groups: dict[str, list[Held]] = defaultdict(list)
    for each in held:
        groups[each.notice.group or f"\n{each.id}"].append(each)
    found = [_Message(_worst_first(members), members[0].notice.group) for members in groups.values()]
    return sorted(found, key=lambda message: urgency(message.members[0].record))


def _within(room: int, messages: list[_Message], pace: str, found: Release) -> list[_Message]:
    # The least urgent are told as one, which takes the place of one: nothing waits that could be told.
    if len(messages) <= room:
        return messages
    kept, rest = messages[: room - 1], messages[room - 1 :]
    over = _Message(_worst_first(chain.from_iterable(message.members for message in rest)), None)
    _tell(over, f"rate limit {pace}", found)
    return kept


def _tell(message: _Message, reason: str, found: Release) -> None:
    if len(message.members) == 1:
        found.go.append(message.members[0])
        return
    worst = message.members[0]
    names = "\n".join(sorted(str(each.id) for each in message.members))
    identity = placed(worst.record.key, f"digest\n{worst.notice.receiver}\n{names}")
    found.digests.append(Digest(identity, message.members, f"{len(message.members)} notices, {reason}"))


def _worst_first(held: Iterable[Held]) -> tuple[Held, ...]:
    return tuple(sorted(held, key=lambda each: (*urgency(each.record), each.id)))


def _sequence(each: Held) -> int:
    return each.record.data.sequence if isinstance(each.record, BreachRecord) else 0


def _words(group: str | None) -> str:
    if group is None:
        return "by itself"
    found = group_in(group)
    if found.route is None:
        return found.words
    return f"route {found.route}, grouped" + (f" by {found.words}" if found.words else "")
