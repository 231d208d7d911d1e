"""One timer on the real broker and database: its outbox, its API, its files, and when it refuses to work."""

from __future__ import annotations

import json
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest

from services.timer.lease_store import LeaseStore
from services.timer.write_set import OutboxRow, pack_headers
from shared.errors import Refused
from shared.events import moment, parse_instant
from shared.kafka.connection import Outgoing, Place
from tests.integration.timer_site import POLICIES, TARGET_S, Site, answer, running, site, ticket, until
from tests.plant import PARTITIONS
from tests.processes import PlazoProcess
from tests.servers import Broker, Databases

pytestmark = pytest.mark.kafka


@pytest.fixture
async def here(broker: Broker, databases: Databases, tmp_path: Path) -> AsyncIterator[Site]:
    """An installation of the test's own."""
    async with site(broker, databases, tmp_path) as opened:
        yield opened


@asynccontextmanager
async def api(process: PlazoProcess) -> AsyncIterator[httpx2.AsyncClient]:
    """The HTTP side of a running process."""
    url = f"http://127.0.0.1:{process.env['HTTP_PORT']}"
    async with process, httpx2.AsyncClient(base_url=url, timeout=10.0) as client:
        await process.ready(f"{url}/healthz/ready")
        yield client


async def test_a_breach_is_seen_within_moments_of_its_instant(here: Site) -> None:
    async with running(here.service("one")):
        await here.owned_by("one")
        await here.send(ticket("a", ago_s=TARGET_S - 2), ticket("b", ago_s=TARGET_S - 2), answer("b"))
        await here.published(1)
    [record] = await here.plant.published()
    assert (record.type, record.event.item) == ("sla.clock.breached.v1", "default/ticket/a")
    due, detected = (moment_of(text) for text in (record.event.breached_at, record.event.detected_at))
    assert 0 <= detected - due < 0.5
    assert moment_of(record.event.evidence_through) > due
    assert not record.event.late_evidence_possible


def moment_of(text: str | None) -> float:
    """Seconds since the epoch."""
    return moment(parse_instant(text or "")).timestamp()


async def test_late_evidence_takes_a_breach_back(here: Site) -> None:
    async with running(here.service("one")):
        await here.send(ticket("a", ago_s=TARGET_S + 5))
        await here.published(1)
        await here.send(answer("a", ago_s=TARGET_S))
        await here.published(2)
    assert await here.types() == ["sla.clock.breached.v1", "sla.breach.retracted.v1"]


async def test_what_is_left_in_the_outbox_is_published_by_the_next_process_with_the_same_ids(here: Site) -> None:
    topic = f"{here.plant.prefix}sla.breaches.v1"
    async with running(here.service("one")):
        await here.send(ticket("a", ago_s=TARGET_S + 5))
        await here.published(1)
        await until(lambda: _is_empty(here), "the outbox to be emptied")
    [first] = await here.plant.published()
    headers = pack_headers([("ce_id", first.event_id.encode()), ("ce_type", first.type.encode())])
    # As after a crash between the commit and the producer's acknowledgement: the brokers have it, the outbox too.
    async with here.plant.database.raw("leave a row") as connection:
        partition = await connection.fetchval("SELECT partition FROM timer.item")
        last = await connection.fetchval("SELECT published_through FROM timer.lease WHERE partition = $1", partition)
        row = OutboxRow(partition, last + 1, topic, first.event.item.encode(), headers, first.value)
        await connection.copy_records_to_table("outbox", records=[row], columns=OutboxRow._fields, schema_name="timer")
    async with running(here.service("two")):
        await until(lambda: _is_empty(here), "the outbox to be emptied")
        await here.send(ticket("a2", ago_s=TARGET_S + 5))
        await here.published(2)
    published = await here.plant.published()
    assert [record.event_id for record in published].count(first.event_id) == 2
    assert len(published) == 3


async def _is_empty(here: Site) -> bool:
    return not await here.plant.waiting()


async def test_a_timer_that_comes_back_under_its_name_takes_its_partitions_at_once(here: Site) -> None:
    store = LeaseStore(here.plant.database)
    await store.install(PARTITIONS)
    for partition in range(PARTITIONS):  # as a process of this name left them when it was killed, a moment ago
        assert await store.take("one", partition)
    async with running(here.service("one")):
        assert await here.owned_by("one") < 2.0
        leases = await here.leases()
        assert {lease.epoch for lease in leases} <= {1, 2}
        await until(lambda: _epochs_are(here, 2), "every partition to be taken again", within_s=2.5)


async def _epochs_are(here: Site, epoch: int) -> bool:
    return {lease.epoch for lease in await here.leases()} == {epoch}


