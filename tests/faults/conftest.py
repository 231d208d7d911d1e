"""The servers of a run of faults, and which of its tests belong to `make test`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from deploy.local.embedded_postgres import EmbeddedPostgres
from deploy.local.ports import free_port
from deploy.local.real_kafka import RealKafka
from tests.faults.site import Ground, Site, site
from tests.servers import Databases

HERE = Path(__file__).parent
DETOURS = 6  # a soak has six processes, each with a wire of its own


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """A run that does not name this folder takes its quick tests only."""
    if any(HERE.name in each for each in config.args):
        return
    long = [item for item in items if (mark := item.get_closest_marker("fault")) and not mark.kwargs["quick"]]
    config.hook.pytest_deselected(items=long)
    items[:] = [item for item in items if item not in long]


@pytest.fixture(scope="session")
def ground(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ground]:
    """A broker and a database that come back under the same addresses after they were killed."""
    folder = tmp_path_factory.mktemp("ground")
    detours = tuple(free_port() for _ in range(DETOURS))
    postgres = EmbeddedPostgres(folder / "postgres", port=free_port(), settings={"fsync": "off"})
    with RealKafka(folder / "kafka", detours=detours) as kafka, postgres:
        yield Ground(kafka, postgres, Databases(postgres))


@pytest.fixture
async def here(ground: Ground, tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Site]:
    """An installation of the test's own, nothing running yet."""
    name = request.node.name.removeprefix("test_").replace("_", "-")[:24].rstrip("-")
    request.node.user_properties.append(("folder", tmp_path))
    async with site(ground, tmp_path, name) as opened:
        yield opened
