"""Two tenants in one installation: no operation of the OpenAPI document shows or changes what is the other's.

Every operation is walked. One that is new fails here until it is said how it is asked for something of a tenant's.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import httpx2
import pytest

from services.ingest.api import Door
from services.ingest.api import router as ingest_router
from services.ingest.normalize import Origin
from services.notifier.delivery import Delivery, Notice, alert_id
from services.notifier.http_side import router as notifier_router
from services.notifier.store import Store
from services.timer.api import router as timer_router
from shared.cloudevents import Tenancy
from shared.events import SECOND, rfc3339
from tests.doors import Operation, Ring, house, operations, showing, unconnected
from tests.factories import DUE, breach, silence
from tests.fakes import FakeProducer
from tests.integration.timer_site import POLICIES, TARGET_S, Site, now, running, site, ticket
from tests.servers import Broker, Databases

OURS: Final = "acme"
OTHERS: Final = ("globex", "acme2", "acm_")  # nobody's name is the beginning, or the pattern, of another's
TENANTS: Final = (OURS, *OTHERS)
ALL: Final = [each for each in operations(house(unconnected(), None)) if each.needed in {"read", "write"}]


class Two:
    """An installation with items and deliveries of every tenant."""

    def __init__(self, here: Site) -> None:
        database = here.plant.database
        self.taken = FakeProducer()
        door = Door(self.taken, "sla.intake.v1", Origin("canonical", Tenancy(), 2_000), 0, 5_000, 5.0, now)
        routers = [ingest_router(door), timer_router(database), notifier_router(database, now)]
        transport = httpx2.ASGITransport(app=house(routers, Ring()))
        self.http = httpx2.AsyncClient(transport=transport, base_url="http://plazo")
        self.deliveries: dict[str, Delivery] = {}
        self.silences: dict[str, UUID] = {}

    async def ask(self, operation: Operation, asking: str, about: str, **query: Any) -> httpx2.Response:
        """Do *operation* with a credential, about what belongs to a tenant."""
        path = operation.path.format_map(self.parameters(about))
        body = BODIES[operation.path](about) if operation.path in BODIES else None
        headers = showing(f"admin{asking}")
        return await self.http.request(operation.method, path, headers=headers, json=body, params=query)

    def parameters(self, tenant: str) -> Mapping[str, str]:
        """What stands in the place of each parameter of a path, to ask for something of *tenant*."""
        item = {"tenant": tenant, "kind": "ticket", "item_id": secret(tenant)}
        return {
            **item,
            "delivery_id": str(self.deliveries[tenant].id),
            "alert_id": str(self.alert(tenant)),
            "receiver": "nobody",
            "silence_id": str(self.silences[tenant]),
        }

    def alert(self, tenant: str) -> UUID | None:
        """The alert that the tenant's delivery is about."""
        return alert_id(self.deliveries[tenant].record)


def secret(tenant: str) -> str:
    """The id of the tenant's item, which nobody else may see."""
    return f"secret-of-{tenant}"


def _event(tenant: str) -> dict[str, Any]:
    sound = {"specversion": "1.0", "id": "1", "source": "/", "type": "ticket.created", "subject": secret(tenant)}
    return {**sound, "tenant": tenant, "time": "2026-01-05T12:00:00Z"}


def _matched(tenant: str) -> dict[str, Any]:
    return {"tenant": tenant, "match": {"id": secret(tenant)}}


def _silence(tenant: str) -> dict[str, Any]:
    until = rfc3339(now() + 3_600 * SECOND)
    return {**_matched(tenant), "until": until, "author": "ana", "reason": secret(tenant)}


def _resend(_tenant: str) -> dict[str, Any]:
    return {"created_from": "2026-01-05T00:00:00Z", "created_until": "2026-01-06T00:00:00Z", "state": "pending"}


# path -> what is sent there to change something of a tenant's
BODIES: Final[Mapping[str, Callable[[str], dict[str, Any]]]] = {
    "/v1/events": _event,
    "/v1/silences": _silence,
    "/v1/silences/preview": _matched,
    "/v1/alerts/{alert_id}/acknowledgement": lambda _: {"comment": "on it"},
    "/v1/alerts/{alert_id}/snooze": lambda _: {"until": "2026-01-06T12:00:00Z"},
    "/v1/alerts/{alert_id}/assignment": lambda _: {"assignee": "Ana"},
    "/v1/deliveries/{delivery_id}/resend": lambda _: {},
    "/v1/deliveries/resend": _resend,
}
DONE: Final = {200, 201, 202}


@pytest.fixture(scope="module")
async def two(broker: Broker, databases: Databases, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Two]:
    folder: Path = tmp_path_factory.mktemp("tenants")
    policies = POLICIES.replace("10s", "10s, resolution: 10h")
    async with site(broker, databases, folder, policies) as here, running(here.service("one")):
        await here.send(*(ticket(secret(tenant), ago_s=TARGET_S + 5, tenant=tenant) for tenant in TENANTS))
        await here.published(len(TENANTS))
        made = Two(here)
        await _deliver(made, Store(here.plant.database, "notifier"))
        async with made.http:
            await _silenced(made)
            yield made


