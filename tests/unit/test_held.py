"""One item in memory, in use and at rest."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec
import pytest
from hypothesis import given

from services.timer import fold, ledger
from services.timer.announcement import Firing
from services.timer.held import Held, fingerprint
from services.timer.histories import held_of
from services.timer.holdings import Holding
from services.timer.write_set import ItemRow
from shared.events import SECOND, Event
from tests.factories import ticket_event
from tests.strategies_events import RULEBOOKS, histories


def folded(events: Iterable[Event]) -> Held:
    held = Held("default/ticket/1")
    held.state = fold.refold(events, RULEBOOKS[0])
    through = max((event.time for event in events), default=0) + 90 * 86_400 * SECOND
    held.ledger, _ = ledger.outputs(held.key, held.state, held.ledger, Firing(through, through, False, {}))
    return held


@given(histories(max_size=6))
def test_an_item_that_rested_is_as_it_was(events: list[Event]) -> None:
    held, awake = folded(events), folded(events)
    held.rest()
    assert (held.state, held.ledger, held.count_clocks()) == (awake.state, awake.ledger, awake.count_clocks())
    assert held.packed == awake.packed == (msgspec.msgpack.encode(awake.state), msgspec.msgpack.encode(awake.ledger))


@given(histories(max_size=6))
def test_what_changes_after_a_rest_is_packed_anew(events: list[Event]) -> None:
    held = folded(events)
    held.rest()
    held.state, held.ledger = fold.EMPTY, ledger.EMPTY
    held.rest()
    assert (held.state, held.ledger) == (fold.EMPTY, ledger.EMPTY)
    assert held.packed == (msgspec.msgpack.encode(fold.EMPTY), msgspec.msgpack.encode(ledger.EMPTY))


def test_what_did_not_change_is_packed_once() -> None:
    held = folded([ticket_event()])
    before = held.packed
    held.ledger = held.ledger
    held.rest()
    assert all(again is first for again, first in zip(held.packed, before, strict=True))


def test_an_item_that_was_stored_knows_which_of_its_clocks_were_counted_before_it_changes() -> None:
    events = [ticket_event()]
    state, told = folded(events).packed
    row = ItemRow(0, "default/ticket/1", state, told, None, 1, False, b"", 1, "")
    held = held_of(row)
    held.pin()
    held.state = fold.EMPTY
    counted = folded(events).count_clocks()
    assert (held.open_clocks, held.count_clocks()) == (counted, ())
    assert counted


@pytest.mark.parametrize("most", [0, 1, 2, 5])
def test_all_but_the_items_that_were_used_last_rest(most: int) -> None:
    holding = Holding(0, 1, revision=0, next_offset=0)
    for number in (1, 2, 3, 1):
        held = holding.items.get(f"default/ticket/{number}") or Held(f"default/ticket/{number}")
        held.state = fold.refold([ticket_event(subject=str(number))], RULEBOOKS[0])
        holding.use(held)
    holding.rest(most)
    awake = [key for key, held in holding.items.items() if held._state is not None]
    assert set(awake) == {"default/ticket/2", "default/ticket/3", "default/ticket/1"} - set(
        ["default/ticket/2", "default/ticket/3", "default/ticket/1"][: max(0, 3 - most)]
    )


def test_those_that_rest_longest_are_let_go_first_and_none_in_a_write_set() -> None:
    holding = Holding(0, 1, revision=0, next_offset=0)
    for number in range(5):
        holding.use(Held(str(number)))
    holding.use(holding.items["0"])
    holding.rest(1)
    holding.items["1"].pin()
    holding.evict(2)
    assert holding.items.keys() == {"1", "0"}
    assert not holding.complete


def test_another_event_rarely_has_the_same_fingerprint() -> None:
    events = [ticket_event(id=str(number), source=source) for number in range(50) for source in ("/a", "/b")]
    assert len({fingerprint(event) for event in events}) == len(events)
