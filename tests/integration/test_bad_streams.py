"""Streams in which much is bad, through ingest as a process: good ones arrive, bad ones are kept, too many stop it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from deploy.local.ports import free_port
from shared.kafka.connection import MAX_RECORD_BYTES
from shared.kafka.offsets import Offsets
from tests.integration.test_ingest import Installation, binary, event, structured, until
from tests.processes import PlazoProcess
from tests.servers import Topics
from tests.strategies_hostile import HOSTILE_NUMBERS, HOSTILE_TEXTS, nested

JSON = ("content-type", b"application/cloudevents+json")
HOSTILE = (
    *(
        b'{"specversion":"1.0","id":%b,"source":"/","type":"ticket.created","subject":"1"}' % text
        for text in HOSTILE_TEXTS
    ),
    *(b'{"specversion":"1.0","id":"1","time":%b}' % number for number in HOSTILE_NUMBERS),
    *(b"", b"\xff\xfe", b"null", b"[1, 2", nested(10_000), nested(10_000, b'{"a":', b"}"), b"{" * 100_000),
)
GOOD = 100


def process(installation: Installation, log: Path, **settings: str) -> PlazoProcess:
    port = str(free_port())
    return PlazoProcess(["ingest"], {**installation.environment, "HTTP_PORT": port, **settings}, log)


async def started(running: PlazoProcess) -> None:
    await running.ready(f"http://127.0.0.1:{running.env['HTTP_PORT']}/healthz/ready")


def mixed() -> list[tuple[Any, bytes | None]]:
    """Good ones, and between them bad ones of every kind; with the largest that a topic takes."""
    records: list[tuple[Any, bytes | None]] = []
    for number in range(GOOD):
        records.append(binary(number, "ticket.created") if number % 2 else ([JSON], structured(number)))
        records.append(([JSON, ("trace", b"%d" % number)], HOSTILE[number % len(HOSTILE)]))
    many = {f"k{number}": number for number in range(60_000)}
    records.append(
        ([JSON], msgspec.json.encode(event(GOOD, data={"attributes": {"many": many}})))
    )  # 10^5 keys are no harm
    records.append(([JSON], structured(GOOD + 1, data={"attributes": {"x": "y" * (MAX_RECORD_BYTES + 10_000)}})))
    records.append(([("ce_id", b"\xff"), ("ce_type", b"\x00"), *binary(1, "ticket.created")[0]], None))
    return records


async def test_of_a_mixed_stream_everything_good_arrives_and_everything_bad_is_kept_as_it_came(
    topics: Topics, tmp_path: Path
) -> None:
    installation, sent = Installation(topics, "mixed"), mixed()
    await installation.write("tickets", *sent)
    async with process(installation, tmp_path / "log") as ingest:
        await started(ingest)
        found = await installation.has_events(GOOD + 1)
        assert await ingest.stop() == 0
    assert {each.subject for each in found} == {str(number) for number in range(GOOD + 1)}
    letters = {}
    for letter in await installation.held(installation.settings.topics.deadletters):
        headers = dict(letter.headers)
        letters[int(headers["plazo_offset"])] = letter
        assert headers["plazo_reason"] in {b"undecodable", b"invalid", b"too_large"}
        assert headers["plazo_message"]
        assert headers["plazo_topic"] == installation.upstream("tickets").encode()
    bad = {place: record for place, record in enumerate(sent) if place % 2 and place < 2 * GOOD}
    bad |= {2 * GOOD + 1: sent[2 * GOOD + 1], 2 * GOOD + 2: sent[2 * GOOD + 2]}
    assert letters.keys() == bad.keys()
    for place, (headers, value) in bad.items():
        letter = letters[place]
        assert letter.key == b"upstream-key"
        assert [(name, text) for name, text in letter.headers if not name.startswith("plazo_")] == list(headers)
        whole = value if value is None else value[:MAX_RECORD_BYTES]
        assert letter.value == whole
    assert dict(letters[2 * GOOD + 1].headers)["plazo_truncated"] == str(len(sent[2 * GOOD + 1][1] or b"")).encode()


async def test_a_stream_that_is_all_bad_stops_ingest_and_nothing_of_it_is_skipped(
    topics: Topics, tmp_path: Path
) -> None:
    installation = Installation(topics, "flood")
    await installation.write("tickets", *[([JSON], b"<ticket/>") for _ in range(200)])
    flooded = process(installation, tmp_path / "log", DLQ_IN_A_ROW="50", INGEST_BATCH_RECORDS="30")
    flooded.start()
    assert await flooded.ended() == 3
    assert "50 records of" in flooded.output()
    kept = len(await installation.held(installation.settings.topics.deadletters))
    assert kept < 50
    offsets = Offsets(installation.settings.connection, "test")
    try:
        committed = await offsets.committed(installation.settings.ingest_group, installation.places)
        assert (
            sum(offset or 0 for offset in committed.values()) == kept
        )  # no further than what is among the dead letters
    finally:
        await offsets.stop()
    async with process(installation, tmp_path / "again", DLQ_IN_A_ROW="0", DLQ_SHARE="1") as again:
        await started(again)

        async def all_buried() -> bool:
            return len(await installation.held(installation.settings.topics.deadletters)) == 200

        await until(all_buried)
