"""Servers for the tests: one broker and one PostgreSQL a run, fresh topics and a fresh database a test module."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator

import pytest

from deploy.local.embedded_postgres import EmbeddedPostgres
from tests.servers import Broker, Choice, Databases, Kind, Topics, choose_broker, open_broker, open_postgres

CHOICE = pytest.StashKey[Choice]()
SKIPPED = pytest.StashKey[list[str]]()


def pytest_configure(config: pytest.Config) -> None:
    """Nothing has been skipped yet."""
    config.stash[SKIPPED] = []


def choice_of(config: pytest.Config) -> Choice:
    """The broker of this run, looked for when the first test needs one."""
    if CHOICE not in config.stash:
        config.stash[CHOICE] = choose_broker()
    return config.stash[CHOICE]


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip what needs a real Kafka where there is none."""
    if item.get_closest_marker("kafka") is None:
        return
    choice = choice_of(item.config)
    if choice.kind is Kind.EMBEDDED:
        item.config.stash[SKIPPED].append(item.nodeid)
        pytest.skip(f"needs a real Kafka: {choice.reason}")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Say which broker the run had, and what it could therefore not test."""
    if CHOICE not in config.stash:
        return
    choice, skipped = config.stash[CHOICE], config.stash[SKIPPED]
    terminalreporter.write_line(f"Kafka of this run: {choice.kind}" + (f" ({choice.reason})" if choice.reason else ""))
    if skipped:
        terminalreporter.write_line(f"Skipped without a real Kafka: {len(skipped)} tests", yellow=True)
    if skipped and in_ci():
        terminalreporter.write_line("In CI that is a failure.", red=True)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """In CI, a run that could not use a real Kafka has failed."""
    if session.config.stash[SKIPPED] and in_ci():
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def in_ci() -> bool:
    """Whether this is continuous integration."""
    return os.environ.get("CI") == "true"


@pytest.fixture(scope="session")
def broker(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """The broker of this run."""
    with open_broker(tmp_path_factory.mktemp("broker"), choice_of(request.config).kind) as started:
        yield started


@pytest.fixture(scope="module")
def topics(broker: Broker, request: pytest.FixtureRequest) -> Topics:
    """Topics and group names of this module's own."""
    return Topics(broker, f"{request.module.__name__.rpartition('.')[2]}.{secrets.token_hex(3)}")


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedPostgres]:
    """The PostgreSQL of this run."""
    with open_postgres(tmp_path_factory.mktemp("database")) as started:
        yield started


@pytest.fixture(scope="session")
def databases(postgres: EmbeddedPostgres) -> Databases:
    """Makes fresh databases; the first use runs the migrations, once."""
    return Databases(postgres)


@pytest.fixture(scope="module")
def database_url(databases: Databases, request: pytest.FixtureRequest) -> Iterator[str]:
    """`postgresql://…` of this module's own database: migrated, and without rows when the module begins.

    At its end every connection must be closed.
    """
    with databases.fresh(request.module.__name__.rpartition(".")[2]) as url:
        yield url
