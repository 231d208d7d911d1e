"""Disorder, repeats, late events and a killed timer in the real log: what is told is what backtest says of the same.

The log is long past, so a deadline fires as soon as all that lies upstream is read: what is sent later comes after
breaches that it contradicts, and they are taken back.
"""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest

from services.timer import backtest, fold
from services.timer.backtest import Arrival
from services.timer.clock import run_out
from services.timer.item import ItemState
from services.timer.ledger import Output, clock_id
from services.timer.policy_file import load
from services.timer.rulebook import Rulebook
from shared.cloudevents import decode_structured
from shared.events import DAY, SECOND, ClockState, Event, Instant, parse_instant, rfc3339
from tests.e2e.helpdesk import POLICIES, encoded, events, read_log
from tests.plant import Plant, Published, plant, until
from tests.servers import Topics

pytestmark = pytest.mark.kafka

CASES: Final = 1500  # a third of the log, with the chats and calls that are made for it
LATE: Final = 2  # rounds of late events after the first sending, in which an item gets one each at most
FIRST: Final[Instant] = parse_instant("2025-01-01T00:00:00Z")  # when they become known: long after they happened
UNTIL: Final[Instant] = parse_instant("2026-01-01T00:00:00Z")
Sent = dict[str, Any]  # a structured CloudEvent


@pytest.fixture
async def works(topics: Topics, database_url: str, tmp_path: Path) -> AsyncIterator[Plant]:
    async with plant(topics, database_url, tmp_path, POLICIES) as made:
        yield made


def traffic(pick: random.Random) -> list[Sent]:
    """A third of the log, in which some systems tell what happened and others what is now."""
    lines = read_log()
    cases = set(sorted({line.case for line in lines})[:CASES])
    found = events([line for line in lines if line.case in cases])
    found += [changed for event in found if event["type"] == "ticket.created" for changed in priorities(event, pick)]
    for event in found:
        if event["type"] == "ticket.updated" and pick.random() < 0.5:
            event["type"] = "ticket.snapshot"
        elif event["type"] == "ticket.resolved" and pick.random() < 0.5:
            event["type"] = "ticket.snapshot"
            event["data"]["attributes"]["status"] = "resolved"
    return found


def priorities(creation: Sent, pick: random.Random) -> Iterator[Sent]:
    """Now and then a change of the priority an hour after the creation: it makes other terms."""
    if pick.random() < 0.4:
        data = {"attributes": {"priority": pick.choice(("urgent", "low"))}}
        at = parse_instant(creation["time"]) + 3600 * SECOND
        kept = {name: creation[name] for name in ("specversion", "source", "subject")}
        yield {**kept, "id": f"{creation['id']}-priority", "type": "ticket.updated", "time": rfc3339(at), "data": data}


def in_rounds(found: Sequence[Sent], pick: random.Random) -> list[list[Sent]]:
    """What arrives in each round: nearly everything, and then late events; in any order and with repeats."""
    rounds: list[list[Sent]] = [[] for _ in range(1 + LATE)]
    taken: set[tuple[int, str]] = set()
    for event in found:
        share = 0.6 if event["id"].endswith("-priority") else 0.2  # other terms make another breach of a broken one
        late = pick.randrange(1, 1 + LATE) if pick.random() < share else 0
        place = (late, event["subject"])
        rounds[late if place not in taken else 0].append(event)
        if late:
            taken.add(place)
    for number, some in enumerate(rounds):
        some += [event for before in rounds[:number] for event in before if pick.random() < 0.1]
        some += [event for event in some if pick.random() < 0.1]
        pick.shuffle(some)
    return rounds


def deletions(found: Sequence[Sent]) -> list[Sent]:
    """The deletion of every tenth ticket, after everything else happened to it."""
    tickets = sorted({event["subject"] for event in found if event["type"].startswith("ticket.")})[::10]
    return [
        {"specversion": "1.0", "id": f"{name}-gone", "source": "/helpdesk", "type": "ticket.deleted", "subject": name}
        | {"time": rfc3339(FIRST - DAY), "data": {"attributes": {"reason": "asked for"}}}
        for name in tickets
    ]


