"""What is allowed in policy files and hardly meant: where it stands, an item that shows it, and what cures it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from services.timer.lint.example import Example
from shared.documents import Path, dotted

Section = Literal["policies", "calendars", "metrics", "exclusions"]

_SINGULAR: Final = {"policies": "policy", "calendars": "calendar", "metrics": "metric", "exclusions": "exclusion"}


@dataclass(frozen=True, slots=True)
class Finding:
    """Something in policy files that is allowed, and hardly meant."""

    section: Section
    name: str | None  # of what stands in the section; None: it is about the section as a whole
    path: Path  # within it: ("targets", "resolution")
    message: str
    cure: str
    example: Example | None = None  # an item of which it is true
    others: tuple[Example, ...] = ()  # a few more of them

    @property
    def examples(self) -> tuple[Example, ...]:
        """All items that it shows."""
        return self.others if self.example is None else (self.example, *self.others)

    @property
    def subject(self) -> str:
        """What it is about: `policy acme-gold`, or `policies`."""
        return self.section if self.name is None else f"{_SINGULAR[self.section]} {self.name}"

    def __str__(self) -> str:
        place = f"{self.subject}: {dotted(self.path)}" if self.path else self.subject
        return f"{place}: {self.message}"
