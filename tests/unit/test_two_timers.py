"""Two timers, several items, and everything that can happen to them: at the end the topic says what is true.

A state machine lets events happen, be delayed, repeated and disordered, lets processes be killed, partitions be taken
over from an owner who does not know it yet, transactions lose their answers, policies change, and deadlines fire with
and without all the evidence. Then everything is delivered, and what stands on the topic is compared with what the
events say by themselves.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Coroutine
from typing import Any, Final

import msgspec
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from services.cli.backtest import shown
from services.timer import backtest
from services.timer.policy_file import load
from services.timer.policy_set import PolicySet
from services.timer.rulebook import Rulebook
from shared.events import SECOND, BreachEvent, Event, Kind, Recount, rfc3339
from tests.histories import at, policy_file
from tests.oracle.rows import rows as second_opinion
from tests.timer_world import PARTITIONS, Process, World, distinct_records

START: Final = at("09:00")
LEAD: Final = 3 * SECOND  # a new version of the policies takes effect that much later
END: Final = at("+60 00:00")
TEXTS: Final = (
    policy_file("""
- name: plain
  applies_to: {}
  calendar: always
  targets:
    first_response: {within: 1h, warn_at: 50%}
    next_response: 30m
    resolution: {within: 4h, by: {priority: {urgent: 2h}}}
    assignment: 15m
    answer: 30m
    handling: 1h
  pause_when: {status: pending}
- name: team
  applies_to: {group: g1}
  calendar: always
  combine: all
  targets: {resolution: 1h}
"""),
    policy_file("""
- name: plain
  applies_to: {}
  calendar: office
  targets: {first_response: 30m, resolution: {within: 3h, warn_at: [50%, 15m_left]}, answer: 15m, assignment: 1h}
- name: gold
  applies_to: {customer: acme}
  calendar: always
  targets: {first_response: 15m, resolution: 1h}
  on_change: restart
  on_reopen: restart
"""),
)
# Nobody could work for an hour and a half: time in which promises about tickets stand still, whenever it is told.
MAINTENANCE: Final = """
exclusions:
- name: maintenance
  from: "2026-01-05T09:30:00Z"
  until: "2026-01-05T11:00:00Z"
  reason: a test
  applies_to: {kind: ticket}
