"""What the notifier does when its database, its channels or its own code fail it; without any of them."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any
from uuid import UUID

import pytest

from services.notifier.alerts.deciding import Decide
from services.notifier.breaker import FAILURES, FIRST_REST
from services.notifier.courier import Courier
from services.notifier.delivery import Channel, ChannelName, Delivery, Notice, Outcome
from services.notifier.handlers import Chosen, Grave, Inbox
from services.notifier.inhibition import Inhibiting
from services.notifier.matching import Conditions
from services.notifier.receivers import Console, Receiver
from services.notifier.retry import Finished
from services.notifier.routing import Route, Routes
from services.notifier.switchboard import Surroundings, Switchboard
from shared.breach_records import PublishedRecord
from shared.db import BadData
from shared.dlq_limit import USUAL, DlqLimit, DlqMeter
from shared.errors import TooManyDeadLetters, Unavailable
from shared.events import Instant, Span
from shared.kafka.connection import Outgoing
from shared.metrics import Metrics
from tests.factories import DUE, breach, breach_record, delivery

ROUTES = Routes(
    "notify.yaml", {"team": Receiver(console=Console())}, (Route("default", Conditions(), ("team",)),), {"team": 1}
)


@dataclass
class Shelf:
    """A store that gives out each delivery once and keeps what it is told; it is away as often as *away* says."""

    waiting: list[Delivery] = field(default_factory=list)
    away: int = 0
    recorded: list[Finished] = field(default_factory=list)
    released: list[Delivery] = field(default_factory=list)
    remembered: list[Sequence[tuple[PublishedRecord, Sequence[Notice]]]] = field(default_factory=list)
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    asked: list[Mapping[str, int]] = field(default_factory=list)  # for how much of each receiver

    async def remember(
        self,
        found: Sequence[tuple[PublishedRecord, Sequence[Notice]]],
        now: Instant,
        decide: Decide,
        inhibiting: Inhibiting,
    ) -> int:
        self._answer()
        self.remembered.append(found)
        return len(found)

    async def claim(self, free: Mapping[str, int], now: Instant, *, lease: Span) -> list[Delivery]:
        self._answer()
        self.asked.append(free)
        given = [each for each in self.waiting if each.receiver in free]
        self.waiting = [each for each in self.waiting if each.receiver not in free]
        return given

    async def next_due(self, receivers: Sequence[str]) -> Instant | None:
        return None

    async def record(self, finished: Sequence[Finished]) -> list[UUID]:
        self._answer()
        self.recorded += finished
        self.changed.set()
        return []

    async def release(self, deliveries: Sequence[Delivery]) -> None:
        self.released += deliveries

    def _answer(self) -> None:
        if self.away:
            self.away -= 1
            raise Unavailable("the database does not answer")


@dataclass(eq=False)
class Mouth:
    """A channel that says what *outcome* is; an exception is raised."""

    outcome: Outcome | Exception
    name: ChannelName = "console"
    concurrency: int = 10

    async def send(self, delivery: Delivery, now: Instant) -> Outcome:
        if isinstance(self.outcome, Exception):
            raise self.outcome
        return self.outcome


def around(**changes: Any) -> Surroundings:
    usual: dict[str, Any] = {"now": lambda: DUE, "chance": lambda: 0.0, "metrics": Metrics("1", "2026")}
    return Surroundings(**{**usual, **changes})


async def delivering(shelf: Shelf, channels: Mapping[str, Channel], surroundings: Surroundings, number: int) -> None:
    """Let a courier work until *number* attempts are recorded."""
    stop = asyncio.Event()
    courier = Courier(shelf, Switchboard(ROUTES, channels), surroundings, wake=asyncio.Event())
    async with asyncio.timeout(10), asyncio.TaskGroup() as group:
        group.create_task(courier.run(stop))
        while len(shelf.recorded) < number:
            await shelf.changed.wait()
            shelf.changed.clear()
        stop.set()


async def test_who_watches_is_told_of_every_alert_that_arrived_and_of_no_other() -> None:
    told: list[tuple[Delivery, Outcome]] = []
    good, bad = delivery(), delivery(breach("event-2"), receiver="other")
    shelf = Shelf([good, bad])
    channels = {"team": Mouth(Outcome("delivered", "ok")), "other": Mouth(Outcome("refused", "410 Gone", 410))}
    await delivering(shelf, channels, around(on_delivered=lambda *what: told.append(what)), 2)
    assert told == [(good, Outcome("delivered", "ok"))]
    assert {each.delivery.receiver: each.verdict.state for each in shelf.recorded} == {
        "team": "delivered",
        "other": "failed",
    }


async def test_a_bug_in_one_attempt_ends_no_other_and_is_tried_again() -> None:
    shelf = Shelf([delivery(), delivery(breach("event-2"), receiver="other")])
    channels = {"team": Mouth(KeyError("bug")), "other": Mouth(Outcome("delivered", "ok"))}
    await delivering(shelf, channels, around(), 2)
    assert {each.delivery.receiver: each.verdict.state for each in shelf.recorded} == {
        "team": "pending",
        "other": "delivered",
    }


async def test_an_attempt_is_recorded_once_the_database_is_back() -> None:
    shelf = Shelf([delivery()])

    class Leaving(Mouth):
        async def send(self, delivery: Delivery, now: Instant) -> Outcome:
            shelf.away = 2
            return Outcome("delivered", "ok")

    await delivering(shelf, {"team": Leaving(Outcome("delivered", "ok"))}, around(), 1)
    assert [each.verdict.state for each in shelf.recorded] == ["delivered"]


async def test_attempts_are_counted_by_channel_and_outcome() -> None:
    shelf = Shelf([replace(delivery(), attempts=9), delivery(breach("event-2"))])
    surroundings = around()
    await delivering(shelf, {"team": Mouth(Outcome("retry", "503", 503))}, surroundings, 2)
    text = surroundings.metrics.exposition().decode()
    assert 'sla_notifications_total{channel="webhook",outcome="gave_up"} 1.0' in text
    assert 'sla_notifications_total{channel="webhook",outcome="retry"} 1.0' in text
    assert 'sla_notification_attempt_duration_seconds_count{channel="webhook"} 2.0' in text


@dataclass
class Read:
    """A record as the topic gives it."""

    value: bytes | None
    headers: Any
    key: bytes | None = b"default/ticket/42"
    topic: str = "sla.breaches.v1"
    partition: int = 0
    offset: int = 7
    timestamp: int = 0


def inbox(shelf: Shelf, buried: list[Outgoing], wake: asyncio.Event, limit: DlqLimit = USUAL) -> Inbox:
    async def bury(letters: Sequence[Outgoing]) -> None:
        buried.extend(letters)

    return Inbox(shelf, Switchboard(ROUTES, {}), around(), wake=wake, grave=Grave(bury, DlqMeter(limit)))


async def test_breaches_are_remembered_with_their_notices_and_wake_the_courier() -> None:
    shelf, wake, found = Shelf(), asyncio.Event(), breach()
    _, value, headers = breach_record(found)
    await inbox(shelf, [], wake).on_breach([Read(value, headers)])
    assert shelf.remembered == [[(found, [Notice("default", "team", "console", "route default takes everything")])]]
    assert wake.is_set()


async def test_a_record_that_cannot_be_read_is_kept_with_its_place_and_reason() -> None:
    buried: list[Outgoing] = []
    await inbox(Shelf(), buried, asyncio.Event()).on_breach([Read(b"{", breach_record(breach())[2])])
    headers = dict(buried[0].headers)
    assert (headers["plazo_reason"], headers["plazo_stage"], headers["plazo_offset"]) == (
        b"undecodable",
        b"notifier",
        b"7",
    )


async def test_a_batch_that_is_all_bad_stays_unread_and_says_why() -> None:
    buried: list[Outgoing] = []
    shelf = Shelf()
    with pytest.raises(TooManyDeadLetters, match=r"3 records of sla\.breaches\.v1 in a row"):
        await inbox(shelf, buried, asyncio.Event(), DlqLimit(in_a_row=3)).on_breach([Read(b"{", [])] * 3)
    assert (buried, shelf.remembered) == ([], [[]])


async def test_a_batch_that_is_handled_again_counts_once() -> None:
    _, value, headers = breach_record(breach())
    shelf = Shelf(away=5)
    reading = inbox(shelf, [], asyncio.Event(), DlqLimit(in_a_row=3))
    for _ in range(5):
        with pytest.raises(Unavailable):
            await reading.on_breach([Read(value, headers), Read(b"{", [])])
    await reading.on_breach([Read(value, headers), Read(b"{", [])])
    assert len(shelf.remembered) == 1


async def test_a_record_that_the_database_refuses_is_a_dead_letter_and_the_others_are_remembered() -> None:
    class Picky(Shelf):
        async def remember(self, found: Sequence[Chosen], now: Instant, decide: Decide, inhibiting: Inhibiting) -> int:
            if any(record.id == "event-2" for record, _ in found):
                raise BadData("no such date")
            return await super().remember(found, now, decide, inhibiting)

    buried: list[Outgoing] = []
    shelf = Picky()
    records = []
    for number in range(4):
        _, value, headers = breach_record(breach(f"event-{number}"))
        records.append(Read(value, headers, offset=number))
    await inbox(shelf, buried, asyncio.Event()).on_breach(records)
    assert sorted(record.id for some in shelf.remembered for record, _ in some) == ["event-0", "event-1", "event-3"]
    (letter,) = buried
    told = dict(letter.headers)
    assert (told["plazo_reason"], told["plazo_offset"], letter.value) == (b"quarantined", b"2", records[2].value)


async def test_a_database_that_is_away_lets_the_batch_wait() -> None:
    _, value, headers = breach_record(breach())
    with pytest.raises(Unavailable):
        await inbox(Shelf(away=1), [], asyncio.Event()).on_breach([Read(value, headers)])


async def test_an_endpoint_that_fails_again_and_again_is_left_alone_and_then_tried_with_one() -> None:
    now = [DUE]
    shelf = Shelf([delivery(breach(f"event-{number}")) for number in range(FAILURES)])
    mouth = Mouth(Outcome("retry", "503", 503), concurrency=FAILURES)
    board = Switchboard(ROUTES, {"team": mouth})
    courier = Courier(shelf, board, around(now=lambda: now[0]), wake=asyncio.Event())
    async with asyncio.timeout(10), asyncio.TaskGroup() as group:
        await courier.round(group)
    asked: list[Mapping[str, int]] = []
    shelf.asked = asked
    async with asyncio.timeout(10), asyncio.TaskGroup() as group:
        await courier.round(group)  # rests
        now[0] += FIRST_REST
        shelf.waiting = [delivery(breach("event-9"))]
        await courier.round(group)  # one trial
        mouth.outcome = Outcome("delivered", "204", 204)
    async with asyncio.timeout(10), asyncio.TaskGroup() as group:
        await courier.round(group)  # all of it
    assert asked == [{}, {"team": 1}, {"team": FAILURES}]


async def test_a_receiver_that_says_it_is_no_more_is_told_of_and_one_that_is_disabled_is_not_asked() -> None:
    told: list[tuple[str, str]] = []
    shelf, gone = Shelf([delivery()]), Mouth(Outcome("refused", "410 Gone", 410, gone=True))
    board = Switchboard(ROUTES, {"team": gone})
    courier = Courier(shelf, board, around(on_gone=lambda *what: told.append(what)), wake=asyncio.Event())
    async with asyncio.timeout(10), asyncio.TaskGroup() as group:
        await courier.round(group)
    board.disabled = {"team": "410 Gone"}
    shelf.waiting, shelf.asked = [delivery(breach("event-2"))], []
    async with asyncio.timeout(10), asyncio.TaskGroup() as group:
        await courier.round(group)
    assert (told, shelf.asked) == ([("team", "410 Gone")], [{}])


async def test_a_reload_lets_every_endpoint_begin_anew() -> None:
    shelf = Shelf([delivery(breach(f"event-{number}")) for number in range(FAILURES)])
    board = Switchboard(ROUTES, {"team": Mouth(Outcome("retry", "503", 503), concurrency=FAILURES)})
    courier = Courier(shelf, board, around(), wake=asyncio.Event())
    async with asyncio.timeout(10), asyncio.TaskGroup() as group:
        await courier.round(group)
    board.channels = {"team": Mouth(Outcome("delivered", "204", 204), concurrency=3)}
    async with asyncio.timeout(10), asyncio.TaskGroup() as group:
        await courier.round(group)
    assert shelf.asked[-1] == {"team": 3}
