"""One item in memory: as objects while it is in use, as the bytes of its row while it is not."""

from __future__ import annotations

from typing import Final, get_args
from zlib import crc32

import msgspec

from services.timer import ledger as told
from services.timer.item import EMPTY, ItemState
from services.timer.ledger import Ledger, told_clocks
from services.timer.view import STATE_BITS
from shared.events import Event, Instant, Severity

_OPEN: Final = {(state, severity): f"{state}/{severity}" for state in STATE_BITS for severity in get_args(Severity)}
_PACK: Final = msgspec.msgpack.Encoder()
_STATE: Final = msgspec.msgpack.Decoder(ItemState)
_LEDGER: Final = msgspec.msgpack.Decoder(Ledger)
_UNTOLD: Final = _PACK.encode(told.EMPTY)


class Held:
    """One item in memory.

    It takes 5.8 kB with its state as objects, and 1.2 kB with it packed; to unpack it takes 4 µs. So it is packed when
    its write set is frozen, which has to be done anyway, and only the bytes stay once `rest` is called; whoever asks
    for the state unpacks it.
    """

    __slots__ = (
        "_ledger",
        "_packed_ledger",
        "_packed_state",
        "_state",
        "clock_states",
        "key",
        "next_due",
        "open_clocks",
        "quarantined",
        "recent",
        "retired",
        "seen",
    )

    def __init__(self, key: str, packed_state: bytes | None = None, packed_ledger: bytes | None = _UNTOLD) -> None:
        self.key = key
        self._state: ItemState | None = EMPTY if packed_state is None else None
        self._ledger: Ledger | None = None
        self._packed_state = packed_state
        self._packed_ledger = packed_ledger
        self.next_due: Instant | None = None
        # "state/severity" of each, as the partition counts them; None until a write set is to change it.
        self.open_clocks: tuple[str, ...] | None = () if packed_state is None else None
        self.clock_states = 0  # a bit for each state that some clock is in, as the world was told
        self.quarantined = False
        self.seen = b""  # a fingerprint of each event folded: one that is not in it is surely no repeat
        self.retired: tuple[str, ...] = ()  # ids of the clocks that late evidence removed
        # The events in each write set whose outcome is not known, the oldest first: the database may not show them yet.
        self.recent: tuple[list[Event], ...] = ()

    @property
    def state(self) -> ItemState:
        """What the fold made of its events."""
        state = self._state
        if state is None:
            state = self._state = _STATE.decode(self.packed[0])
        return state

    @state.setter
    def state(self, state: ItemState) -> None:
        self._state, self._packed_state = state, None

    @property
    def ledger(self) -> Ledger:
        """What was published of it."""
        if self._packed_ledger is _UNTOLD:
            return told.EMPTY
        ledger = self._ledger
        if ledger is None:
            ledger = self._ledger = _LEDGER.decode(self.packed[1])
        return ledger

    @ledger.setter
    def ledger(self, ledger: Ledger) -> None:
        if ledger is not self.ledger:
            self._ledger, self._packed_ledger = ledger, None

    @property
    def packed(self) -> tuple[bytes, bytes]:
        """State and ledger as they are stored; what did not change since it was stored is not packed again."""
        if self._packed_state is None:
            self._packed_state = _PACK.encode(self._state)
        if self._packed_ledger is None:
            self._packed_ledger = _PACK.encode(self._ledger)
        return self._packed_state, self._packed_ledger

    def rest(self) -> None:
        """Keep the bytes only, until the item is asked for again."""
        self.packed  # noqa: B018 # packs what has changed
        self._state = self._ledger = None

    def count_clocks(self) -> tuple[str, ...]:
        """The "state/severity" of each clock that has not ended, as the world was told; notes all their states too."""
        found, states = [], 0
        for clock in told_clocks(self.state, self.ledger):
            state = clock.state
            states |= STATE_BITS[state]
            if clock.stopped_at is None:
                found.append(_OPEN[state, clock.severity])
        self.clock_states = states
        return tuple(found)

    def pin(self) -> None:
        """Note that one more write set is about to change it."""
        if self.open_clocks is None:
            self.open_clocks = self.count_clocks()
        self.recent += ([],)

    def unpin(self) -> None:
        """Note that the outcome of the oldest write set that holds it is known."""
        self.recent = self.recent[1:]

    @property
    def pins(self) -> int:
        """How many write sets hold it whose outcome is not known: it must not be read back from the database."""
        return len(self.recent)


def fingerprint(event: Event) -> bytes:
    """Four bytes of an event's identity; a repeat has the same, another event rarely."""
    return crc32(event.id.encode(), crc32(event.source.encode())).to_bytes(4, "big")
