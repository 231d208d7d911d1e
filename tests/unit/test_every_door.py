"""Every operation of every service, as their OpenAPI documents name them: closed to strangers, and to other scopes."""

from __future__ import annotations

import httpx2
import pytest

from shared.callers import SCOPES, Scope
from tests.doors import Operation, Ring, house, operations, showing, unconnected

ALL = list(operations(house(unconnected(), None)))
OPEN = [Operation("GET", "/healthz/live", None), Operation("GET", "/healthz/ready", None)]
CLOSED = [each for each in ALL if each not in OPEN]


async def asked(operation: Operation, headers: dict[str, str]) -> int:
    """The status of the answer, from services that are connected to nothing: nobody may get as far as that."""
    transport = httpx2.ASGITransport(app=house(unconnected(), Ring()))
    async with httpx2.AsyncClient(transport=transport, base_url="http://plazo") as http:
        path = operation.path.replace("{", "").replace("}", "")
        return (await http.request(operation.method, path, headers=headers)).status_code


def test_the_documents_name_what_there_is() -> None:
    assert {each.path for each in CLOSED} >= {"/v1/events", "/v1/clocks", "/v1/deliveries", "/metrics"}


def test_only_probes_are_open() -> None:
    assert [each for each in ALL if each.needed is None] == OPEN


@pytest.mark.parametrize("operation", CLOSED, ids=str)
async def test_a_stranger_is_asked_for_a_credential(operation: Operation) -> None:
    assert await asked(operation, {}) == 401


WRONG = [(each, scope) for each in CLOSED for scope in SCOPES if scope not in {each.needed, "admin"}]


@pytest.mark.parametrize(("operation", "scope"), WRONG, ids=str)
async def test_another_scope_opens_nothing(operation: Operation, scope: Scope) -> None:
    assert await asked(operation, showing(scope)) == 403
