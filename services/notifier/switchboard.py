"""What is in use: the routes, the open channels, and what surrounds those who use them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from services.notifier.alerts.deciding import Decider
from services.notifier.delivery import Channel, Delivery, Outcome
from services.notifier.inhibition import Inhibiting, Nothing
from services.notifier.routing import Routes
from shared.events import SECOND, Instant, Span
from shared.metrics import Metrics

OnDelivered = Callable[[Delivery, Outcome], None]
OnGone = Callable[[str, str], None]  # (receiver, what it said); from then on the switchboard has it as disabled


@dataclass(slots=True)
class Switchboard:
    """The routes and the open channels in use; a reload puts others in their place, both at once."""

    routes: Routes
    channels: Mapping[str, Channel]
    decider: Decider = field(default_factory=Decider)
    inhibiting: Inhibiting = field(default_factory=Nothing)
    fingerprints: Mapping[str, str] = field(default_factory=dict)  # receiver -> what changes with where it leads to
    disabled: Mapping[str, str] = field(default_factory=dict)  # receiver -> why nothing is sent there


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What decides nothing itself: time, chance, and who watches."""

    now: Callable[[], Instant]
    chance: Callable[[], float]  # in [0, 1)
    metrics: Metrics
    lease: Span = 90 * SECOND
    on_delivered: OnDelivered = field(default=lambda _delivery, _outcome: None)
    on_gone: OnGone = field(default=lambda _receiver, _reason: None)


class Wakes(Protocol):
    """Whatever is to look when something was remembered; an event is one."""

    def set(self) -> None:
        """Say that something was."""
