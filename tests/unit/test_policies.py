"""Policy files become versions that every process takes over; a bad file changes nothing."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from services.timer import metric_file
from services.timer.lease_store import StoredVersion
from services.timer.policies import LEAD, Policies
from shared.errors import BadDocument, Refused, Unavailable
from shared.events import Instant
from tests.fakes_timer import Time

TEXT = """
calendars:
  always: {time_zone: UTC, hours: {mon-sun: ["00:00-24:00"]}}
policies:
  - {name: plain, applies_to: {kind: ticket}, calendar: always, targets: {first_response: 1h}}
"""


class Versions:
    """The versions in the database."""

    def __init__(self) -> None:
        self.stored: list[StoredVersion] = []
        self.down = False

    async def register_version(self, version: StoredVersion) -> None:
        """Store a version, unless it is the last one anyway."""
        self._answer()
        if not self.stored or self.stored[-1].version != version.version:
            self.stored.append(version)

    async def versions(self, known: Sequence[Instant]) -> list[StoredVersion]:
        """The versions that are not known yet."""
        self._answer()
        return [each for each in self.stored if each.effective_from not in known]

    def _answer(self) -> None:
        if self.down:
            raise Unavailable("the database does not answer")


class Desk:
    """A policy file, the versions in the database, and a process."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "policies.yaml"
        self.file.write_text(TEXT)
        self.time = Time()
        self.versions = Versions()
        self.policies = self.process()

    def process(self) -> Policies:
        """One more process with the same file and database."""
        return Policies(self.versions, self.file, now=self.time)

    def target_s(self, policies: Policies, later_s: float = 0) -> float:
        """The first response that is promised now, or later."""
        rules = policies.rulebook().at(self.time() + round(later_s * 1_000_000))
        return (rules.policies[0].targets["first_response"].within or 0) / 1_000_000


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    """A desk of its own for each test."""
    return Desk(tmp_path)


async def test_the_first_version_holds_from_the_beginning_of_time(desk: Desk) -> None:
    with pytest.raises(Unavailable):
        desk.policies.rulebook()
    await desk.policies.start()
    assert desk.policies.rulebook().at(0).policies[0].name == "plain"


async def test_a_change_takes_effect_when_every_process_had_time_to_see_it(desk: Desk) -> None:
    await desk.policies.start()
    other = desk.process()
    await other.start()
    desk.file.write_text(TEXT.replace("1h", "2h"))
    await desk.policies.reload()
    assert desk.target_s(desk.policies) == 3600
    assert desk.target_s(desk.policies, LEAD / 1_000_000) == 7200
    await other.round()
    assert desk.target_s(other, LEAD / 1_000_000) == 7200


async def test_what_is_said_about_sources_reaches_every_process(desk: Desk) -> None:
    await desk.policies.start()
    desk.file.write_text(TEXT + "sources: {/desk: {silent_after: 15m, calendar: always}}")
    await desk.policies.reload()
    other = desk.process()
    await other.look()
    (rule,) = other.rulebook().at(desk.time() + LEAD).sources
    assert (rule.pattern, rule.after, rule.calendar) == ("/desk", 900_000_000, "always")
    assert rule.hours is not None


async def test_the_same_content_is_no_new_version(desk: Desk) -> None:
    await desk.policies.start()
    await desk.policies.reload()
    await desk.process().start()
    assert len(desk.versions.stored) == 1


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"policies: [", "policies.yaml:"),  # not YAML
        (TEXT.replace("always,", "nowhere,").encode(), "nowhere"),  # a calendar that does not exist
        (b"policies:\n  - name: \xff\n", "policies.yaml:2: expected text in UTF-8"),  # not text
    ],
)
async def test_a_bad_file_keeps_the_old_one(desk: Desk, content: bytes, expected: str) -> None:
    await desk.policies.start()
    desk.file.write_bytes(content)
    with pytest.raises(BadDocument, match=expected):
        await desk.policies.reload()
    assert desk.target_s(desk.policies) == 3600
    with pytest.raises(BadDocument):
        await desk.process().start()


async def test_a_file_that_is_not_there_is_told_in_a_sentence(desk: Desk) -> None:
    desk.file.unlink()
    with pytest.raises(Refused, match=r"POLICIES: No such file or directory: .*policies.yaml"):
        await desk.policies.start()


async def test_a_folder_is_read_as_one(desk: Desk, tmp_path: Path) -> None:
    folder = tmp_path / "policies"
    folder.mkdir()
    calendars, policies = TEXT.split("policies:")
    (folder / "calendars.yaml").write_text(calendars)
    (folder / "policies.yml").write_text(f"policies:{policies}")
    (folder / "notes.txt").write_text("not a policy")
    desk.file = folder
    read = desk.process()
    await read.start()
    assert sorted(desk.versions.stored[0].files) == [metric_file.FILE, "calendars.yaml", "policies.yml"]
    assert json.dumps(dict(desk.versions.stored[0].files))


async def test_a_change_while_the_database_is_away_is_registered_when_it_is_back(desk: Desk) -> None:
    await desk.policies.start()
    desk.versions.down = True
    desk.file.write_text(TEXT.replace("1h", "2h"))
    await desk.policies.reload()
    await desk.policies.round()
    desk.versions.down = False
    await desk.policies.round()
    await desk.policies.round()
    assert desk.target_s(desk.policies, 60) == 7200
    assert len(desk.versions.stored) == 2


async def test_a_change_that_became_bad_meanwhile_is_forgotten(desk: Desk) -> None:
    await desk.policies.start()
    desk.versions.down = True
    desk.file.write_text(TEXT.replace("1h", "2h"))
    await desk.policies.reload()
    desk.file.write_text("policies: [")
    desk.versions.down = False
    for _ in range(3):
        await desk.policies.round()
    assert desk.target_s(desk.policies, 60) == 3600
