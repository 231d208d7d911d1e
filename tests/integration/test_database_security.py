"""Talking to a PostgreSQL that wants TLS: what works, and what is said where it does not."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from shared.db import Database, migrate, newest_revision
from shared.errors import PlazoError, Refused
from tests.processes import PlazoProcess
from tests.secure_kafka import untrusted
from tests.secure_postgres import GUEST, PASSWORD, SecurePostgres, programs, secure_postgres


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecurePostgres]:
    found = programs()
    if found is None:
        pytest.skip("needs a PostgreSQL with TLS on this machine (pg_config names one)")
    with secure_postgres(tmp_path_factory.mktemp("secure"), found) as started:
        yield started


async def encrypted(url: str) -> bool:
    """Whether the connection to *url* is encrypted."""
    database = Database(url, size=1)
    try:
        async with database.raw("look at the connection") as connection:
            return bool(await connection.fetchval("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()"))
    finally:
        await database.close()


async def refused(url: str) -> PlazoError:
    """What is said of *url*, to which no connection can be opened."""
    with pytest.raises(PlazoError) as caught:
        await encrypted(url)
    assert PASSWORD not in str(caught.value)
    return caught.value


async def test_a_server_that_proves_its_name_is_talked_to(server: SecurePostgres) -> None:
    assert await encrypted(server.verified())


async def test_who_shows_a_certificate_needs_no_password(server: SecurePostgres) -> None:
    database = Database(server.verified(), size=1)
    async with database.raw("add the guest") as connection:
        await connection.execute(f"CREATE ROLE {GUEST} LOGIN")
    await database.close()
    own = {"sslcert": str(server.guest_file), "sslkey": str(server.guest_file)}
    assert await encrypted(server.url(GUEST, sslmode="verify-full", sslrootcert=str(server.ca_file), **own))


@pytest.mark.parametrize("mode", ["prefer", "require"])
async def test_a_server_is_trusted_unseen_only_where_the_url_says_so(server: SecurePostgres, mode: str) -> None:
    assert await encrypted(server.url(sslmode=mode))


async def test_an_authority_that_did_not_sign_is_told(server: SecurePostgres, tmp_path: Path) -> None:
    error = await refused(server.url(sslmode="verify-full", sslrootcert=str(untrusted(tmp_path))))
    assert isinstance(error, Refused)
    assert "DATABASE_URL: the server's certificate is not trusted: " in str(error)


async def test_a_certificate_of_another_name_is_told(server: SecurePostgres) -> None:
    error = await refused(server.url(host="localhost", sslmode="verify-full", sslrootcert=str(server.ca_file)))
    assert isinstance(error, Refused)
    assert "DATABASE_URL: the server's certificate is not trusted: Hostname mismatch" in str(error)


@pytest.mark.parametrize(
    ("user", "parameters", "said"),
    [
        ("plazo:wr0ng", {}, "DATABASE_URL: password authentication failed"),
        (GUEST, {}, "DATABASE_URL: connection requires a valid client certificate"),
        ("plazo:wr0ng", {"sslmode": "disable"}, "DATABASE_URL: no pg_hba.conf entry"),  # the server wants TLS
    ],
)
async def test_what_the_server_refuses_is_told_with_the_setting(
    server: SecurePostgres, user: str, parameters: dict[str, str], said: str
) -> None:
    known = {"sslmode": "verify-full", "sslrootcert": str(server.ca_file)}
    error = await refused(server.url(user, **{**known, **parameters}))
    assert isinstance(error, Refused)
    assert said in str(error)
    assert "wr0ng" not in str(error)


async def test_tls_that_the_server_does_not_speak_is_told(database_url: str) -> None:
    error = await refused(f"{database_url}?sslmode=require")
    assert "SSL" in str(error)


async def test_migrations_go_the_same_way(server: SecurePostgres) -> None:
    await asyncio.to_thread(migrate, server.verified())
    database = Database(server.verified(), size=1)
    assert await database.revision() == newest_revision()
    await database.close()


async def test_a_service_that_may_not_log_in_ends_with_one_sentence(server: SecurePostgres, tmp_path: Path) -> None:
    routes = tmp_path / "notify.yaml"
    routes.write_text("receivers: {terminal: {console: {}}}\nroutes: [{receivers: [terminal]}]\n")
    url = server.url("plazo:wr0ng", sslmode="verify-full", sslrootcert=str(server.ca_file))
    settings = {"KAFKA_BOOTSTRAP": "127.0.0.1:1", "DATABASE_URL": url, "NOTIFY_ROUTES": str(routes)}
    process = PlazoProcess(["notifier"], settings, tmp_path / "notifier.log")
    process.start()
    assert await process.ended(60.0) == 1
    said = [line for line in process.output().splitlines() if not line.startswith("{")]  # the log apart
    assert len(said) == 1
    assert "DATABASE_URL: password authentication failed" in said[0]
    assert "wr0ng" not in process.output()
