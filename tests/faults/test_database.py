"""Rows 10-12 and 41: PostgreSQL is away, demoted, slow, or full, and commits of which nobody knows what became."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import asyncpg
import psutil
import pytest

from deploy.local.embedded_postgres import EmbeddedPostgres
from deploy.local.ports import free_port
from shared.database_url import url_of
from tests.faults.matrix import row
from tests.faults.site import Ground, Site, site
from tests.faults.wire import Trap, Way
from tests.servers import Databases

pytestmark = pytest.mark.kafka


@row(10, "every connection to the database is ended")
async def test_ended_connections_are_opened_again(here: Site) -> None:
    name = url_of(here.plant.database_url).database
    async with here.everything(), asyncio.TaskGroup() as group:
        group.create_task(here.traffic(items=250, over_s=10.0))
        for _ in range(4):
            await asyncio.sleep(2.0)
            await sql(here.ground, f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'")
        await here.calm()
    await here.agree()


@row(10, "the database crashes and is away for a while")
async def test_without_a_database_nothing_happens_and_then_everything_once(here: Site) -> None:
    postgres = here.ground.postgres
    async with here.everything() as running, asyncio.TaskGroup() as group:
        group.create_task(here.traffic(items=250, over_s=10.0))
        await asyncio.sleep(4.0)
        pids = [process.pid for process in running.values()]
        await asyncio.to_thread(stop_immediately, postgres)
        try:
            await asyncio.sleep(6.0)
            for name in ("timer-1", "notifier"):
                assert await here.readiness(running[name]) == (200, 503)
        finally:
            await here.plant.database.close()
            await asyncio.to_thread(postgres.start)
        await here.calm()
        assert all(psutil.Process(pid).is_running() for pid in pids)  # nobody crashed
    await here.agree()


@row(10, "the database is demoted to one that may only be read")
async def test_a_demoted_database_is_waited_for(here: Site) -> None:
    async with here.everything(), asyncio.TaskGroup() as group:
        group.create_task(here.traffic(items=250, over_s=10.0))
        await asyncio.sleep(3.0)
        await sql(here.ground, "ALTER SYSTEM SET default_transaction_read_only = on")
        try:
            await sql(here.ground, "SELECT pg_reload_conf()")
            await asyncio.sleep(6.0)
        finally:
            await sql(here.ground, "ALTER SYSTEM RESET default_transaction_read_only")
            await sql(here.ground, "SELECT pg_reload_conf()")
        await here.calm()
    await here.agree()


@row(11, "the connection dies in the middle of a commit")
@pytest.mark.parametrize("arrives", [True, False], ids=["done", "not-done"])
async def test_a_commit_of_unknown_outcome_is_looked_up(here: Site, arrives: bool) -> None:
    line = await here.database_wire()
    timer = here.process("timer", DATABASE_URL=here.through(line))
    async with here.process("ingest"), here.process("notifier"), timer, asyncio.TaskGroup() as group:
        await here.ready(timer)
        group.create_task(here.traffic(items=200, over_s=8.0))
        for _ in range(5):
            await asyncio.sleep(1.2)
            line.trap = Trap(Way.TO_SERVER, b"COMMIT;", passes=arrives)
            async with asyncio.timeout(30.0):
                await line.trap.sprung.wait()
        await here.calm()
        assert timer.output().count("write set not confirmed") >= 3
    await here.agree()


@row(12, "tables are locked for 20 s, and the network to the database is slow")
async def test_a_slow_database_is_waited_for_and_nobody_loses_what_it_owns(here: Site) -> None:
    line = await here.database_wire()
    async with here.everything(DATABASE_URL=here.through(line)) as running, asyncio.TaskGroup() as group:
        group.create_task(here.traffic(items=300, over_s=14.0))
        await asyncio.sleep(3.0)
        await locked(here, "timer.item", 20.0)
        await locked(here, "timer.lease", 5.0)
        line.delay_s = 0.05
        await asyncio.sleep(5.0)
        line.delay_s = 0.0
        await here.calm()
        for process in running.values():
            assert await here.readiness(process) == (200, 200)
    await here.agree()


async def locked(here: Site, table: str, seconds: float) -> None:
    """Let nobody read or write a table for so long."""
    connection = await asyncpg.connect(here.plant.database_url)
    try:
        async with connection.transaction():
            await connection.execute(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")
            await asyncio.sleep(seconds)
    finally:
        await connection.close()


@row(41, "the database's disk is full")
async def test_a_full_disk_is_waited_for(ground: Ground, tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", megabytes=250) as disk:
        postgres = EmbeddedPostgres(
            disk / "postgres",
            port=free_port(),
            settings={"fsync": "off", "max_wal_size": "32MB", "min_wal_size": "32MB"},
        )
        with postgres:
            databases = await asyncio.to_thread(Databases, postgres)
            async with site(Ground(ground.kafka, postgres, databases), tmp_path, "full-disk") as here:
                await _fill_and_free(here, postgres, disk)


async def _fill_and_free(here: Site, postgres: EmbeddedPostgres, disk: Path) -> None:
    async with here.everything() as running, asyncio.TaskGroup() as group:
        group.create_task(here.traffic(items=1500, over_s=14.0))
        await asyncio.sleep(4.0)
        ballast = disk / "ballast"
        await asyncio.to_thread(fill, ballast)
        await asyncio.sleep(10.0)
        said = running["timer-1"].output() + running["timer-2"].output()
        assert "No space left" in said or "not confirmed" in said
        ballast.unlink()
        await here.plant.database.close()
        await asyncio.to_thread(postgres.stop)  # it may have ended by itself, when it could not write its log
        await asyncio.to_thread(postgres.start)
        await here.calm()
    await here.agree()


def fill(ballast: Path) -> None:
    """Write until nothing fits any more."""
    piece = b"\0" * 65_536
    with ballast.open("wb", buffering=0) as file:
        while True:
            try:
                file.write(piece)
            except OSError:
                if len(piece) == 1:
                    return
                piece = piece[: len(piece) // 16] or b"\0"


@contextmanager
def small_disk(folder: Path, *, megabytes: int) -> Iterator[Path]:
    """A file system of its own, which only root may mount."""
    if os.geteuid() != 0:
        pytest.skip("only root may mount a small disk")
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "plazo-faults", str(folder)], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def stop_immediately(postgres: EmbeddedPostgres) -> None:
    """End the server without a checkpoint, as `pg_ctl -m immediate stop` does; the next start recovers."""
    pid = int((postgres.directory / "postmaster.pid").read_text().splitlines()[0])
    server = psutil.Process(pid)
    server.send_signal(signal.SIGQUIT)
    server.wait(20.0)
    postgres.stop()


async def sql(ground: Ground, statement: str) -> None:
    """Run a statement on the server, as its administrator."""
    await asyncio.to_thread(ground.postgres.sql, statement)
