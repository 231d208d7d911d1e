"""Who is responsible for an item: its assignee, its group, the manager, whoever is on call. PURE.

The first entry of an audience that comes to somebody who can be reached decides; an entry of several is all of them
together. Where none does, the directory's fallback hears of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from services.notifier.people.directory import Directory, Group
from shared.breach_records import BreachRecord, PublishedRecord
from shared.events import Instant

Role = Literal["assignee", "group", "manager", "on_call"]
Audience = tuple[tuple[Role, ...], ...]  # in the order in which they are tried


@dataclass(frozen=True, slots=True)
class Found:
    """Whom an audience comes to."""

    receivers: tuple[str, ...]  # at least one
    how: str  # for people: who they are, and why nobody who was to be tried before


@dataclass(frozen=True, slots=True)
class _Answer:
    receivers: tuple[str, ...]  # none: nobody can be told
    said: str  # who they are, or why there is nobody


@dataclass(frozen=True, slots=True)
class _Case:
    directory: Directory
    assignee: str | None
    group: str | None
    at: Instant


def resolve(directory: Directory, audience: Audience, record: PublishedRecord, at: Instant) -> Found:
    """Whom *audience* comes to for *record* at *at*."""
    attributes = record.data.attributes if isinstance(record, BreachRecord) else {}
    case = _Case(directory, _named(attributes, "assignee"), _named(attributes, "group"), at)
    missed: list[str] = []
    for roles in audience:
        answers = [_ROLES[role](case) for role in roles]
        receivers = _once(receiver for answer in answers for receiver in answer.receivers)
        if receivers:
            said = ", ".join(answer.said for answer in answers if answer.receivers)
            missed += [answer.said for answer in answers if not answer.receivers]
            return Found(receivers, _with(said, missed))
        missed += [answer.said for answer in answers]
    return Found(directory.fallback, _with("the fallback", missed))


def _assignee(case: _Case) -> _Answer:
    if case.assignee is None:
        return _Answer((), "nobody is assigned")
    person = case.directory.person(case.assignee)
    if person is None:
        return _Answer((), f"assignee {case.assignee} is not in the directory")
    return _reached(case, person, "assignee")


def _group(case: _Case) -> _Answer:
    if case.group is None:
        return _Answer((), "it has no group")
    group = case.directory.group(case.group)
    if group is None:
        return _Answer((), f"group {case.group} is not in the directory")
    if group.channel is not None:
        return _Answer((group.channel,), f"group {case.group}")
    receivers = [case.directory.reached[each] for each in group.members if each in case.directory.reached]
    return _Answer(_once(receivers), f"group {case.group}" if receivers else f"nobody of group {case.group} is reached")


def _manager(case: _Case) -> _Answer:
    managers = _once(group.manager for group in _groups(case) if group.manager is not None)
    return _all_of(case, managers, "manager") if managers else _Answer((), "there is no manager")


def _on_call(case: _Case) -> _Answer:
    rotations = _once(group.on_call for group in _groups(case) if group.on_call is not None)
    people = _once(filter(None, (case.directory.on_call(each, case.at) for each in rotations or (None,))))
    return _all_of(case, people, "on call") if people else _Answer((), "nobody is on call")


def _all_of(case: _Case, people: Iterable[str], role: str) -> _Answer:
    answers = [_reached(case, person, role) for person in people]
    receivers = _once(receiver for answer in answers for receiver in answer.receivers)
    return _Answer(receivers, ", ".join(answer.said for answer in answers if answer.receivers or not receivers))


_ROLES: Final[Mapping[Role, Callable[[_Case], _Answer]]] = {
    "assignee": _assignee,
    "group": _group,
    "manager": _manager,
    "on_call": _on_call,
}


def _groups(case: _Case) -> list[Group]:
    # The item's; of an item without one those of its assignee.
    if case.group is not None:
        group = case.directory.group(case.group)
        return [] if group is None else [group]
    person = None if case.assignee is None else case.directory.person(case.assignee)
    return [] if person is None else case.directory.groups_of(person)


def _reached(case: _Case, person: str, role: str) -> _Answer:
    receiver = case.directory.reached.get(person)
    return (
        _Answer((), f"{role} {person} has no channel") if receiver is None else _Answer((receiver,), f"{role} {person}")
    )


def _named(attributes: Mapping[str, Any], name: str) -> str | None:
    value = attributes.get(name)
    if isinstance(value, bool) or not isinstance(value, str | int) or not str(value).strip():
        return None
    return str(value)


def _once(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(names))


def _with(said: str, missed: Iterable[str]) -> str:
    why = "; ".join(missed)
    return f"{said} ({why})" if why else said
