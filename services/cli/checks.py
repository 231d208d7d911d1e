"""What `./plazo doctor` looks at: each finding is well, or says what to do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Final

from services.cli.topics_file import Topic, differences
from shared.errors import BadDocument
from shared.events import SECOND, Span

CLOCK_OFFSET: Final[Span] = SECOND // 2
"""Further apart than this, events of one machine look late or early on another."""

TZDATA_YEARS: Final = 1
"""Governments change their offsets several times a year; data of the year before last lacks some of it."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at."""

    name: str
    found: str
    advice: str = ""  # what to do; empty when all is well

    @property
    def ok(self) -> bool:
        """Whether nothing has to be done."""
        return not self.advice


def topic_findings(
    wanted: Mapping[str, Topic],
    there: Mapping[str, int],
    settings: Mapping[str, Mapping[str, str]],
) -> list[Finding]:
    """One finding for each topic: whether it is *there* (topic -> partitions), and set up as it should be."""
    return [_topic_finding(name, topic, there.get(name, 0), settings.get(name, {})) for name, topic in wanted.items()]


def _topic_finding(name: str, topic: Topic, count: int, settings: Mapping[str, str]) -> Finding:
    if not count:
        return Finding(f"topic {name}", "does not exist", "run ./plazo migrate")
    different = differences(name, topic, settings)
    if different:
        return Finding(f"topic {name}", "; ".join(different), "change the topic, or the expectation in topics.yaml")
    note = "" if count == topic.partitions else f" (topics.yaml would make {topic.partitions})"
    return Finding(f"topic {name}", f"{count} partitions{note}")


def upstream_findings(topics: Sequence[str], there: Mapping[str, int]) -> list[Finding]:
    """One finding for each upstream topic: while one is missing, deadlines wait for evidence in vain."""
    return [
        Finding(f"upstream {name}", f"{there[name]} partitions")
        if there.get(name)
        else Finding(f"upstream {name}", "does not exist", "create it, or take it out of UPSTREAM_TOPICS")
        for name in topics
    ]


def partitions_finding(events_topic: str, count: int, frozen: int) -> Finding:
    """Whether the events topic still has the number of partitions that the installation was frozen at."""
    if not frozen:
        return Finding("partition count", "not frozen yet", "run ./plazo migrate")
    if count == frozen:
        return Finding("partition count", f"{frozen}, as this installation was set up with")
    found = f"{events_topic} has {count}, and this installation was set up with {frozen}"
    return Finding("partition count", found, f"make {events_topic} anew with {frozen} partitions: items would move")


def clock_finding(offset: Span) -> Finding:
    """Whether this machine's clock is right, by the database's: *offset* is how far it is ahead."""
    found = f"{abs(offset) / SECOND:.3f} s {'ahead of' if offset >= 0 else 'behind'} the database's"
    if abs(offset) <= CLOCK_OFFSET:
        return Finding("clock", found)
    return Finding("clock", found, "set both machines' clocks by NTP")


def time_zones_finding(version: str, today: date) -> Finding:
    """Whether the time zone database is new enough; *version* is like `2026b`."""
    age = today.year - int(version[:4])
    if age <= TZDATA_YEARS:
        return Finding("time zones", f"{version}, of this year" if age <= 0 else f"{version}, of last year")
    return Finding("time zones", f"{version}, {age} years old", "install a newer tzdata, or a newer Plazo")


def revision_finding(there: str | None, needed: str | None) -> Finding:
    """Whether the database's tables are those that this program needs."""
    if there == needed:
        return Finding("tables", f"revision {there}")
    return Finding("tables", f"revision {there or 'none'}, this version needs {needed}", "run ./plazo migrate")


def document_finding(name: str, refused: BadDocument) -> Finding:
    """What is wrong with a file of the user's: its first problem, and how many more there are."""
    first, *others = refused.problems
    more = f", and {len(others)} more" if others else ""
    return Finding(name, f"{first}{more}", f"./plazo lint --{name} FILE names every mistake")
