"""`./plazo run` as people start it: a child process with everything in it, ended by Ctrl-C."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import httpx2
import psutil
import pytest

from deploy.local.ports import free_port
from tests.processes import ROOT, PlazoProcess

Wrong = Callable[[Path], tuple[list[str], Mapping[str, str], str]]  # gives options, environment, what is said
BAD_INPUT: Final = 2
FAILED: Final = 1
WITHIN_S = 60.0  # for everything that takes seconds on a machine that does nothing else


class House:
    """A `./plazo run` with a folder and a port of its own."""

    def __init__(self, folder: Path, *options: str, env: Mapping[str, str] | None = None) -> None:
        self.folder = folder
        self.port = free_port()
        arguments = ["run", "--port", str(self.port), "--folder", str(folder), *options]
        folder.parent.mkdir(parents=True, exist_ok=True)
        self.process = PlazoProcess(arguments, env or {}, folder.parent / "screen.log")

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.port}{path}"

    async def ready(self) -> None:
        await self.process.ready(self.url("/healthz/ready"), WITHIN_S)

    async def interrupted(self) -> int:
        """Press Ctrl-C, and wait for the end; its exit status."""
        self.process.signal(signal.SIGINT)
        return await self.process.ended(within_s=20.0)

    def left(self) -> list[str]:
        """The processes that still work in the folder."""
        commands = [" ".join(each.info["cmdline"] or ()) for each in psutil.process_iter(["cmdline"])]
        return [command for command in commands if str(self.folder) in command]

    def settings(self) -> dict[str, str]:
        """What other commands find of it."""
        found: dict[str, str] = json.loads((self.folder / "running.json").read_text())
        return found


@asynccontextmanager
async def running(house: House) -> AsyncIterator[House]:
    async with house.process:
        await house.ready()
        yield house


async def command(tmp_path: Path, env: Mapping[str, str], *arguments: str) -> tuple[int, str]:
    """(exit status, output) of one command that ends by itself."""
    process = PlazoProcess(list(arguments), env, tmp_path / "command.log")
    process.log.unlink(missing_ok=True)
    process.start()
    return await process.ended(WITHIN_S), process.output()


async def post(house: House, *events: Mapping[str, object]) -> None:
    async with httpx2.AsyncClient() as client:
        answer = await client.post(
            house.url("/v1/events"), content=json.dumps(events), headers={"content-type": "application/json"}
        )
    assert answer.status_code == 202, answer.text


def event(kind: str, subject: str, at: str, **attributes: str) -> dict[str, object]:
    return {
        "specversion": "1.0",
        "id": f"{subject}-{kind}-{at}",
        "source": "/test",
        "type": kind,
        "subject": subject,
        "time": at,
        "data": {"attributes": attributes},
    }


async def test_breaches_and_alerts_appear_and_ctrl_c_leaves_nothing(tmp_path: Path) -> None:
    house = House(tmp_path / "data")
    async with house.process:
        await house.process.said("Breached: ", WITHIN_S)
        await house.process.said("Delivered to terminal (console)", WITHIN_S)
        await house.ready()
        async with httpx2.AsyncClient() as client:
            metrics = (await client.get(house.url("/metrics"))).text
            docs = (await client.get(house.url("/docs"))).status_code
            paths = (await client.get(house.url("/openapi.json"))).json()["paths"]
        assert await house.interrupted() == 0
    lines = house.process.output().splitlines()
    assert "topics in memory" in lines[0]
    header = "\n".join(lines[:10])
    assert all(house.url(path) in header for path in ("/docs", "/metrics", "/healthz/ready"))
    assert "\x1b" not in house.process.output()  # no colours where nobody can see them
    assert docs == 200
    assert {"/v1/events", "/v1/clocks", "/v1/deliveries"} <= paths.keys()
    assert "sla_breach_detection_delay_seconds_count" in metrics
    assert [json.loads(line)["level"] for line in (house.folder / "run.log").read_text().splitlines()]
    assert house.left() == []
    assert not (house.folder / "running.json").exists()


async def test_sigterm_ends_it_like_ctrl_c(tmp_path: Path) -> None:
    async with running(House(tmp_path / "data", "--no-traffic")) as house:
        assert await house.process.stop() == 0
    assert house.left() == []


async def test_ctrl_c_while_it_starts_leaves_nothing_either(tmp_path: Path) -> None:
    house = House(tmp_path / "data")
    async with house.process:
        await house.process.said("Plazo ", WITHIN_S)
        assert await house.interrupted() == 0
    assert house.left() == []


async def test_other_commands_find_it_and_what_it_knows_survives_a_restart(tmp_path: Path) -> None:
    first = House(tmp_path / "data", "--no-traffic")
    async with running(first):
        await post(first, event("ticket.created", "kept", "2026-01-05T08:00:00Z", customer="acme", status="open"))
        await first.process.said("Breached: ticket kept, resolution", WITHIN_S)
        env = first.settings()
        status, output = await command(tmp_path, env, "doctor", "--json")
        assert status == 0, output
        assert all(finding["ok"] for finding in json.loads(output))
        assert await first.interrupted() == 0
    second = House(tmp_path / "data", "--no-traffic")
    async with running(second):
        await post(second, event("ticket.resolved", "kept", "2026-01-05T13:00:00Z", status="resolved"))
        await second.process.said("Done late: ticket kept, resolution", WITHIN_S)
        async with httpx2.AsyncClient() as client:
            item = (await client.get(second.url("/v1/items/default/ticket/kept"))).json()
    assert {clock["metric"]: clock["state"] for clock in item["clocks"]}["resolution"] == "breached"


async def test_a_recording_is_replayed_and_its_breaches_can_be_followed(tmp_path: Path) -> None:
    file = tmp_path / "events.jsonl"
    events = [
        event("call.queued", "r1", "2026-01-05T08:00:00Z", status="open"),
        event("call.answered", "r1", "2026-01-05T08:00:30Z", status="open"),
    ]
    file.write_text("".join(json.dumps(each) + "\n" for each in events))

    def replay_to(topic: str) -> tuple[str, ...]:
        return ("replay", str(file), "--topic", topic, "--speed", "max", "--shift-to-now")

    async with running(House(tmp_path / "data", "--no-traffic")) as house:
        env = house.settings()
        tail = PlazoProcess(["tail", "--json", "--from-beginning", "--item", "r1"], env, tmp_path / "tail.log")
        async with tail:
            status, output = await command(tmp_path, env, *replay_to("sla.intake.v1"))
            assert status == 0, output
            assert "2 of 2 events sent" in output
            assert "there is no topic nowhere" in (await command(tmp_path, env, *replay_to("nowhere")))[1]
            await tail.said('"type":"sla.breach.stopped.v1"', WITHIN_S)
            assert await tail.stop() == 0
    types = [json.loads(line)["type"] for line in tail.output().splitlines()]
    assert types == ["sla.clock.breached.v1", "sla.breach.stopped.v1"]


async def test_who_follows_a_run_ends_with_it(tmp_path: Path) -> None:
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    async with running(House(tmp_path / ".plazo", "--no-traffic")) as house:
        tail = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "services", "tail", "--from-beginning"),
            cwd=tmp_path,
            env=env,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        assert tail.stdout is not None
        await post(house, event("ticket.created", "followed", "2026-01-05T08:00:00Z", customer="acme"))
        assert b"ticket followed" in await tail.stdout.readline()
        assert await house.interrupted() == 0
        async with asyncio.timeout(WITHIN_S):
            _, told = await tail.communicate()
    assert (tail.returncode, told) == (0, b"The `./plazo run` of this folder has ended.\n")


async def test_a_recording_with_mistakes_is_not_sent_at_all(tmp_path: Path) -> None:
    file = tmp_path / "events.jsonl"
    good = json.dumps(event("call.queued", "r1", "2026-01-05T08:00:00Z"))
    file.write_text(
        f"{good}\n{good.replace('2026-01-05T08', 'today')}\n{good.replace('call.queued', 'call.made')}\nx\n"
    )
    status, output = await command(
        tmp_path, {"KAFKA_BOOTSTRAP": "127.0.0.1:1"}, "replay", str(file), "--topic", "sla.intake.v1"
    )
    assert status == 2
    places = [line.removeprefix(f"{file}:").split(": ")[:2] for line in output.splitlines()]
    assert [(place, field) for place, field in places[:2]] == [("2", "time"), ("3", "type")]
    assert places[2][0] == "4"


def no_policies(tmp_path: Path) -> tuple[list[str], Mapping[str, str], str]:
    return ["--policies", str(tmp_path / "none.yaml")], {}, "none.yaml:1: cannot be read: No such file or directory"


def bad_policies(tmp_path: Path) -> tuple[list[str], Mapping[str, str], str]:
    file = tmp_path / "bad.yaml"
    file.write_text("calendars: {}\npolicies: [{name: a, targets: {resolution: soon}}]\n")
    return ["--policies", str(file)], {}, "bad.yaml:2: policies[0].targets.resolution: expected a duration"


def bad_routes(tmp_path: Path) -> tuple[list[str], Mapping[str, str], str]:
    file = tmp_path / "bad.yaml"
    file.write_text("receivers: {}\n")
    return ["--routes", str(file)], {}, "bad.yaml:1: routes: is required"


def no_broker(_: Path) -> tuple[list[str], Mapping[str, str], str]:
    return [], {"KAFKA_BOOTSTRAP": "127.0.0.1:1"}, "127.0.0.1:1"


def no_database(_: Path) -> tuple[list[str], Mapping[str, str], str]:
    return [], {"DATABASE_URL": "postgresql://a:secret@127.0.0.1:1/c"}, "PostgreSQL at 127.0.0.1:1 does not answer"


def unknown_format(_: Path) -> tuple[list[str], Mapping[str, str], str]:
    return [], {"UPSTREAM_TOPICS": "a:telepathy"}, "telepathy"


@pytest.mark.parametrize(
    ("wrong", "status"),
    [
        # A file of the user's is to blame.
        (no_policies, BAD_INPUT),
        (bad_policies, BAD_INPUT),
        (bad_routes, BAD_INPUT),
        # Something else is.
        (no_broker, FAILED),
        (no_database, FAILED),
        (unknown_format, FAILED),
    ],
)
async def test_what_is_wrong_is_said_in_a_sentence_and_nothing_is_left(
    tmp_path: Path, wrong: Wrong, status: int
) -> None:
    options, env, sentence = wrong(tmp_path)
    house = House(tmp_path / "data", *options, env=env)
    house.process.start()
    assert await house.process.ended(WITHIN_S) == status
    output = house.process.output()
    assert sentence in output
    assert "Traceback" not in output
    assert "secret" not in output
    assert house.left() == []


async def test_a_busy_port_is_said_before_anything_starts(tmp_path: Path) -> None:
    house = House(tmp_path / "data")
    with socket.create_server(("127.0.0.1", house.port)):
        house.process.start()
        assert await house.process.ended(WITHIN_S) == 1
    assert f"cannot listen on 127.0.0.1:{house.port}" in house.process.output()
    assert "--port" in house.process.output()
    assert not house.folder.exists()


async def test_a_folder_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "data").touch()
    house = House(tmp_path / "data")
    house.process.start()
    assert await house.process.ended(WITHIN_S) == 1
    assert f"the folder {tmp_path / 'data'} cannot be used" in house.process.output()


async def test_a_folder_in_use_is_left_to_its_owner(tmp_path: Path) -> None:
    async with running(House(tmp_path / "data", "--no-traffic")) as house:
        other = House(tmp_path / "data")
        other.process.log = tmp_path / "other.log"
        other.process.start()
        assert await other.process.ended(WITHIN_S) == 1
        assert "in use by another" in other.process.output()
        await house.ready()