async def _deliver(made: Two, store: Store) -> None:
    for number, tenant in enumerate(TENANTS):
        notices = [Notice("all", f"desk of {tenant}", "webhook", "it breached")]
        found = breach(f"breach-{number}", item=f"{tenant}/ticket/{secret(tenant)}")
        quiet = silence(f"silence-{number}", tenant=tenant, source=secret(tenant))
        await store.remember([(found, notices), (quiet, notices)], DUE + number * SECOND)
        [first, _] = await store.claim({f"desk of {tenant}": 2}, DUE + 60 * SECOND, lease=0)
        made.deliveries[tenant] = first


async def _silenced(made: Two) -> None:
    for tenant in TENANTS:
        headers = showing(f"admin@{tenant}")
        answer = await made.http.post("/v1/silences", headers=headers, json=_silence(tenant))
        made.silences[tenant] = UUID(answer.json()["id"])


# Of no tenant: who is of one may not ask.
INSTALLATION: Final = [each for each in ALL if each.path.startswith("/v1/receivers/")]
OF_TENANTS: Final = [each for each in ALL if each not in INSTALLATION]
# Writes that name nothing of anybody's: they reach what is of the credential's tenant.
OF_ONES_OWN: Final = {"/v1/deliveries/resend"}
LISTS: Final = [each for each in OF_TENANTS if each.method == "GET" and "{" not in each.path]
THINGS: Final = [each for each in OF_TENANTS if each.method == "GET" and "{" in each.path]
WRITES: Final = [each for each in OF_TENANTS if each.method != "GET" and each.path not in OF_ONES_OWN]


@pytest.mark.parametrize("operation", THINGS, ids=str)
async def test_what_is_anothers_does_not_exist(two: Two, operation: Operation) -> None:
    assert (await two.ask(operation, f"@{OURS}", OURS)).status_code == 200
    for tenant in OTHERS:
        answer = await two.ask(operation, f"@{OURS}", tenant)
        assert (answer.status_code, answer.headers["content-type"]) == (404, "application/problem+json")
        assert (await two.ask(operation, f"@{tenant}", tenant)).status_code == 200


@pytest.mark.parametrize("operation", INSTALLATION, ids=str)
async def test_what_is_the_installations_is_for_callers_of_all_tenants(two: Two, operation: Operation) -> None:
    assert (await two.ask(operation, f"@{OURS}", OURS)).status_code == 403
    assert (await two.ask(operation, "", OURS)).status_code == (200 if operation.method == "GET" else 404)


@pytest.mark.parametrize("operation", LISTS, ids=str)
async def test_a_list_has_only_ones_own(two: Two, operation: Operation) -> None:
    answer = await two.ask(operation, f"@{OURS}", OURS)
    assert answer.status_code == 200
    assert secret(OURS) in answer.text
    assert [tenant for tenant in OTHERS if secret(tenant) in answer.text] == []


@pytest.mark.parametrize("operation", LISTS, ids=str)
async def test_the_pages_of_a_list_lead_to_nothing_of_anothers(two: Two, operation: Operation) -> None:
    seen, cursor = "", None
    for _ in range(10):
        query = {"limit": 1} | ({"cursor": cursor} if cursor else {})
        answer = await two.ask(operation, f"@{OURS}", OURS, **query)
        seen, cursor = seen + answer.text, answer.json()["next_cursor"]
        if cursor is None:
            break
    assert cursor is None
    assert secret(OURS) in seen
    assert [tenant for tenant in OTHERS if secret(tenant) in seen] == []


@pytest.mark.parametrize("operation", [*LISTS, *THINGS], ids=str)
async def test_a_credential_of_all_tenants_sees_everything(two: Two, operation: Operation) -> None:
    answers = [await two.ask(operation, "", tenant) for tenant in TENANTS]
    assert [answer.status_code for answer in answers] == [200] * len(TENANTS)
    assert [secret(tenant) in answer.text for tenant, answer in zip(TENANTS, answers, strict=True)] == [True] * 4


@pytest.mark.parametrize("operation", WRITES, ids=str)
async def test_nothing_of_anothers_can_be_written(two: Two, operation: Operation) -> None:
    two.taken.written.clear()
    for tenant in OTHERS:
        assert (await two.ask(operation, f"@{OURS}", tenant)).status_code in {403, 404}
    assert two.taken.written == {}
    assert (await two.ask(operation, f"@{OURS}", OURS)).status_code in DONE
    assert (await two.ask(operation, "", OTHERS[0])).status_code in DONE


@pytest.mark.parametrize(
    "query",
    [{"state": "breached"}, {"state": "running"}, {"state": "running", "due_before": "2100-01-01T00:00:00Z"}],
    ids=str,
)
async def test_clocks_of_a_state_are_ones_own(two: Two, query: dict[str, str]) -> None:
    (clocks,) = [each for each in LISTS if each.path == "/v1/clocks"]
    answer = await two.ask(clocks, f"@{OURS}", OURS, **query)
    assert secret(OURS) in answer.text
    assert [tenant for tenant in OTHERS if secret(tenant) in answer.text] == []


async def test_deliveries_that_are_sent_again_are_ones_own(two: Two) -> None:
    (resend,) = [each for each in ALL if each.path in OF_ONES_OWN]
    held = {**BODIES[resend.path](OURS), "state": "held"}  # by the test that snoozes, if it came before
    await two.http.post(resend.path, headers=showing("admin"), json=held)
    wanted = {tenant: (await two.ask(resend, f"@{tenant}", tenant)).json()["count"] for tenant in TENANTS}
    assert set(wanted.values()) == {2}  # its breach and its silence
    assert (await two.ask(resend, "", OURS)).json()["count"] == 2 * len(TENANTS)