async def test_dead_letters_and_positions_are_written_with_what_was_folded(here: Site) -> None:
    async with running(here.service("one")):
        await here.producer.send(here.events_topic, [Outgoing(b"k", b"not an event", [])])
        await here.send(ticket("a", ago_s=TARGET_S + 5))
        await here.published(1)
        await until(lambda: here.plant.has_folded(2), "both records")
        await until(lambda: _is_empty(here), "the outbox to be emptied")
    ends = await here.offsets.ends([_place(here, "sla.deadletters.v1", number) for number in range(4)])
    assert sum(ends.values()) == 1


def _place(here: Site, name: str, partition: int) -> Place:
    return Place(f"{here.plant.prefix}{name}", partition)


async def test_an_events_topic_with_another_number_of_partitions_is_refused(here: Site) -> None:
    await LeaseStore(here.plant.database).install(PARTITIONS * 2)
    service = here.service("one")
    expected = f"has {PARTITIONS} partitions, and this installation was set up with {2 * PARTITIONS}: changing"
    try:
        with pytest.raises(Refused, match=expected):
            await service.start()
    finally:
        await service.stop()
    one = here.plant.process("timer", "one")
    one.start()
    assert await one.ended() == 1
    assert f"plazo: {here.events_topic} {expected}" in one.output()


async def test_topics_that_do_not_exist_are_named(here: Site) -> None:
    service = here.service("one", TOPIC_PREFIX="nowhere.")
    try:
        with pytest.raises(Refused, match=r"no such topic: nowhere\.sla\.events\.v1, .*`\./plazo migrate` creates"):
            await service.start()
    finally:
        await service.stop()


async def test_items_and_clocks_are_shown(here: Site) -> None:
    async with api(here.plant.process("timer", "one")) as client:
        await here.send(ticket("late", ago_s=TARGET_S + 5), ticket("met", ago_s=1), answer("met"))
        await here.send(*(ticket(f"open-{n}", attributes={"priority": "high"}) for n in range(5)))
        await here.published(1)
        await until(lambda: here.plant.has_folded(8), "8 events")
        item = (await client.get("/v1/items/default/ticket/late")).json()
        assert (item["stage"], item["published"], item["clocks"][0]["state"]) == ("open", 1, "breached")
        assert item["clocks"][0]["breached_at"] == item["clocks"][0]["due_at"]
        assert (await client.get("/v1/items/default/ticket/met")).json()["clocks"][0]["state"] == "met"
        assert (await client.get("/v1/items/default/ticket/open-1")).json()["attributes"] == {"priority": "high"}
        assert await items(client, state="breached") == ["late"]
        assert await items(client, state="met") == ["met"]
        assert sorted(await items(client, state="running")) == [f"open-{n}" for n in range(5)]
        assert sorted(await items(client)) == sorted(["late", "met", *(f"open-{n}" for n in range(5))])


async def test_an_item_is_explained_over_http_and_on_the_command_line(here: Site) -> None:
    async with api(here.plant.process("timer", "one")) as client:
        await here.send(ticket("late", ago_s=TARGET_S + 5), answer("late"))
        await until(lambda: here.plant.has_folded(2), "2 events")
        found = (await client.get("/v1/items/default/ticket/late/explanation")).json()
        [clock] = found["clocks"]
        assert [each["what"] for each in clock["milestones"]] == ["started", "breached", "met"]
        assert [each["event"] and each["event"]["type"] for each in clock["milestones"]] == [
            *("ticket.created", None, "ticket.agent_replied")
        ]
        assert sum(each["business_s"] for each in clock["spans"]) == clock["elapsed_s"]
        query = {"at": clock["started_at"]}
        then = (await client.get("/v1/items/default/ticket/late/explanation", params=query)).json()
        assert [each["state"] for each in then["clocks"]] == ["running"]
        arguments = ["explain", "late", "--format", "json", "--at", found["at"]]
        explain = PlazoProcess(arguments, {"DATABASE_URL": here.plant.database_url}, here.plant.folder / "explain.log")
        async with explain:
            assert await explain.ended() == 0
            assert json.loads(explain.output()) == found


async def items(client: httpx2.AsyncClient, **query: Any) -> list[str]:
    """The items of the clocks that a query shows, page by page."""
    found: list[str] = []
    cursor: str | None = None
    while True:
        page = (
            await client.get("/v1/clocks", params={"limit": 2, **query, **({"cursor": cursor} if cursor else {})})
        ).json()
        found += [clock["item"].rpartition("/")[2] for clock in page["clocks"]]
        cursor = page["next_cursor"]
        if cursor is None:
            return found