def arrivals(rounds: Iterable[Iterable[Sent]]) -> list[Arrival]:
    """The same rounds for backtest, a day between them."""
    return [
        Arrival(FIRST + number * DAY, decode(event)) for number, some in enumerate(rounds) for event in some
    ]  # fmt: skip


def decode(event: Sent) -> Event:
    """A structured CloudEvent as an event."""
    return decode_structured(msgspec.json.encode(event))


def told(event_id: str, event_type: str, event: Any) -> str:
    """All that is told, but for when it was detected and by which evidence."""
    fields = {**msgspec.to_builtins(event), "event_id": event_id, "type": event_type}
    for name in ("detected_at", "evidence_through"):
        del fields[name]
    return json.dumps(fields, sort_keys=True)


def standing(records: Iterable[Published | Output]) -> dict[str, tuple[Any, ...]]:
    """breach id -> of which clock, when due, when broken; of the breaches that were not taken back."""
    found: dict[str, tuple[Any, ...]] = {}
    known: set[str | None] = set()
    awaited: set[str | None] = set()  # what a retraction named as the breach in place of the one it took back
    for record in records:
        event = record.event
        if record.type == "sla.clock.breached.v1":
            assert event.breach_id is not None
            assert event.breach_id not in known
            known.add(event.breach_id)
            awaited.discard(event.breach_id)
            found[event.breach_id] = (event.clock_id, event.metric, event.due_at, event.breached_at)
        elif record.type == "sla.breach.retracted.v1":
            assert event.replaced_by not in known
            awaited |= {event.replaced_by} - {None}
            del found[event.breach_id or ""]
        else:
            assert event.breach_id in found or "warning" in record.type
    assert not awaited
    return found


async def test_disorder_repeats_and_late_events_end_in_exactly_the_corrections_that_they_make(works: Plant) -> None:
    pick = random.Random(20_261_122)
    found = traffic(pick)
    rounds = in_rounds(found, pick)
    gone = deletions(found)
    rounds += [gone, [*gone, *(event for event in found if pick.random() < 0.1)]]  # the last one holds repeats alone
    sent = await live(works, rounds)
    everything = await works.published()
    assert_repeats_are_the_same(everything)
    published = list({record.event_id: record for record in everything}.values())
    rulebook = Rulebook(((0, load({"policies.yaml": POLICIES})),))
    expected = backtest.published_of(arrivals(rounds), rulebook, UNTIL)
    print(summary(len(found) + len(gone), sent, everything), f"logs in {works.folder}")
    assert_all_kinds(published)
    assert sorted(told(each.event_id, each.type, each.event) for each in published) == sorted(
        told(each.event_id, each.type, each.event) for each in expected
    )
    assert_no_gaps(published)
    in_order = [decode(event) for event in sorted(found, key=lambda each: str(each["time"]))]
    assert_same_in_order(published, backtest.published(in_order, rulebook, UNTIL))
    clocks = await works.clocks()
    assert clocks == await works.stored_clocks()
    assert {name: shown(state) for name, state in clocks.items()} == ended([*found, *gone], rulebook)
    assert await works.dead_letters() == 0
    await assert_forgotten(works, {f"default/ticket/{event['subject']}" for event in gone})


def summary(distinct: int, sent: int, everything: Sequence[Published]) -> str:
    """What was sent and what came of it, for a person who reads the output of the run."""
    records = {record.event_id: record for record in everything}.values()
    counts = dict(Counter(record.type for record in records))
    replaced = sum(record.event.replaced_by is not None for record in records)
    repeats = len(everything) - len(records)
    return (
        f"{distinct} events, {sent - distinct} repeats of them dropped: {counts}, {replaced} of them replaced,"
        f" {repeats} told twice;"
    )


def assert_all_kinds(published: Sequence[Published]) -> None:
    """The disorder makes corrections of every kind; else the comparison would show little."""
    counts = Counter(record.type for record in published)
    assert counts["sla.breach.retracted.v1"] > 100
    assert sum(record.event.replaced_by is not None for record in published) > 1  # dozens in the real log
    for kind in ("clock.warning", "clock.breached", "breach.stopped", "breach.cancelled"):
        assert counts[f"sla.{kind}.v1"] > 100, kind


