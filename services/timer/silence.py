"""When a source has been quiet for too long: by what the policy files allow, or by what is usual for it. PURE.

What is usual is learned in minutes. A minute in which a source spoke counts once, however much it said, so neither a
burst nor a backlog that is caught up makes it look faster than it is. And a week has its days and nights: a stretch of
quiet is compared with the same stretch a week and two weeks before.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Final, Literal, NamedTuple

from services.timer.business_hours import BusinessHours
from shared.events import DAY, SECOND, Instant, Severity, Span

MINUTE: Final[Span] = 60 * SECOND
HOUR: Final[Span] = 60 * MINUTE
WEEK: Final[Span] = 7 * DAY
TIMES: Final = 10  # usual gaps that a source may be quiet
KEPT: Final[Span] = 28 * DAY  # of a source's past; and of what is not heard that long nothing is known any more
BREAK: Final[Span] = 15 * SECOND  # between two proofs of hearing everything; in a longer one nobody could hear
NIGHT: Final[Span] = 12 * HOUR
BREAKS_KEPT: Final = 200

_ALL: Final = (1 << KEPT // MINUTE) - 1
# (by how much a stretch is displaced, what is cut off at its end) before it is compared: an hour either way, because
# local time changes against UTC twice a year, and because nobody begins to work on the second.
_DISPLACED: Final = ((0, 0), (HOUR, 0), (-HOUR, 0))
_OVER_NIGHT: Final = (0, HOUR)  # its last event was before the change of clocks, this morning is after it

Stretch = tuple[Instant, Instant]  # [start, end)


@dataclass(frozen=True, slots=True)
class SourceRule:
    """What the policy files say about sources whose name matches a pattern."""

    pattern: str  # `*` stands for any characters, `?` for any one
    after: Span | Literal["learned", "never"] = "learned"  # how long it may be quiet
    severity: Severity = "medium"
    calendar: str | None = None
    hours: BusinessHours | None = None  # of the calendar: closed time is no quiet


class Habit(NamedTuple):
    """When a source spoke, in the last four weeks."""

    since: Instant  # first
    latest: Instant  # last
    minutes: int  # bit n is set where it spoke n minutes before the minute of `latest`


class Hearing(NamedTuple):
    """When all that was sent could be heard: of other times it is not known whether a source was quiet."""

    through: Instant  # everything that the brokers held then has been read
    breaks: tuple[Stretch, ...] = ()  # before that, the earliest first


class Silence(NamedTuple):
    """A source that has been quiet for too long."""

    quiet: Span  # that counts
    allowed: Span
    usual_gap: Span | None  # None where the policy files say what is allowed


def rule_of(rules: Sequence[SourceRule], source: str) -> SourceRule:
    """What holds for a source: the first rule whose pattern matches its name, else that its habits are learned."""
    return next((rule for rule in rules if _matches(rule.pattern, source)), SourceRule("*"))


def spoke(habit: Habit | None, at: Instant) -> Habit:
    """The habit of a source that was heard at an instant; after a week of quiet it is learned anew."""
    if habit is None or at - habit.latest > WEEK:
        return Habit(at, at, 1)
    if at <= habit.latest:
        return habit
    ahead = at // MINUTE - habit.latest // MINUTE
    return Habit(habit.since, at, (habit.minutes << ahead | 1) & _ALL)


def heard_through(hearing: Hearing | None, at: Instant) -> Hearing:
    """The hearing after one more proof that everything held at an instant has been read."""
    if hearing is None:
        return Hearing(at, ((0, at),))
    breaks = tuple((start, end) for start, end in hearing.breaks if end > at - KEPT)
    if at - hearing.through > BREAK:
        breaks = (*breaks, (hearing.through, at))
    if len(breaks) > BREAKS_KEPT:  # the oldest become one, and what was heard between them is given up
        breaks = ((breaks[0][0], breaks[1][1]), *breaks[2:])
    return Hearing(max(at, hearing.through), breaks)


def silence(habit: Habit, hearing: Hearing, rule: SourceRule) -> Silence | None:
    """Whether a source is silent, as far as everything has been heard; None while it is not, or nobody can know."""
    if rule.after == "never":
        return None
    stretches = counted(habit.latest, hearing, rule.hours)
    quiet = sum(end - start for start, end in stretches)
    if isinstance(rule.after, int):
        return Silence(quiet, rule.after, None) if quiet > rule.after else None
    if quiet < TIMES * MINUTE:
        return None
    gap = usual_gap(habit, stretches)
    return None if gap is None or quiet < TIMES * gap else Silence(quiet, TIMES * gap, gap)


def counted(since: Instant, hearing: Hearing, hours: BusinessHours | None) -> list[Stretch]:
    """The stretches since an instant in which a source would have been heard, within open hours if there are some."""
    stretches: list[Stretch] = []
    start = since
    for begun, ended in (*hearing.breaks, (hearing.through, hearing.through)):
        if start < begun:
            stretches.append((start, begun))
        start = max(start, ended)
    if hours is None:
        return stretches
    return [open_ for stretch in stretches for open_ in hours.opened(*stretch)]


def usual_gap(habit: Habit, stretches: Sequence[Stretch]) -> Span | None:
    """The usual time between two events of a source, at the time of the week of these stretches; None if unknown.

    That is their length over the minutes in which it spoke in the same stretches a week and two weeks before,
    displaced by an hour or not: the longest of these gaps. As long as no week is known, the days before are compared;
    as long as no day is, and for more than a week of quiet, all that is known of the source is its usual gap.
    """
    if not stretches:
        return None
    earlier = _earlier(habit, stretches)
    if not earlier:
        return _overall_gap(habit)
    displaced = _DISPLACED if stretches[-1][1] - stretches[0][0] < NIGHT else (*_DISPLACED, _OVER_NIGHT)
    minutes = min(_spoken_in(habit, stretches, by - ago, cut) for ago in earlier for by, cut in displaced)
    return sum(end - start for start, end in stretches) // minutes if minutes else None


def _earlier(habit: Habit, stretches: Sequence[Stretch]) -> list[Span]:
    # How long before lie the stretches to compare with: known, and over before these began.
    start, end = stretches[0][0], stretches[-1][1]
    known = [
        days * DAY
        for days in (14, 7, 6, 5, 4, 3, 2, 1)
        if start - days * DAY - HOUR >= habit.since and end - days * DAY + HOUR <= start
    ]
    return [ago for ago in known if ago % WEEK == 0] or known


def _overall_gap(habit: Habit) -> Span | None:
    minutes = habit.minutes.bit_count()
    return (habit.minutes.bit_length() - 1) * MINUTE // (minutes - 1) if minutes > TIMES else None


def _spoken_in(habit: Habit, stretches: Sequence[Stretch], by: Span, cut: Span) -> int:
    limit = stretches[-1][1] - cut
    return sum(spoken(habit, start + by, min(end, limit) + by) for start, end in stretches)


def spoken(habit: Habit, start: Instant, end: Instant) -> int:
    """In how many minutes a source spoke: of those between the minute of *start* and that of *end*.

    These two are left out: in the first lies the event after which it was quiet, the last is not over.
    """
    newest = habit.latest // MINUTE
    nearest, farthest = max(newest - end // MINUTE + 1, 0), newest - start // MINUTE - 1
    if farthest < nearest:
        return 0
    return (habit.minutes >> nearest & (1 << farthest - nearest + 1) - 1).bit_count()


def _matches(pattern: str, source: str) -> bool:
    return fnmatchcase(source, pattern.replace("[", "[[]"))
