"""`./plazo hours`: questions to a calendar, one on the command line or many as JSON lines."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from math import isfinite, nan
from pathlib import Path
from typing import Annotated, Any, BinaryIO, Final, Literal

import msgspec
import typer

from services.cli.files import read_texts
from services.timer.business_hours import BusinessHours, NoOpenTime
from services.timer.calendars import load_calendars
from services.timer.compiled_hours import FIRST, LAST
from services.timer.policy_values import parse_duration
from shared.cloudevents import bad_record
from shared.events import SECOND, Instant, Span, instant, rfc3339, seconds

Aware = Annotated[datetime, msgspec.Meta(tz=True)]
_CHUNK: Final = 1 << 16
_TOLD: Final = 20  # mistakes on standard input that are told one by one; the rest is counted


class Question(msgspec.Struct):
    """One question to one calendar; `op` decides which of the other fields it needs."""

    op: Literal["add", "subtract", "between", "is_open", "next_open", "next_close"]
    calendar: str | None = None  # may be left out where the file has only one
    start: Aware | None = None
    end: Aware | None = None
    at: Aware | None = None
    seconds: int | float | None = None


class BadQuestion(Exception):
    """A question that cannot be asked: the field to blame, and what was expected there."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(f"{field}: {message}" if field else message)


_QUESTION: Final = msgspec.json.Decoder(Question)
_ENCODER: Final = msgspec.json.Encoder()
_NEEDS: Final[dict[str, tuple[str, ...]]] = {
    "add": ("start", "seconds"),
    "subtract": ("start", "seconds"),
    "between": ("start", "end"),
    "is_open": ("at",),
    "next_open": ("at",),
    "next_close": ("at",),
}
_ASK: Final[dict[str, Callable[..., Any]]] = {
    "add": lambda hours, start, seconds: rfc3339(hours.add(_reached(start), _span(seconds))),
    "subtract": lambda hours, start, seconds: rfc3339(hours.subtract(_reached(start), _span(seconds))),
    "between": lambda hours, start, end: seconds(hours.between(_reached(start), _reached(end))),
    "is_open": lambda hours, at: hours.is_open(_reached(at)),
    "next_open": lambda hours, at: rfc3339(hours.next_open(_reached(at))),
    "next_close": lambda hours, at: rfc3339(hours.next_close(_reached(at))),
}
_EXPECTED: Final = {
    "op": f"expected one of {', '.join(_NEEDS)}",
    "calendar": "expected the name of a calendar",
    "seconds": "expected a number of seconds",
    **dict.fromkeys(("start", "end", "at"), "expected a time like 2026-01-05T08:00:00Z with an offset"),
}


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("hours")(hours)


def hours(
    calendars: Annotated[
        Path, typer.Option(help="A policy file, or a folder of them, of which the calendars are read.")
    ],
    question: Annotated[
        list[str] | None,
        typer.Argument(
            help="add START DURATION, subtract START DURATION, between START END, is-open AT, next-open AT, or "
            "next-close AT. Times are RFC 3339; durations are like 2h30m, or a number of seconds."
        ),
    ] = None,
    calendar: Annotated[str | None, typer.Option(help="Which calendar, where the file has several.")] = None,
    stdin: Annotated[bool, typer.Option("--stdin", help="Answer JSON lines from standard input, in order.")] = False,
) -> None:
    """Ask a calendar: add business time, measure it, find the next opening.

    An answer is a line of JSON. What does not exist is null, with an `error`.

    \b
    Examples:
      ./plazo hours --calendars deploy/local/policies.yaml --calendar madrid add 2026-03-27T17:00:00+01:00 2h
      echo '{"calendar":"madrid","op":"next_open","at":"2026-03-28T12:00:00Z"}' |
        ./plazo hours --calendars deploy/local/policies.yaml --stdin
    """
    found = load_calendars(read_texts(calendars))
    if stdin == bool(question):
        raise typer.BadParameter("expected a question, or --stdin with questions on standard input")
    if stdin:
        wrong = answer_lines(found, sys.stdin.buffer, sys.stdout.buffer, tell=lambda text: typer.echo(text, err=True))
        raise typer.Exit(2 if wrong else 0)
    try:
        typer.echo(_ENCODER.encode(answer_one(found, _from_words(question or [], calendar))))
    except BadQuestion as exc:
        raise typer.BadParameter(str(exc)) from exc