async def test_clocks_that_are_due_soon_come_in_order(here: Site) -> None:
    async with api(here.plant.process("timer", "one")) as client:
        await here.send(*(ticket(f"{n}", ago_s=-n) for n in (3, 1, 5, 2, 4)))  # the tolerated skew lets them be ahead
        await until(lambda: here.plant.has_folded(5), "5 events")
        assert await items(client, state="running") == ["1", "2", "3", "4", "5"]
        all_of_them = (await client.get("/v1/clocks", params={"state": "running"})).json()["clocks"]
        third = all_of_them[2]["due_at"]
        assert await items(client, state="running", due_before=third) == ["1", "2"]


@pytest.mark.parametrize(
    ("path", "status", "detail"),
    [
        ("/v1/items/default/ticket/nobody", 404, "There is no item default/ticket/nobody."),
        ("/v1/items/default/letter/1", 422, "The request is not valid."),
        ("/v1/items/default/ticket/%00", 404, "There is no item"),
        ("/v1/items/default/ticket/nobody/explanation", 404, "There is no item default/ticket/nobody."),
        ("/v1/items/default/ticket/%00/explanation", 404, "There is no item"),
        ("/v1/items/default/ticket/nobody/explanation?at=yesterday", 422, "at: expected a time like"),
        ("/v1/items/default/ticket/nobody/explanation?since=1", 422, "since: expected a time like"),
        ("/v1/clocks?state=unknown", 422, "The request is not valid."),
        ("/v1/clocks?limit=0", 422, "The request is not valid."),
        ("/v1/clocks?cursor=nonsense", 422, "cursor: expected the next_cursor of another page"),
        ("/v1/clocks?cursor=WzEsMiwiXHUwMDAwIl0=", 422, "cursor: expected the next_cursor of another page"),
        ("/v1/clocks?cursor=WzEsOTk5OTk5OTk5OTksIngiXQ==", 422, "cursor: expected the next_cursor of another page"),
        ("/v1/clocks?state=running&due_before=yesterday", 422, "due_before: expected a time like"),
        ("/v1/clocks?due_before=2026-01-01T00:00:00Z", 422, "due_before needs state=running"),
        ("/v1/nothing", 404, "Not Found"),
    ],
)
async def test_questions_without_an_answer_are_problems(
    quiet: httpx2.AsyncClient, path: str, status: int, detail: str
) -> None:
    response = await quiet.get(path)
    assert (response.status_code, response.headers["content-type"]) == (status, "application/problem+json")
    assert detail in response.json()["detail"]
    assert response.json()["status"] == status


@pytest.fixture(scope="module")
async def quiet(
    broker: Broker, databases: Databases, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[httpx2.AsyncClient]:
    """A timer with nothing to do, for questions."""
    async with (
        site(broker, databases, tmp_path_factory.mktemp("quiet")) as opened,
        api(opened.plant.process("timer", "one")) as client,
    ):
        yield client


async def test_policies_are_read_again_on_a_hangup_and_on_a_change_and_a_bad_file_changes_nothing(here: Site) -> None:
    one = here.plant.process("timer", "one")
    file = PolicyFile(Path(one.env["POLICIES"]))
    async with api(one) as client:
        one.signal(signal.SIGHUP)
        await one.said('"event": "reloaded"')
        assert await _reload_ok(client) == 1.0
        file.write("policies: [")
        await one.said("not reloaded, the old content stays in use")
        assert await _reload_ok(client) == 0.0
        await here.send(ticket("old"))
        await until(lambda: here.plant.has_folded(1), "the first event")
        file.write(POLICIES.replace("10s", "77s"))
        await until(lambda: _is_reloaded(client), "the files to be read again")
        assert await _target(client, "old") == TARGET_S
        # A version takes effect when every process had time to see it.
        await here.send(ticket("new", ago_s=-4.0))
        await until(lambda: here.plant.has_folded(2), "the second event")
        assert await _target(client, "new") == 77.0


class PolicyFile:
    """The policies as an editor changes them."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def write(self, text: str) -> None:
        """Save the file."""
        self._path.write_text(text)


async def _target(client: httpx2.AsyncClient, name: str) -> float:
    item = (await client.get(f"/v1/items/default/ticket/{name}")).json()
    return float(item["clocks"][0]["target_s"])


async def _reload_ok(client: httpx2.AsyncClient) -> float:
    text = (await client.get("/metrics")).text
    [line] = [line for line in text.splitlines() if line.startswith("sla_config_last_reload_successful{")]
    return float(line.rpartition(" ")[2])


async def _is_reloaded(client: httpx2.AsyncClient) -> bool:
    return await _reload_ok(client) == 1.0
