"""The same job on Kafka Streams, where its program lies beside the project, or where PEERS says.

It has no ingest hop, no calendars, no policies, and knows no repeats: a lower bound of the work of a real detector.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from deploy.local.tether import Command, Tethered
from shared.kafka.connection import Connection, Place
from shared.kafka.offsets import Offsets
from tests.bench.harness import OUT_PARTITIONS, PARTITIONS, ROOT, Site
from tests.bench.sizes import peers_folder
from tests.bench.usage import cpu_seconds, memory_mib

PATIENCE_S: Final = 180.0
HEAP: Final = ("-Xms1g", "-Xmx2g")


@dataclass(frozen=True, slots=True)
class Peer:
    """The program, built."""

    classes: str  # Java's class path
    folder: Path  # for its state and its logs


@dataclass(frozen=True, slots=True)
class Measured:
    """What one run of it measured."""

    per_second: float
    cpu_us: float  # for an event
    memory_mib: float
    cpu_s: dict[str, float]


def prepared(folder: Path, say: Callable[[str], None]) -> Peer | None:
    """The program, built in a copy under *folder*; None, and a word why, where it or what builds it is missing."""
    source = ROOT / peers_folder()
    if peers_folder() == "none":
        say("no comparison with Kafka Streams, as asked for")
        return None
    if not (source / "streams" / "pom.xml").exists():
        say(f"no comparison with Kafka Streams: {peers_folder()} is not there")
        return None
    if not (shutil.which("java") and shutil.which("mvn")):
        say("no comparison with Kafka Streams: java or mvn is missing")
        return None
    copy = folder / "peers"
    target = copy / "streams" / "target"
    if not (target / "lib").exists():
        say("building the Kafka Streams program, about a minute …")
        shutil.rmtree(copy, ignore_errors=True)
        for part in ("common", "streams"):
            shutil.copytree(source / part, copy / part, copy_function=shutil.copyfile)
        for place in (copy, *(path for path in copy.rglob("*") if path.is_dir())):
            place.chmod(0o755)  # the originals may be read-only
        subprocess.run(["mvn", "-q", "-B", "package"], cwd=copy / "streams", check=True)
    return Peer(f"{target}/classes:{target}/lib/*", copy)


async def measure(site: Site, peer: Peer, *, upstream: str, events: int) -> Measured:
    """Run it on *upstream* from nothing, from the first record processed until all of its offsets are committed."""
    name = f"streams-{time.time_ns()}"
    site.broker.create_topic(f"{name}-out", OUT_PARTITIONS)
    app = await asyncio.to_thread(_started, site, peer, name=name, upstream=upstream)
    offsets = Offsets(Connection(site.broker.bootstrap), "bench")
    log = peer.folder / f"{name}.log"
    try:
        await _committed(offsets, name, upstream, events=events, app=app)
        ended = time.time()
        used, resident = cpu_seconds(app.pid), memory_mib(app.pid)
    finally:
        await offsets.stop()
        await asyncio.to_thread(app.kill)
        shutil.rmtree(peer.folder / name, ignore_errors=True)
    began = _first(log)
    return Measured(events / (ended - began), used * 1e6 / events, resident, {"streams": used})


def _started(site: Site, peer: Peer, *, name: str, upstream: str) -> Tethered:
    environment = {
        **os.environ,
        "KAFKA": site.broker.bootstrap,
        "APP_ID": name,
        "IN": upstream,
        "OUT": f"{name}-out",
        "STATE_DIR": str(peer.folder / name),
    }
    argv = ["java", *HEAP, "-Dorg.slf4j.simpleLogger.defaultLogLevel=error", "-cp", peer.classes, "peers.streams.Main"]
    return Tethered(Command(argv, peer.folder / f"{name}.log", env=environment))


async def _committed(offsets: Offsets, group: str, topic: str, *, events: int, app: Tethered) -> None:
    places = [Place(topic, partition) for partition in range(PARTITIONS)]
    deadline = time.monotonic() + PATIENCE_S
    while sum(offset or 0 for offset in (await offsets.committed(group, places)).values()) < events:
        assert app.ended() is None, "the Kafka Streams program ended by itself; its log is in .bench/peers"
        assert time.monotonic() < deadline, f"Kafka Streams has not committed {events} events after {PATIENCE_S} s"
        await asyncio.sleep(0.02)


def _first(log: Path) -> float:
    # The program prints when it processed its first record: "MARK milliseconds FIRST".
    marks = [line.split(" ", 2) for line in log.read_text().splitlines() if line.startswith("MARK ")]
    return next(int(at) / 1000 for _, at, what in marks if what == "FIRST")
