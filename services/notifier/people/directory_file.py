"""The directory's text as a checked directory, or every problem in it. PURE."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass

from services.notifier.people.directory import Directory, Group
from services.notifier.people.directory_model import DirectoryModel, RotationModel
from services.notifier.people.on_call import Override, Rotation
from services.notifier.people.opening import Doors, opened
from services.notifier.receivers import Receiver
from shared.documents import Document, Path, validate
from shared.errors import BadDocument, Problem


@dataclass(frozen=True, slots=True)
class People:
    """A directory, and the receivers of those in it."""

    directory: Directory
    receivers: Mapping[str, Receiver]  # by person


def parse(document: Document, doors: Doors) -> People:
    """The people whom *document* describes, as `notify.yaml` opens their channels.

    Raises:
        BadDocument: with every problem, each with file, line, field and what was expected.
    """
    checked = validate(document, DirectoryModel)
    receivers, problems = opened(document, checked.people, doors)
    names, taken_twice = _names(document, checked)
    problems += [*taken_twice, *_references(document, checked, doors.receivers), *_clashes(document, checked, doors)]
    # Whoever's channel is wrong above is told of once.
    reached = receivers.keys() if not problems else checked.people.keys()
    problems += _unreached(document, checked, {*reached, *doors.receivers})
    if problems:
        raise BadDocument(problems)
    directory = Directory(
        reached={name: name for name in receivers},
        names=names,
        groups={name.casefold(): Group(**dict(group)) for name, group in checked.groups.items()},
        rotations={name: _rotation(given) for name, given in checked.on_call.items()},
        fallback=checked.fallback,
    )
    return People(directory, receivers)


def _names(document: Document, checked: DirectoryModel) -> tuple[dict[str, str], list[Problem]]:
    # Everything that a system may call somebody: the key, the name, other names, addresses.
    names: dict[str, str] = {}
    problems = []
    for key, person in checked.people.items():
        for name in (key, *filter(None, [person.name]), *person.also, *person.channels.values()):
            other = names.setdefault(name.strip().casefold(), key)
            if other != key:
                problems.append(document.problem(("people", key), f"{name!r} is {other} already"))
    return names, problems


def _references(document: Document, checked: DirectoryModel, receivers: Collection[str]) -> Iterator[Problem]:
    for name, group in checked.groups.items():
        place: Path = ("groups", name)
        yield from _unknown(document, (*place, "members"), group.members, checked.people)
        yield from _unknown(document, (*place, "manager"), filter(None, [group.manager]), checked.people)
        yield from _unknown(document, (*place, "channel"), filter(None, [group.channel]), receivers)
        yield from _unknown(document, (*place, "on_call"), filter(None, [group.on_call]), checked.on_call)
    for name, rotation in checked.on_call.items():
        yield from _unknown(document, ("on_call", name, "people"), rotation.people, checked.people)
        for at, override in enumerate(rotation.overrides):
            yield from _unknown(
                document, ("on_call", name, "overrides", at, "person"), [override.person], checked.people
            )
    yield from _unknown(document, ("fallback",), checked.fallback, [*checked.people, *receivers])


def _unknown(document: Document, place: Path, names: Iterable[str], known: Collection[str]) -> Iterator[Problem]:
    for name in names:
        if name not in known:
            expected = ", ".join(known) or "nothing, because there is none"
            yield document.problem(place, f"expected one of {expected}, got {name!r}")


def _clashes(document: Document, checked: DirectoryModel, doors: Doors) -> Iterator[Problem]:
    for name in checked.people:
        if name in doors.receivers:
            said = f"{doors.document.file} has a receiver of this name; deliveries could not be told apart"
            yield document.problem(("people", name), said)
    groups = [name.casefold() for name in checked.groups]
    for name in checked.groups:
        if groups.count(name.casefold()) > 1:
            yield document.problem(("groups", name), "another group has this name; case does not count")


def _unreached(document: Document, checked: DirectoryModel, reached: Collection[str]) -> Iterator[Problem]:
    for name in checked.fallback:
        if name in checked.people and name not in reached:
            yield document.problem(("fallback",), f"{name} has no channel that people_channels opens")


def _rotation(given: RotationModel) -> Rotation:
    overrides = tuple(Override(each.start, each.until, each.person) for each in given.overrides)
    return Rotation(given.people, given.zone, given.start, given.days, overrides)