def assert_repeats_are_the_same(everything: Iterable[Published]) -> None:
    """What is told twice, because a process was killed, is told with the same id and the same words."""
    seen: dict[str, bytes] = {}
    for record in everything:
        assert seen.setdefault(record.event_id, record.value) == record.value, record.event.item


def assert_same_in_order(published: Iterable[Published], in_order: Sequence[Output]) -> None:
    """The breaches that stand are those of the ordered events, under the same ids where none was taken back before."""
    disordered, ordered = standing(by_sequence(published)), standing(in_order)
    assert sorted(disordered.values()) == sorted(ordered.values())
    corrected = {record.event.clock_id for record in published if record.type == "sla.breach.retracted.v1"}
    assert {name: each for name, each in disordered.items() if each[0] not in corrected} == {
        name: each for name, each in ordered.items() if each[0] not in corrected
    }


def shown(state: ClockState) -> tuple[Any, ...]:
    """What became of a clock, as its topic tells."""
    return (state.state, state.started_at, state.stopped_at, state.breached_at)


def ended(found: Iterable[Sent], rulebook: Rulebook) -> dict[str, tuple[Any, ...]]:
    """clock id -> what became of each clock, of all events in order."""
    histories: dict[str, list[Event]] = {}
    for event in map(decode, found):
        histories.setdefault(event.item, []).append(event)
    clocks = {
        clock_id(item, clock): run_out(clock, UNTIL)
        for item, history in histories.items()
        for clock in fold.refold(history, rulebook).clocks
    }
    texts = {
        name: [at and rfc3339(at) for at in (clock.started_at, clock.stopped_at, clock.breached_at)]
        for name, clock in clocks.items()
    }
    return {name: (clock.state, *texts[name]) for name, clock in clocks.items()}


async def live(works: Plant, rounds: Sequence[Sequence[Sent]]) -> int:
    """Send the rounds to a whole Plazo, each when the one before is settled; how many events were sent.

    One of its two timers is killed in the middle of the first late round, and comes back.
    """
    sent = len(rounds[0])
    await works.send(encoded(list(rounds[0])))
    one, two = works.process("timer", "timer-1"), works.process("timer", "timer-2")
    async with one, two, works.process("ingest"):
        await works.settled(sent)
        for number, some in enumerate(rounds[1:]):
            await works.send(encoded(list(some)))
            if number == 0:
                await until(partial(works.has_folded, sent + len(some) // 3), "a third of the late events")
                one.kill()
                one.start()
            sent += len(some)
            await works.settled(sent)
        await until(works.fed, "the states of all clocks to be told")
    return sent


def by_sequence(records: Iterable[Published]) -> list[Published]:
    """Records of several partitions, those of each item in their order."""
    return sorted(records, key=lambda record: (record.event.item, record.event.sequence))


def assert_no_gaps(published: Iterable[Published]) -> None:
    sequences: dict[str, list[int]] = {}
    for record in by_sequence(published):
        sequences.setdefault(record.event.item, []).append(record.event.sequence)
    for item, found in sequences.items():
        assert found == list(range(1, len(found) + 1)), item


async def assert_forgotten(works: Plant, items: set[str]) -> None:
    """Of deleted items the database holds no attributes, neither in their state nor in their history."""
    async with works.database.raw("look for attributes") as connection:
        states = await connection.fetch("SELECT key, state FROM timer.item WHERE key = ANY($1)", list(items))
        histories = await connection.fetch("SELECT key, events FROM timer.history WHERE key = ANY($1)", list(items))
    found = {row["key"]: msgspec.msgpack.decode(row["state"], type=ItemState) for row in states}
    assert found.keys() == items
    assert all(state.deleted and not state.attributes and not state.changes for state in found.values())
    kept = [event for row in histories for event in msgspec.msgpack.decode(row["events"], type=list[Event])]
    assert {event.item for event in kept} == items
    assert [event.attributes for event in kept if event.attributes] == []
