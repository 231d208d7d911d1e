"""A timer at its desk: two partitions, a database in memory, and a lane that commits when a test says so."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from services.timer.evidence import Evidence
from services.timer.handlers import Timer
from services.timer.held import Held
from services.timer.histories import held_of
from services.timer.holdings import Deadline, Holding, Holdings
from services.timer.rulebook import Rulebook
from services.timer.write_set import WriteSet, unpack_headers
from shared.dlq_limit import USUAL, DlqLimit
from shared.events import BreachEvent, Event, Topics
from shared.kafka.connection import Record
from shared.metrics import Metrics
from shared.recounts import encode_event
from tests.fakes import FakeRecord
from tests.fakes_timer import FakeStore, Tables, Time
from tests.histories import at, event, rulebook

RULES = rulebook(
    """
- name: plain
  applies_to: {}
  calendar: always
  targets: {first_response: {within: 2h, warn_at: [50%]}, resolution: 8h}
  pause_when: {status: pending}
"""
)
ITEM = "default/ticket/1"


class FakeLane:
    """A lane that writes what is put in when it is told to, or at once."""

    def __init__(self, store: FakeStore, holdings: Holdings, *, stands_still: bool) -> None:
        self._store = store
        self._holdings = holdings
        self.stands_still = stands_still
        self.waiting: list[tuple[WriteSet, list[Held]]] = []

    async def put(self, write_set: WriteSet, held: list[Held]) -> None:
        """Queue a write set."""
        self.waiting.append((write_set, held))
        if not self.stands_still:
            await self.commit()

    async def drained(self) -> None:
        """Commit now, since somebody waits for it."""
        await self.commit()

    async def commit(self) -> None:
        """Write what is waiting."""
        for write_set, held in self.waiting:
            await self._store.write(write_set)
            for item in held:
                item.unpin()
            self._holdings.gone(write_set.removed)
        self.waiting.clear()


class Desk:
    """A timer with its database; what it hands to the lane is committed when the test says so."""

    def __init__(
        self, rules: Rulebook = RULES, *, keep_items: int = 1_000, complete: bool = True, limit: DlqLimit = USUAL
    ) -> None:
        self.time = Time(at("+1 00:00"))
        self.tables = Tables(self.time, 2)
        self.store = FakeStore(self.tables)
        self.holdings = Holdings()
        for deadlines in self.holdings.deadlines.values():
            deadlines.horizon = at("+30 00:00")
        for number in (0, 1):
            self.take(number, complete=complete)
        self.lane = FakeLane(self.store, self.holdings, stands_still=True)
        self.rules = rules
        self.registered: Rulebook | None = None  # what a look at the database would find
        self.broken: set[str] = set()  # ids of events that cannot be folded
        self.timer = Timer(
            holdings=self.holdings,
            items=self.store,
            look=self.look,
            lane=self.lane,
            rulebook=lambda: self.rules,
            topics=Topics(),
            now=self.time,
            metrics=Metrics("test", "test"),
            keep_items=keep_items,
            awake=2,
            limit=limit,
        )
        self.offset = 0
        self.arrived_ms = 1_767_600_000_500

    async def look(self) -> None:
        """Learn of the versions that were registered meanwhile."""
        self.rules = self.registered or self.rules

    def take(self, number: int, *, complete: bool = True) -> Holding:
        """Hold a partition as its lease says."""
        lease = self.tables.leases[number]
        lease.epoch += 1
        holding = Holding(number, lease.epoch, revision=lease.revision, next_offset=lease.next_offset)
        holding.complete = complete
        self.holdings.partitions[number] = holding
        return holding

    @property
    def holding(self) -> Holding:
        """The partition that the tests work on."""
        return self.holdings.partitions[0]

    async def fold(self, *events: Event) -> None:
        """Fold a batch, and leave the write set open."""
        await self.timer.on_batch(self.holding, self.records(events))

    async def write(self, *events: Event) -> None:
        """Fold a batch and commit it."""
        await self.fold(*events)
        await self.timer.close()
        await self.commit()

    async def commit(self) -> None:
        """Write what is in the lane."""
        await self.lane.commit()

    async def fire(self, *entries: Deadline, late_possible: bool = False) -> None:
        """Fire deadlines on the evidence of now; those that are due by themselves where none are named."""
        taken = [each for kind in self.holdings.deadlines.values() for each in kind.take(self.time(), 1_000)]
        await self.timer.fire_due(list(entries) or taken, Evidence(self.time(), late_possible))
        await self.commit()

    def records(self, events: Iterable[Event]) -> list[Record]:
        """The events as they come from Kafka."""
        found: list[Record] = []
        for each in events:
            key, value, headers = encode_event(each)
            found.append(FakeRecord(value, headers, "sla.events.v1", 0, self.offset, self.arrived_ms, key))
            self.offset += 1
        return found

    def stored(self, key: str = ITEM) -> Held:
        """An item as it is in the database."""
        return held_of(self.tables.items[0, key])

    def history(self) -> list[str]:
        """The ids of the events that are kept, sorted."""
        rows = [msgspec.msgpack.decode(row.events, type=list[Event]) for row in self.tables.history]
        return sorted(each.id for events in rows for each in events)

    def published(self) -> list[str]:
        """`type metric` of what is in the outbox, and the reason of dead letters, in order."""
        return [
            _told(row.topic, dict(unpack_headers(row.headers)), row.value)
            for _, row in sorted(self.tables.outbox.items())
        ]

    def breaches(self) -> list[BreachEvent]:
        """The breach events in the outbox, in order."""
        rows = [row for _, row in sorted(self.tables.outbox.items()) if row.topic == "sla.breaches.v1"]
        return [msgspec.json.decode(row.value or b"", type=BreachEvent) for row in rows]


def _told(topic: str, headers: dict[str, bytes], value: bytes | None) -> str:
    if topic == "sla.deadletters.v1":
        return f"dead letter {headers['plazo_reason'].decode()}"
    name = headers["ce_type"].decode().split(".", 1)[1].removesuffix(".v1")
    return f"{name} {msgspec.json.decode(value or b'')['metric']}"


def created(number: int = 1, time: str = "09:00") -> Event:
    """The creation of a ticket."""
    return event(f"{time} created", number=number)
