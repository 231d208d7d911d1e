"""Silences over HTTP, at the command line, and in what is remembered."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from functools import partial
from typing import Any

import httpx2
import pytest
from typer.testing import CliRunner

from services.__main__ import command_line
from services.notifier.silence_store import SilenceStore
from services.notifier.silence_watch import SilenceWatch
from services.notifier.silences_api import silences_router
from shared.db import Database
from shared.events import SECOND, Instant, rfc3339
from shared.metrics import Metrics
from shared.web import Health, application
from tests.doors import Ring, showing
from tests.factories import DUE
from tests.integration.test_held_store import Desk

HOUR = 3_600 * SECOND


class Office:
    """The HTTP side, at a time that the test says."""

    def __init__(self, database: Database, changed: asyncio.Event) -> None:
        self.now: Instant = DUE
        router = silences_router(database, lambda: self.now, changed)
        app = application("Plazo", [router], Health(), Metrics("", ""), Ring())
        self.http = httpx2.AsyncClient(transport=httpx2.ASGITransport(app=app), base_url="http://plazo")

    async def ask(
        self, method: str, path: str, body: Any = None, asking: str = "admin", **query: Any
    ) -> httpx2.Response:
        headers = showing(asking)
        return await self.http.request(method, path, headers=headers, json=body, params=query)

    async def silenced(self, customer: str, **changes: Any) -> dict[str, Any]:
        body = {
            "match": {"customer": customer},
            "until": rfc3339(self.now + HOUR),
            "author": "ana",
            "reason": "move",
            **changes,
        }
        answer = await self.ask("POST", "/v1/silences", body)
        assert answer.status_code == 201, answer.text
        made: dict[str, Any] = answer.json()
        return made


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    opened = Database(database_url)
    yield opened
    await opened.close()


@pytest.fixture
async def office(database: Database) -> AsyncIterator[Office]:
    made = Office(database, asyncio.Event())
    async with made.http:
        yield made


@pytest.fixture
def desk(database: Database) -> Desk:
    return Desk(database)


async def look(desk: Desk, now: Instant = DUE) -> None:
    """Let the desk's notifier look at the silences."""
    await SilenceWatch(SilenceStore(desk.database), desk.ruling, asyncio.Event()).look(now)


async def test_a_silence_hides_what_matches_and_counts_it(office: Office, desk: Desk) -> None:
    made = await office.silenced(desk.name)
    await look(desk)
    await desk.remember(
        desk.breach(1, attributes={"customer": desk.name}), desk.breach(2, attributes={"customer": "another"})
    )
    assert await desk.states() == {"silenced": 1, "pending": 1}
    shown = (await office.ask("GET", f"/v1/silences/{made['id']}")).json()
    assert (shown["state"], shown["hidden"], shown["author"], shown["reason"]) == ("active", 1, "ana", "move")


async def test_what_a_silence_hid_and_is_still_open_is_told_when_it_ends(office: Office, desk: Desk) -> None:
    made = await office.silenced(desk.name)
    await look(desk)
    hidden = [desk.breach(n, attributes={"customer": desk.name}) for n in range(3)]
    await desk.remember(*hidden)
    end = desk.breach(2, attributes={"customer": desk.name}, event_type="sla.breach.stopped.v1", sequence=2)
    await desk.remember(end, now=DUE + SECOND)
    assert await desk.states() == {"silenced": 4}
    office.now = DUE + 60 * SECOND
    assert (await office.ask("DELETE", f"/v1/silences/{made['id']}")).json()["state"] == "expired"
    await look(desk, office.now)
    await look(desk, office.now)  # its end is noticed once
    await desk.release(office.now)
    [told] = await desk.claimed(office.now)
    assert {each.id for each in told.members} == {each.id for each in hidden[:2]}
    assert await desk.states() == {"digested": 2, "silenced": 2, "pending": 1}
    assert (await office.ask("GET", f"/v1/silences/{made['id']}")).json()["hidden"] == 4


