"""Receivers that are no more, in a real PostgreSQL: remembered, told of by others, enabled again."""

from __future__ import annotations

import asyncio
import os
import sys
from asyncio.subprocess import PIPE, STDOUT
from collections.abc import AsyncIterator
from dataclasses import replace
from itertools import count
from typing import Any

import httpx2
import pytest
from sqlalchemy import select

from services.notifier.api import router
from services.notifier.delivery import Delivery, Notice
from services.notifier.endpoint_store import Disabled, EndpointStore, StandIn
from services.notifier.store import Store
from services.notifier.tables import delivery
from shared.breach_records import BreachRecord
from shared.db import Database
from shared.events import DAY, SECOND, Instant
from shared.metrics import Metrics
from shared.web import Health, application
from tests.factories import DUE, breach

LEASE = 60 * SECOND
NUMBERS = count(1)


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    opened = Database(database_url)
    yield opened
    await opened.close()


@pytest.fixture
def store(database: Database) -> Store:
    return Store(database, "notifier-1")


@pytest.fixture
def endpoints(database: Database) -> EndpointStore:
    return EndpointStore(database)


@pytest.fixture
def gone() -> Disabled:
    """A receiver that no other test has, and that is no more."""
    return Disabled(f"gone-{next(NUMBERS)}", "there", "410 Gone", DUE)


@pytest.fixture
def other(gone: Disabled) -> StandIn:
    return StandIn(f"instead-of-{gone.receiver}", "email")


def some(receivers: list[str], number: int) -> list[tuple[BreachRecord, list[Notice]]]:
    told = [Notice("all", name, "webhook", "route all takes everything") for name in receivers]
    names = [f"{receivers[0]}-{number}" for number in range(number)]
    return [(breach(name, item=f"default/ticket/{name}"), told) for name in names]


async def taken(store: Store, receiver: str, now: Instant = DUE) -> list[Delivery]:
    return await store.claim({receiver: 100}, now, lease=LEASE)


async def rows(database: Database, receiver: str) -> list[Any]:
    async with database.transaction("look") as connection:
        found = await connection.execute(select(delivery).where(delivery.c.receiver == receiver))
        return list(found)


async def test_what_is_disabled_is_remembered_until_it_is_enabled(endpoints: EndpointStore, gone: Disabled) -> None:
    await endpoints.disable([gone])
    assert gone in await endpoints.disabled()
    assert await endpoints.enable(gone.receiver)
    assert gone not in await endpoints.disabled()
    assert not await endpoints.enable(gone.receiver)


async def test_a_process_that_says_it_again_changes_nothing_and_one_with_another_file_does(
    endpoints: EndpointStore, gone: Disabled
) -> None:
    await endpoints.disable([gone])
    await endpoints.disable([replace(gone, reason="again", at=DUE + SECOND)])
    assert gone in await endpoints.disabled()
    elsewhere = replace(gone, fingerprint="elsewhere", at=DUE + 2 * SECOND)
    await endpoints.disable([elsewhere])
    assert elsewhere in await endpoints.disabled()


async def test_only_the_place_that_is_meant_is_enabled(endpoints: EndpointStore, gone: Disabled) -> None:
    await endpoints.disable([gone])
    assert not await endpoints.enable(gone.receiver, "elsewhere")
    assert await endpoints.enable(gone.receiver, "there")


async def test_another_is_told_what_waits_with_the_reason(
    database: Database, store: Store, endpoints: EndpointStore, gone: Disabled, other: StandIn
) -> None:
    await store.remember(some([gone.receiver], 3), DUE)
    assert await endpoints.divert(gone, other, DUE + SECOND) == 3
    told = await taken(store, other.receiver, DUE + SECOND)
    assert {(each.route, each.channel, each.attempts, each.created_at) for each in told} == {("all", "email", 0, DUE)}
    assert {each.reason for each in told} == {
        f"{gone.receiver} is disabled (410 Gone), and route all takes everything",
    }
    left = await rows(database, gone.receiver)
    assert {(row.state, row.next_attempt_at, row.last_answer) for row in left} == {
        ("failed", None, f"{gone.receiver} is disabled (410 Gone): {other.receiver} hears of it")
    }
    assert await endpoints.divert(gone, other, DUE + SECOND) == 0