"""
VERSIONS: Final = tuple(load({"policies.yaml": text}) for text in (*TEXTS, TEXTS[0] + MAINTENANCE))
NAMES: Final = {
    "ticket": ("updated", "agent_replied", "customer_replied", "resolved", "reopened", "merged"),
    "call": ("queued", "answered", "abandoned", "ended"),
}
ITEMS: Final[tuple[tuple[Kind, str], ...]] = (("ticket", "1"), ("ticket", "2"), ("call", "3"))
PATCHES: Final[tuple[dict[str, Any], ...]] = (
    *({}, {}, {"status": "pending"}, {"status": "open"}, {"priority": "urgent"}, {"group": "g1"}, {"group": None}),
    *({"customer": "acme"}, {"assignee": "ann"}, {"assignee": None}),
)
PROCESSES: Final = st.sampled_from(("a", "b"))
MINUTES: Final = st.sampled_from((0, 0, 1, 5, 10, 15, 30, 60, 90, 600))


class TwoTimers(RuleBasedStateMachine):
    """What can happen to two processes that share two partitions."""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.world = World(Rulebook(((0, VERSIONS[0]),)), START)
        self.processes: dict[str, Process] = {}
        self.text = TEXTS[0]
        self.steady = True  # whether the policies stay as they are, which is all that the second opinion knows
        self.guessed = False  # whether something fired although evidence was missing, or was excluded afterwards

    def do(self, coroutine: Coroutine[Any, Any, None]) -> None:
        """Run a step in the machine's own loop, in which the processes live."""
        self.runner.run(coroutine)

    @initialize(text=st.sampled_from(TEXTS), steady=st.booleans())
    def begin(self, text: str, steady: bool) -> None:
        """Start both, each with a partition, and create the items."""
        self.text, self.steady = text, steady
        self.world.rulebook = Rulebook(((0, VERSIONS[TEXTS.index(text)]),))

        async def start() -> None:
            for partition, name in enumerate("ab"):
                self.processes[name] = Process(name, self.world)
                await self.processes[name].take(partition)

        self.do(start())
        for kind, subject in ITEMS:
            self.happen(kind, subject, "queued" if kind == "call" else "created", {})

    def happen(self, kind: Kind, subject: str, name: str, patch: dict[str, Any]) -> None:
        """Let something happen to an item now."""
        self.world.happen(self.event(kind, subject, name, attributes=patch))

    def event(self, kind: Kind, subject: str, name: str, **fields: Any) -> Event:
        """An event of now, with an id of its own."""
        number = f"{len(self.world.events):03}"
        return Event(self.world.time(), number, "/desk", f"{kind}.{name}", "default", kind, subject, **fields)

    # --- what happens outside ---

    @rule(item=st.sampled_from(ITEMS), patch=st.sampled_from(PATCHES), pick=st.integers(0, 5), minutes=MINUTES)
    def something_happens(self, item: tuple[Kind, str], patch: dict[str, Any], pick: int, minutes: int) -> None:
        """After a while something happens to an item."""
        self.world.time.at += minutes * 60 * SECOND
        names = NAMES[item[0]]
        self.happen(*item, names[pick % len(names)], patch)

    @rule(name=PROCESSES, item=st.sampled_from(ITEMS), pick=st.integers(0, 5), minutes=MINUTES)
    def what_happened_is_known_too_late(self, name: str, item: tuple[Kind, str], pick: int, minutes: int) -> None:
        """Something happens and stays upstream while its deadlines are waited for in vain."""
        self.a_process_fires_on_all_evidence(name)
        self.something_happens(item, {}, pick, 5)
        self.world.time.at += minutes * 60 * SECOND
        self.a_process_fires(name)
        self.everything_arrives()

    @rule(place=st.integers(0, 50))
    @precondition(lambda self: self.world.upstream)
    def an_event_arrives(self, place: int) -> None:
        """One of the events that happened reaches the log, out of order perhaps."""
        self.world.deliver(place % len(self.world.upstream))

    @rule()
    def everything_arrives(self) -> None:
        """All that happened reaches the log."""
        while self.world.upstream:
            self.world.deliver(0)

    @rule(place=st.integers(0, 50))
    @precondition(lambda self: any(self.world.log))
    def an_event_is_repeated(self, place: int) -> None:
        """An event that happened is sent again, or earlier than its first copy."""
        self.world.append(self.world.events[place % len(self.world.events)])

    @rule(version=st.sampled_from(VERSIONS))
    @precondition(lambda self: not self.steady)
    def policies_change(self, version: PolicySet) -> None:
        """Another version is to take effect shortly, before the next event; its exclusions hold at once."""
        before = self.world.rulebook
        self.world.rulebook = before.adding(self.world.time() + LEAD, version)
        self.world.time.at += 2 * LEAD
        self.guessed = self.guessed or self.world.rulebook.exclusions_revision != before.exclusions_revision

    @rule(item=st.sampled_from(ITEMS))
    @precondition(lambda self: not self.steady)
    def clocks_are_moved(self, item: tuple[Kind, str]) -> None:
        """Somebody moves an item's open clocks to the version that is in force.

        Only what is stored is moved: so the log holds something of the item by then, though not all that happened.
        """
        version = self.world.rulebook.at(self.world.time()).version
        moved = self.event(*item, "recounted", recount=Recount(version))
        if any(key == moved.item for _, key in self.world.tables.items):
            self.world.happen(moved)

    # --- what the processes do ---

    @rule(name=PROCESSES, most=st.sampled_from((1, 2, 100)))
    def a_process_folds(self, name: str, most: int) -> None:
        """A process reads and folds some records."""
        self.do(self.processes[name].fold(most))

    @rule(name=PROCESSES)
    def a_process_fires(self, name: str) -> None:
        """A process publishes what is due; where it cannot know everything, it has waited for long."""
        process = self.processes[name]
        self.guessed = self.guessed or not process.has_read_everything
        self.do(process.fire())

    @rule(name=PROCESSES)
    def a_process_fires_on_all_evidence(self, name: str) -> None:
        """A process reads everything there is, and then publishes what is due."""
        self.everything_arrives()
        self.do(self.processes[name].fold(1_000))
        self.do(self.processes[name].fire())

    # --- what befalls them ---

    @rule(name=PROCESSES, trouble=st.sampled_from(("lost", "unanswered")))
    def the_next_transaction_goes_wrong(self, name: str, trouble: str) -> None:
        """The connection breaks before the next transaction, or before its answer."""
        self.processes[name].store.troubles.append(trouble)

    @rule(name=PROCESSES, partition=st.integers(0, PARTITIONS - 1))
    def a_partition_is_taken(self, name: str, partition: int) -> None:
        """A process takes a partition whose owner seems dead, and is not told so."""
        self.do(self.processes[name].take(partition))

    @rule(name=PROCESSES, folding=st.booleans())
    def a_process_is_killed(self, name: str, folding: bool) -> None:
        """A process ends, perhaps with work that is not committed, and starts again with its own partitions."""

        async def restart() -> None:
            old = self.processes[name]
            if folding:
                for partition, holding in old.holdings.partitions.items():
                    if records := self.world.log[partition][holding.next_offset or 0 :]:
                        await old.timer.on_batch(holding, records)
            await old.end()
            self.processes[name] = Process(name, self.world)
            for partition, lease in self.world.tables.leases.items():
                if lease.owner == name:
                    await self.processes[name].take(partition)

        self.do(restart())

    # --- what must hold ---

    @invariant()
    def numbers_have_no_gap(self) -> None:
        """At any time, what is on the topic of an item is numbered from 1, in order but for repeats."""
        seen: dict[str, int] = defaultdict(int)
        for record in distinct_records(self.world.topic).values():
            event = msgspec.json.decode(record.value or b"", type=BreachEvent)
            assert event.sequence == seen[event.item] + 1
            seen[event.item] = event.sequence

    def teardown(self) -> None:
        """Deliver everything, let all time pass, and compare."""
        try:
            if self.processes:
                self.do(self.finish())
                self.compare()
        finally:
            self.do(self.end())
            self.runner.close()

    async def finish(self) -> None:
        """Let one process take everything, read everything, count everything again and fire everything."""
        while self.world.upstream:
            self.world.deliver(0)
        for item in ITEMS:
            self.world.append(self.event(*item, "recounted", recount=Recount()))
        last = self.processes["a"]
        for partition in range(PARTITIONS):
            await last.take(partition)
        await last.fold(10_000)
        self.world.time.at = END
        while any(row.next_due is not None for row in self.world.tables.items.values()):
            await last.fire()
        await last.publish()

    async def end(self) -> None:
        """End both."""
        for process in self.processes.values():
            await process.end()

    def compare(self) -> None:
        """What stands on the topic is what the events say; on complete evidence nothing was ever taken back."""
        records = distinct_records(self.world.topic).values()
        told = [
            (dict(r.headers)["ce_type"].decode(), msgspec.json.decode(r.value or b"", type=BreachEvent))
            for r in records
        ]
        standing = {}
        for event_type, event in told:
            if event_type == "sla.clock.breached.v1":
                standing[event.breach_id] = event
            elif event_type == "sla.breach.retracted.v1":
                assert event.breach_id in standing, "what is taken back was told before"
                del standing[event.breach_id]
                assert self.guessed, "a breach was taken back although it was published on complete evidence"
        rows = [shown(row) for row in backtest.run(self.world.events, self.world.rulebook, END)]
        assert sorted(map(_told, standing.values())) == sorted(_row(row) for row in rows if row["breached_at"])
        if self.steady:
            assert rows == second_opinion(self.text, map(_plain, self.world.events), rfc3339(END))