async def test_a_silence_asks_as_routes_do(office: Office, desk: Desk) -> None:
    asked = {"match": {"kind": ["ticket", "chat"]}, "regex": {"customer": f"{desk.name}-.*"}, "when": "elapsed_s > 1.0"}
    made = await office.silenced("", **asked)
    assert {name: made[name] for name in ("match", "regex", "when")} == {
        "match": {"kind": ["chat", "ticket"]},
        "regex": asked["regex"],
        "when": "elapsed_s > 1.0",
    }
    await look(desk)
    await desk.remember(desk.breach(1, attributes={"customer": f"{desk.name}-1"}), desk.breach(2))
    assert await desk.states() == {"silenced": 1, "pending": 1}


async def test_a_silence_to_come_hides_nothing_yet(office: Office, desk: Desk) -> None:
    made = await office.silenced(desk.name, **{"from": rfc3339(DUE + 1800 * SECOND)})
    assert made["state"] == "pending"
    await look(desk)
    await desk.remember(desk.breach(1, attributes={"customer": desk.name}))
    await desk.remember(desk.breach(2, attributes={"customer": desk.name}), now=DUE + 1800 * SECOND)
    assert await desk.states() == {"pending": 1, "silenced": 1}


async def test_what_waited_is_hidden_by_a_silence_that_came_meanwhile(office: Office, desk: Desk) -> None:
    desk.ruling.rules = desk.rules(pace="1/h")
    await desk.remember(desk.breach(1, attributes={"customer": desk.name}))
    await office.silenced(desk.name)
    await look(desk)
    await desk.release()
    assert await desk.states() == {"silenced": 1}
    assert {row.silence_id is not None for row in await desk.rows()} == {True}


async def test_a_preview_tells_what_would_be_hidden_and_hides_nothing(office: Office, desk: Desk) -> None:
    await desk.remember(*(desk.breach(n, attributes={"customer": desk.name}) for n in range(3)))
    body = {"match": {"customer": desk.name}}
    told = (await office.ask("POST", "/v1/silences/preview", body)).json()
    assert (told["events"], told["deliveries"], told["open_alerts"]) == (3, 3, 3)
    assert told["examples"][0]["headline"].startswith("Breached: ticket ")
    assert await desk.states() == {"pending": 3}
    office.now = DUE + 25 * HOUR
    later = (await office.ask("POST", "/v1/silences/preview", body)).json()
    assert (later["events"], later["open_alerts"]) == (0, 3)


async def test_an_expired_silence_stays_as_it_was(office: Office, desk: Desk) -> None:
    made = await office.silenced(desk.name)
    office.now = DUE + 2 * HOUR
    ended = (await office.ask("DELETE", f"/v1/silences/{made['id']}")).json()
    assert (ended["state"], ended["until"], ended["expired_by"]) == ("expired", made["until"], None)


async def test_silences_are_listed_page_by_page_the_newest_first(office: Office, desk: Desk) -> None:
    made = []
    for n in range(3):
        office.now = DUE + (10_000 + n) * HOUR
        made.append((await office.silenced(f"{desk.name}-{n}"))["id"])
    seen: list[str] = []
    query: dict[str, Any] = {"limit": 2}
    while len(seen) < 3:
        page = (await office.ask("GET", "/v1/silences", **query)).json()
        seen += [each["id"] for each in page["silences"]]
        query["cursor"] = page["next_cursor"]
    assert seen[:3] == made[::-1]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"match": {}}, "expected one of match, regex, when"),  # of everything
        ({"match": {"type": "exploded"}}, "expected breached"),
        ({"match": {}, "regex": {"customer": "("}}, "regular expression"),
        ({"author": ""}, "at least 1 character"),
        ({"reason": None}, "valid string"),
        ({"until": "2026-01-05T12:00:00Z"}, "an instant after"),  # now: it would never be in force
        ({"from": "2026-01-05T14:00:00Z"}, "an instant after"),
        ({"until": "2027-06-05T12:00:00Z"}, "within 366 days"),
        ({"until": "tomorrow"}, "valid datetime"),
        ({"match": {"customer": "a\0b"}}, "NUL"),
    ],
)
async def test_a_silence_that_cannot_be_meant_is_refused(office: Office, changes: dict[str, Any], said: str) -> None:
    body = {
        "match": {"customer": "acme"},
        "until": "2026-01-05T13:00:00Z",
        "author": "ana",
        "reason": "move",
        **changes,
    }
    answer = await office.ask("POST", "/v1/silences", body)
    assert (answer.status_code, answer.headers["content-type"]) == (422, "application/problem+json")
    assert said in answer.text