async def test_who_hears_of_it_anyway_is_not_told_twice(
    store: Store, endpoints: EndpointStore, gone: Disabled, other: StandIn
) -> None:
    await store.remember(some([gone.receiver, other.receiver], 2), DUE)
    assert await endpoints.divert(gone, other, DUE) == 2
    assert len(await taken(store, other.receiver)) == 2


async def test_what_is_being_attempted_just_now_is_left_alone(
    store: Store, endpoints: EndpointStore, gone: Disabled, other: StandIn
) -> None:
    await store.remember(some([gone.receiver], 2), DUE)
    [first] = await store.claim({gone.receiver: 1}, DUE, lease=LEASE)
    assert await endpoints.divert(gone, other, DUE) == 1
    await store.release([first])
    assert await endpoints.divert(gone, other, DUE) == 1


async def test_two_processes_that_divert_at_once_tell_of_each_once(
    store: Store, endpoints: EndpointStore, gone: Disabled, other: StandIn
) -> None:
    await store.remember(some([gone.receiver], 40), DUE)
    counts = await asyncio.gather(*(endpoints.divert(gone, other, DUE) for _ in range(3)))
    assert sum(counts) == 40
    assert len(await taken(store, other.receiver)) == 40


async def test_what_nobody_can_be_told_of_is_given_up_in_the_end_with_the_reason(
    database: Database, store: Store, endpoints: EndpointStore, gone: Disabled
) -> None:
    await store.remember(some([gone.receiver], 2), DUE)
    assert await endpoints.give_up(gone, DUE, DUE + DAY) == 0
    assert await endpoints.give_up(gone, DUE + 1, DUE + DAY) == 2
    assert {(row.state, row.why) for row in await rows(database, gone.receiver)} == {
        ("failed", f"{gone.receiver} is disabled (410 Gone)")
    }


@pytest.fixture
async def api(database: Database) -> AsyncIterator[httpx2.AsyncClient]:
    app = application("test", [router(database)], Health(), Metrics("1", "2026"), None)
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://plazo") as client:
        yield client


async def test_what_is_disabled_is_shown_and_enabled_over_http(
    api: httpx2.AsyncClient, store: Store, endpoints: EndpointStore, gone: Disabled
) -> None:
    await store.remember(some([gone.receiver], 2), DUE)
    await endpoints.disable([gone])
    listed = (await api.get("/v1/receivers/disabled")).json()["receivers"]
    assert [each for each in listed if each["receiver"] == gone.receiver] == [
        {"receiver": gone.receiver, "reason": "410 Gone", "disabled_at": "2026-01-05T12:00:00Z", "waiting": 2}
    ]
    assert (await api.post(f"/v1/receivers/{gone.receiver}/enable")).status_code == 204
    again = await api.post(f"/v1/receivers/{gone.receiver}/enable")
    assert (again.status_code, again.headers["content-type"]) == (404, "application/problem+json")


async def test_what_is_disabled_is_shown_and_enabled_on_the_command_line(
    database_url: str, endpoints: EndpointStore, gone: Disabled
) -> None:
    await endpoints.disable([gone])
    settings = {**os.environ, "DATABASE_URL": database_url, "KAFKA_BOOTSTRAP": "127.0.0.1:1"}

    async def run(*arguments: str) -> tuple[int | None, str]:
        command = (sys.executable, "-m", "services", "receivers", *arguments)
        process = await asyncio.create_subprocess_exec(*command, env=settings, stdout=PIPE, stderr=STDOUT)
        said, _ = await process.communicate()
        return process.returncode, said.decode()

    status, said = await run("list")
    assert (status, f"{gone.receiver}  since 2026-01-05T12:00:00Z  410 Gone" in said) == (1, True)
    assert await run("enable", gone.receiver) == (0, f"{gone.receiver} is enabled.\n")
    assert gone not in await endpoints.disabled()
    status, said = await run("enable", gone.receiver)
    assert (status, f"No receiver {gone.receiver} is disabled" in said) == (1, True)
