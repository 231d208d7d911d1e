"""The receivers of people: the channel that `notify.yaml` opens for a kind, with the address of one of them. PURE."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from services.notifier.people.directory_model import ADDRESSED, PersonModel
from services.notifier.receivers import Receiver
from shared.documents import Document, Path, dotted, said_of
from shared.errors import Problem

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

SECTION = "people_channels"


@dataclass(frozen=True, slots=True)
class Doors:
    """What `notify.yaml` says about reaching people."""

    document: Document
    channels: Mapping[str, Mapping[str, Any]]  # kind -> its settings, without the address
    receivers: Mapping[str, Receiver]  # those that are no person's


def opened(
    directory: Document, people: Mapping[str, PersonModel], doors: Doors
) -> tuple[dict[str, Receiver], list[Problem]]:
    """The receiver of everybody who has a channel that is opened, by the person; and what is wrong with the others.

    Of several channels that a person has, the first one that is opened counts.
    """
    found: dict[str, Receiver] = {}
    problems: dict[Problem, None] = {}  # what is wrong with a kind is wrong for everybody who has one
    for name, person in people.items():
        kind = next((kind for kind in person.channels if kind in doors.channels), None)
        if kind is None:
            continue
        try:
            found[name] = _receiver(kind, person, doors)
        except ValidationError as exc:
            problems |= dict.fromkeys(_problems(exc.errors(), (name, kind), directory, doors.document))
    return found, list(problems)


def _receiver(kind: str, person: PersonModel, doors: Doors) -> Receiver:
    endpoint = {**doors.channels[kind], ADDRESSED[kind]: person.channels[kind]}
    return Receiver.model_validate({kind: endpoint, **person.settings})


def _problems(
    errors: list[ErrorDetails], about: tuple[str, str], directory: Document, routes: Document
) -> Iterator[Problem]:
    person, kind = about
    for error in errors:
        place = error["loc"]
        if place[:1] != (kind,):
            yield directory.problem(("people", person, *place), said_of(error))
        elif place[1:2] == (ADDRESSED[kind],):
            yield directory.problem(("people", person, "channels", kind), said_of(error))
        else:
            here: Path = (SECTION, *place)
            yield Problem(routes.file, routes.line(here), dotted(here), said_of(error))