async def test_a_tenants_silence_is_its_own_and_of_its_own_only(office: Office, desk: Desk) -> None:
    body = {"match": {"kind": "ticket"}, "until": rfc3339(DUE + HOUR), "author": "ana", "reason": "move"}
    made = (await office.ask("POST", "/v1/silences", body, asking="write+read@acme")).json()
    assert made["tenant"] == "acme"
    assert (
        await office.ask("POST", "/v1/silences", body | {"tenant": "globex"}, asking="write@acme")
    ).status_code == 403
    for method in ("GET", "DELETE"):
        answer = await office.ask(method, f"/v1/silences/{made['id']}", asking="write+read@globex")
        assert answer.status_code == 404
    await look(desk)
    await desk.remember(desk.breach(1))  # of the tenant `default`
    assert await desk.states() == {"pending": 1}
    assert (await office.ask("DELETE", f"/v1/silences/{made['id']}", asking="write@acme")).status_code == 200


async def plazo(database_url: str, *arguments: str) -> str:
    """What the command says."""
    run = partial(CliRunner().invoke, command_line(arguments), arguments, env={"DATABASE_URL": database_url})
    done = await asyncio.to_thread(run)
    assert done.exit_code == 0, done.output
    return done.stdout


async def test_silences_are_made_listed_and_ended_at_the_command_line(
    database_url: str, database: Database, desk: Desk
) -> None:
    asked = ("--match", f"customer={desk.name}", "--match", "kind=ticket,chat")
    await desk.remember(desk.breach(1, attributes={"customer": desk.name}))
    assert "it would hide 1." in await plazo(database_url, "silences", "preview", *asked)
    said = ("--for", "2h", "--author", "ana", "--reason", "move")
    identity = (await plazo(database_url, "silences", "add", *asked, *said)).strip()
    [line] = [each for each in (await plazo(database_url, "silences", "list")).splitlines() if identity in each]
    assert " active " in line
    assert f"customer is {desk.name}" in line
    assert "kind is chat or ticket" in line
    assert "is over" in await plazo(database_url, "silences", "expire", identity)
    [line] = [each for each in (await plazo(database_url, "silences", "list")).splitlines() if identity in each]
    assert " expired " in line


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--for", "2h"), "expected one of match, regex, when"),
        (("--match", "customer", "--for", "2h"), "expected FIELD=VALUE"),
        (("--match", "customer=acme"), "expected --until or --for"),
        (("--match", "customer=acme", "--for", "2 hours"), "expected a length of time"),
        (("--match", "customer=acme", "--until", "2020-01-01T00:00:00Z"), "still to come"),
        (("--regex", "customer=(", "--for", "2h"), "regular expression"),
    ],
)
def test_a_mistake_at_the_command_line_is_told(arguments: tuple[str, ...], said: str) -> None:
    asked = ["silences", "add", "--reason", "move", *arguments]
    done = CliRunner().invoke(command_line(asked), asked, env={"DATABASE_URL": "postgresql://plazo@localhost:1/plazo"})
    assert done.exit_code == 2
    assert said in " ".join(done.output.replace("│", " ").split())
