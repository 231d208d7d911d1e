"""The calendars of a set of files: each found under its name, with what it inherits from another."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any, NamedTuple

from pydantic import BaseModel

from services.timer.business_hours import BusinessHours, NoOpenTime
from services.timer.calendar_file import AnyCalendar, HeirModel
from services.timer.opening_times import HoursSpec
from shared.documents import Document, named, read_all, validate
from shared.errors import BadDocument, Problem
from shared.events import Instant


class CalendarFile(BaseModel):
    """The calendars of a file; its other sections are another reader's."""

    calendars: dict[str, AnyCalendar] = {}


class Written(NamedTuple):
    """A calendar as it stands in a file."""

    document: Document
    model: AnyCalendar

    @property
    def parent(self) -> str | None:
        """The name of the calendar that it inherits from."""
        return self.model.extends if isinstance(self.model, HeirModel) else None


def load_calendars(files: Mapping[str, str]) -> dict[str, BusinessHours]:
    """name -> the calendar's hours, of the `calendars` sections of policy files (name -> text).

    A calendar that never opens is allowed here: it answers, and the answer is that nothing exists.

    Raises:
        BadDocument: with every problem in every file, each with file, line, field and what was expected.
    """
    documents, problems = read_all(files)
    known = frozenset(named("calendars", documents, problems))
    written, unusable = written_in(documents)
    problems += unusable
    specs, wrong = inherit(written, known)
    if not problems and not known:
        problems.append(
            Problem(next(iter(sorted(files)), "calendars"), 1, "calendars", "expected at least one calendar")
        )
    if problems or wrong:
        raise BadDocument(sorted([*problems, *wrong], key=lambda problem: (problem.file, problem.line)))
    return {name: BusinessHours(spec) for name, spec in specs.items()}


def written_in(documents: Iterable[Document], context: Any = None) -> tuple[dict[str, Written], list[Problem]]:
    """name -> each calendar of the documents in which all of them can be used, whatever else is wrong; and what is not.

    Args:
        documents: policy files.
        context: handed to the models' validators.
    """
    written: dict[str, Written] = {}
    problems: list[Problem] = []
    for document in documents:
        try:
            found = validate(document, CalendarFile, context).calendars
            written |= {name: Written(document, model) for name, model in found.items()}
        except BadDocument as exc:
            problems += exc.problems
    return written, problems


def inherit(written: Mapping[str, Written], known: Collection[str]) -> tuple[dict[str, HoursSpec], list[Problem]]:
    """name -> what a calendar is with all that it inherits, in the order of the files; and what is wrong with that.

    Args:
        written: the calendars that can be used.
        known: the names of all calendars, those among them that have mistakes of their own; their heirs are left out.
    """
    made: dict[str, HoursSpec] = {}
    problems = []
    for name, own in written.items():
        line, end = _lineage(name, written, made)
        if end is None:
            _build(line, written, made)
        elif end not in known and own.parent == end:
            place = ("calendars", name, "extends")
            expected = f"expected the name of a calendar ({', '.join(sorted(known))}), got {end!r}"
            problems.append(own.document.problem(place, expected))
        elif end == name:
            circle = " > ".join((*line, name))
            place = ("calendars", name, "extends")
            problems.append(own.document.problem(place, f"expected a calendar that is not its own heir, got {circle}"))
    return {name: made[name] for name in written if name in made}, problems


def unopened(written: Mapping[str, Written], hours: Mapping[str, BusinessHours], now: Instant | None) -> list[Problem]:
    """The problem of each calendar in which no clock would ever run.

    Args:
        written: where each calendar stands.
        hours: the calendars.
        now: there must be open time within 400 days of it; None: at any time, as for a version of long ago.
    """
    problems = []
    for name, each in hours.items():
        if (why := _closed(each, now)) is not None:
            expected = f"expected some open hours, without which no clock would run; {why}"
            problems.append(written[name].document.problem(("calendars", name), expected))
    return problems


def _closed(hours: BusinessHours, now: Instant | None) -> str | None:
    if not hours.spec.ever_opens:
        return "there are none at all"
    try:
        if now is not None:
            hours.next_open(now)
    except NoOpenTime as exc:
        return str(exc)
    return None


def _lineage(name: str, written: Mapping[str, Written], made: Collection[str]) -> tuple[list[str], str | None]:
    # The calendar and those that it inherits from, up to one that is made or inherits from none; or else the name at
    # which that fails, being unknown, or in the line already.
    line = {name: None}
    parent = written[name].parent
    while parent is not None and parent not in made:
        if parent in line or parent not in written:
            return list(line), parent
        line[parent] = None
        parent = written[parent].parent
    return list(line), None


def _build(line: list[str], written: Mapping[str, Written], made: dict[str, HoursSpec]) -> None:
    for name in reversed(line):
        model = written[name].model
        made[name] = model.spec(made[model.extends]) if isinstance(model, HeirModel) else model.spec()
