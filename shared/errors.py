"""Errors by what the caller must do.

    PlazoError
    ├── BadRecord     skip it: the record goes to the dead letters with its reason
    ├── BadDocument   refuse it: a file of the user's, with every problem in it
    ├── Unavailable   try again later: a broker, database or receiver did not answer
    ├── Denied        answer 401: a credential opens nothing
    ├── Refused       stop: the other side said no and would say no again
    │   ├── TooLarge  to this one record; others may pass
    │   └── TooManyDeadLetters  what is read cannot be used, so reading on would lose it
    └── Fenced        let go: another process owns this partition now

Everything else is a bug and crashes the process.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

DeadLetterReason = Literal[
    "undecodable",  # not JSON, not UTF-8, or not a CloudEvent
    "invalid",  # a field is missing or has the wrong type
    "unknown_type",  # an event type that the source's format does not have
    "clock_skew",  # its time lies too far in the future
    "too_large",  # more bytes than are read
    "too_late",  # from before the deletion of its item, which cannot be folded any more
    "quarantined",  # folding it failed: a bug of ours, kept for a second look
]


class PlazoError(Exception):
    """The root of the errors that this project raises on purpose."""


MESSAGE_CHARACTERS: Final = 500


class BadRecord(PlazoError):
    """A record that cannot be used; *field* names the place where one is to blame.

    A message that is longer than MESSAGE_CHARACTERS is cut: it may quote what somebody sent, and goes into logs.
    """

    def __init__(self, reason: DeadLetterReason, message: str, field: str | None = None) -> None:
        super().__init__(message[:MESSAGE_CHARACTERS])
        self.reason: DeadLetterReason = reason
        self.field = field


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong in a document, and where."""

    file: str
    line: int
    field: str
    message: str

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}"
        return f"{place}: {self.field}: {self.message}" if self.field else f"{place}: {self.message}"


class BadDocument(PlazoError):
    """A file of the user's that cannot be used, with every problem found in it."""

    def __init__(self, problems: list[Problem]) -> None:
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems = problems


class Unavailable(PlazoError):
    """Something outside did not answer, or answered that it cannot now; the same call may succeed later."""


class Denied(PlazoError):
    """A credential that opens nothing; the message says why, to whoever showed it."""


class Refused(PlazoError):
    """Something outside said no, and would say no again."""


class TooLarge(Refused):
    """One record is larger than the other side takes."""


class TooManyDeadLetters(Refused):
    """So much of a stream cannot be used that the stream is wrong, or its reader; a person has to look."""


class Fenced(PlazoError):
    """Another process owns the partition; what was about to be written must not be."""
