"""The files that commands are given: policies and routes as texts, events as canonical events."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path

from services.ingest.status_file import built_in
from services.ingest.statuses import StatusTable
from shared.errors import BadDocument, BadRecord, Problem
from shared.events import Event
from shared.recounts import decode_recorded

_POLICY_SUFFIXES = (".yaml", ".yml", ".json")


def read_texts(path: Path) -> dict[str, str]:
    """name -> text of a file, or of every policy file (`.yaml`, `.yml`, `.json`) in a folder.

    Raises:
        BadDocument: nothing is there, or it cannot be read.
    """
    try:
        if not path.is_dir():
            return {str(path): read_text(path)}
        files = sorted(file for file in path.iterdir() if file.suffix in _POLICY_SUFFIXES)
    except OSError as exc:
        raise BadDocument([_unreadable(path, exc)]) from exc
    if not files:
        raise BadDocument([Problem(str(path), 1, "", f"expected files that end in {', '.join(_POLICY_SUFFIXES)}")])
    return {str(file): read_text(file) for file in files}


def read_events(path: Path, statuses: StatusTable | None = None) -> Iterator[Event]:
    """The events of a JSON Lines file of structured CloudEvents, gzip allowed, in the order of the file.

    Recounts are left out: they name versions of the policies that a file does not have. The others are as ingest would
    forward them: *statuses* says what the status names of their sources mean, by default the built-in table.

    Raises:
        BadDocument: the file cannot be read, or a line is no event; names line and field.
    """
    statuses = statuses or built_in()
    for number, line in read_lines(path):
        event = decode_line(line, path, number)
        if event.recount is None:
            yield statuses.mapped(event)


def read_lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """(number, text) of the lines of a file that are not empty, gzip allowed.

    Raises:
        BadDocument: the file cannot be read.
    """
    try:
        with path.open("rb") as raw, gzip.open(raw) as unzipped:
            zipped = raw.peek(2)[:2] == b"\x1f\x8b"
            for number, line in enumerate(unzipped if zipped else raw, start=1):
                if line.strip():
                    yield number, line
    except (OSError, EOFError, zlib.error) as exc:
        raise BadDocument([_unreadable(path, exc)]) from exc


def decode_line(line: bytes, path: Path, number: int) -> Event:
    """The event on one line of a file.

    Raises:
        BadDocument: the line is no event; names line and field.
    """
    try:
        return decode_recorded(line)
    except BadRecord as exc:
        raise BadDocument([Problem(str(path), number, exc.field or "", str(exc))]) from exc


def read_text(path: Path) -> str:
    """The text of a file.

    Raises:
        BadDocument: it cannot be read, or is not UTF-8.
    """
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as exc:
        raise BadDocument([Problem(str(path), 1, "", "expected text in UTF-8")]) from exc
    except OSError as exc:
        raise BadDocument([_unreadable(path, exc)]) from exc


def _unreadable(path: Path, exc: OSError | EOFError | zlib.error) -> Problem:
    reason = exc.strerror if isinstance(exc, OSError) and exc.strerror else str(exc)
    return Problem(str(path), 1, "", f"cannot be read: {reason}")