def answer_one(calendars: Mapping[str, BusinessHours], question: Question) -> dict[str, Any]:
    """The answer: `result`, and where nothing exists null and an `error` that says why.

    Raises:
        BadQuestion: the calendar is not known, or a field is missing.
    """
    business_hours = calendars.get(question.calendar or _only_one(calendars))
    if business_hours is None:
        got = "none" if question.calendar is None else repr(question.calendar)
        raise BadQuestion("calendar", f"expected one of {', '.join(calendars)}, got {got}")
    values = [getattr(question, field) for field in _NEEDS[question.op]]
    if None in values:
        field = _NEEDS[question.op][values.index(None)]
        raise BadQuestion(field, f"is required, {_EXPECTED[field]}")
    try:
        return {"result": _ASK[question.op](business_hours, *values)}
    except NoOpenTime as exc:
        return {"result": None, "error": str(exc)}


def answer_lines(
    calendars: Mapping[str, BusinessHours], source: BinaryIO, sink: BinaryIO, *, tell: Callable[[str], None]
) -> int:
    """Answer JSON lines as they come, a line each, so that a program may wait for an answer before it asks on.

    A question that cannot be asked is answered with null and an `error` too, and told as well.

    Returns:
        How many questions could not be asked.
    """
    wrong = number = 0
    for lines in _arrivals(source):
        answers = []
        for line in lines:
            number += 1
            if line.strip():
                try:
                    answer = answer_one(calendars, _from_line(line))
                except BadQuestion as exc:
                    wrong += 1
                    answer = {"result": None, "error": f"line {number}: {exc}"}
                    if wrong <= _TOLD:
                        tell(answer["error"])
                answers.append(answer)
        sink.write(_ENCODER.encode_lines(answers))
        sink.flush()
    if wrong > _TOLD:
        tell(f"and {wrong - _TOLD} more lines that are no questions")
    return wrong


def _arrivals(source: BinaryIO) -> Iterator[list[bytes]]:
    # Whole lines, as many as have arrived.
    rest = b""
    while chunk := source.read1(_CHUNK):  # type: ignore[attr-defined]  # every buffered stream has it
        *lines, rest = (rest + chunk).split(b"\n")
        yield lines
    yield [rest]


def _from_line(line: bytes) -> Question:
    try:
        return _QUESTION.decode(line)
    except UnicodeDecodeError as exc:
        raise BadQuestion("", "expected text in UTF-8") from exc
    except RecursionError as exc:
        raise BadQuestion("", "expected an object in JSON, not nested so deeply") from exc
    except msgspec.DecodeError as exc:
        raise _bad_question(exc, line) from exc


def _from_words(words: list[str], calendar: str | None) -> Question:
    op, *values = words
    needs = _NEEDS.get(op.replace("-", "_"), values)
    if len(values) > len(needs):
        raise BadQuestion(op, f"expected {' '.join(needs).upper()}, got {' '.join(values)!r}")
    given: dict[str, Any] = {"op": op.replace("-", "_"), "calendar": calendar, **dict(zip(needs, values, strict=False))}
    if "seconds" in given:
        given["seconds"] = _number(given["seconds"])
    try:
        return msgspec.convert(given, Question)
    except UnicodeEncodeError as exc:
        raise BadQuestion("", "expected text in UTF-8") from exc
    except msgspec.ValidationError as exc:
        raise _bad_question(exc, msgspec.json.encode(given)) from exc


def _bad_question(exc: msgspec.DecodeError, line: bytes) -> BadQuestion:
    bad = bad_record(exc)
    if bad.reason == "undecodable" or line.strip()[:1] != b"{":
        return BadQuestion("", f"expected an object in JSON: {bad}")
    if bad.field is None:
        return BadQuestion("op", f"is required, {_EXPECTED['op']}")
    return BadQuestion(bad.field, f"{_EXPECTED[bad.field]}{_got(line, bad.field)}")


def _got(line: bytes, field: str) -> str:
    # What was given; a number that no float holds, and what is nested too deeply, cannot be shown.
    try:
        return f", got {msgspec.json.decode(line).get(field)!r}"
    except (msgspec.DecodeError, RecursionError):
        return ""


def _number(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = nan
    if isfinite(number):
        return number
    try:
        return parse_duration(text) / SECOND
    except ValueError as exc:
        raise BadQuestion("seconds", f"{exc}, or a number of seconds") from exc


def _only_one(calendars: Mapping[str, BusinessHours]) -> str:
    return next(iter(calendars)) if len(calendars) == 1 else ""


def _reached(at: datetime) -> Instant:
    asked = instant(at)
    if not FIRST <= asked < LAST:
        raise NoOpenTime(f"calendars reach from {rfc3339(FIRST)} to {rfc3339(LAST)}, not to {at.isoformat()}")
    return asked


def _span(seconds: float) -> Span:
    return round(seconds * SECOND)
