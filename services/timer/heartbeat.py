"""The policy of the heartbeat: of the items that Plazo makes up to prove that alerts arrive. PURE.

They are of a tenant of their own, and their clocks are counted by this policy alone, which every timer knows. So the
policies of the users, their versions and what is excluded mean nothing to them, and they mean nothing to those.
"""

from __future__ import annotations

from functools import cache
from typing import Final

from services.timer.policy_file import load
from services.timer.rulebook import Rulebook
from shared.events import HEARTBEAT_TENANT

VERSION: Final = "heartbeat"
TEXT: Final = """
calendars:
  always: {time_zone: UTC, hours: {mon-sun: "00:00-24:00"}}
policies:
  - name: heartbeat
    applies_to: {}
    calendar: always
    severity: low
    targets: {pickup: 1s}
"""
_ITEMS: Final = f"{HEARTBEAT_TENANT}/"


def is_heartbeat(key: str) -> bool:
    """Whether an item (`tenant/kind/id`) is one of those."""
    return key.startswith(_ITEMS)


def rulebook_of(key: str, usual: Rulebook) -> Rulebook:
    """The rulebook by which an item is folded: *usual*, unless it is a heartbeat's."""
    return _rulebook() if key.startswith(_ITEMS) else usual


@cache
def _rulebook() -> Rulebook:
    return Rulebook(((0, load({"heartbeat.yaml": TEXT}).named(VERSION)),))
