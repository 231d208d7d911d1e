"""Questions to generated calendars around the days on which clocks change, by the services and by counting seconds."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given

from tests.oracle import real
from tests.oracle.effort import effort
from tests.oracle.events import instant
from tests.oracle.hours import SECOND, Hours, inherited
from tests.oracle.rows import shown_instant
from tests.oracle.strategies_calendars import Document, questions


def answer(calendars: dict[str, Document], question: Document) -> Any:
    """What counting seconds says."""
    hours, op = Hours(inherited(calendars, question["calendar"])), question["op"]
    if op == "between":
        return hours.between(instant(question["start"]), instant(question["end"])) / SECOND
    if op == "is_open":
        return hours.is_open(instant(question["at"]))
    if op == "next_open":
        return shown_instant(hours.next_open(instant(question["at"])))
    if op == "next_close":
        return shown_instant(hours.next_close(instant(question["at"])))
    span = round(question["seconds"] * SECOND)
    reached = (
        hours.add(instant(question["start"]), span) if op == "add" else hours.subtract(instant(question["start"]), span)
    )
    return shown_instant(reached)


@effort(200)
@given(questions())
def test_every_question_has_the_answer_of_counting_seconds(case: tuple[dict[str, Document], list[Document]]) -> None:
    calendars, asked = case
    answers = real.hours(json.dumps({"calendars": calendars}), asked)
    assert answers == [answer(calendars, question) for question in asked]