def _told(event: BreachEvent) -> tuple[str | float | None, ...]:
    return (event.item, event.metric, event.policy, event.due_at, event.breached_at, event.target_s)


def _row(row: dict[str, Any]) -> tuple[str | float | None, ...]:
    return tuple(row[name] for name in ("item", "metric", "policy", "due_at", "breached_at", "target_s"))


def _plain(event: Event) -> dict[str, Any]:
    return {
        "id": event.id,
        "source": event.source,
        "type": event.type,
        "subject": event.subject,
        "time": rfc3339(event.time),
        "data": {"attributes": event.attributes},
    }


TestTwoTimers = TwoTimers.TestCase
TestTwoTimers.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)


@pytest.mark.parametrize("stored", [False, True])
def test_clocks_are_moved_if_anything_of_their_item_is_stored_though_not_its_creation(stored: bool) -> None:
    """Nobody moves what is not stored: as the first that is read of its item, a move would be a dead letter."""
    ticket, last = ITEMS[0], -1
    machine = TwoTimers()
    machine.begin(TEXTS[1], steady=False)
    if stored:
        machine.something_happens(ticket, {}, pick=0, minutes=5)
        machine.an_event_arrives(last)
        machine.a_process_folds("a", 100)
    machine.policies_change(VERSIONS[0])
    machine.clocks_are_moved(ticket)
    machine.an_event_arrives(last)
    machine.a_process_folds("a", 100)
    machine.teardown()
    assert any(event.recount for event in machine.world.events) == stored
