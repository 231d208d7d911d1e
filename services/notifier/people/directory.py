"""Who works here: people with their receivers, groups, and who is on call. PURE."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from services.notifier.people.on_call import Rotation
from shared.events import Instant

DEFAULT: Final = "default"  # the rotation of groups that name none, and of items without a group


@dataclass(frozen=True, slots=True)
class Group:
    """People who work together."""

    members: tuple[str, ...] = ()
    manager: str | None = None
    channel: str | None = None  # a receiver that all of them read
    on_call: str | None = None  # a rotation


@dataclass(frozen=True, slots=True)
class Directory:
    """A checked directory: whoever it names is in it, and the fallback can be reached."""

    reached: Mapping[str, str]  # person -> its receiver; who has none is not in it
    names: Mapping[str, str]  # a name that systems know somebody by, in small letters -> person
    groups: Mapping[str, Group]  # by name in small letters
    rotations: Mapping[str, Rotation]
    fallback: tuple[str, ...]  # receivers, at least one

    def person(self, name: str) -> str | None:
        """The person whom systems call *name*."""
        return self.names.get(name.strip().casefold())

    def group(self, name: str) -> Group | None:
        """The group of that name."""
        return self.groups.get(name.strip().casefold())

    def groups_of(self, person: str) -> list[Group]:
        """The groups of which *person* is a member."""
        return [group for group in self.groups.values() if person in group.members]

    def on_call(self, rotation: str | None, at: Instant) -> str | None:
        """Who is on call at *at* in a rotation, or in the one that counts where none is named; None without one."""
        found = self.rotations.get(rotation or DEFAULT)
        if found is None and rotation is None and len(self.rotations) == 1:
            (found,) = self.rotations.values()
        return None if found is None else found.at(at)
