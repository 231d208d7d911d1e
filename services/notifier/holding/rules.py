"""All that can keep a notice from being sent at once. PURE."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from services.notifier.grouping import Grouping
from services.notifier.holding.silences import Silence
from services.notifier.inhibition import Rule, Sources
from services.notifier.pace import Pace
from services.notifier.quiet_hours import QuietHours
from services.notifier.routing import Routes


@dataclass(frozen=True, slots=True)
class Rules:
    """What the file says and what people have silenced; without any of it, nothing waits."""

    quiet: Mapping[str, QuietHours] = field(default_factory=dict)  # by receiver
    paces: Mapping[str, Pace] = field(default_factory=dict)  # by receiver
    groupings: Mapping[str, Grouping] = field(default_factory=dict)  # by route
    inhibit: tuple[Rule, ...] = ()
    silences: tuple[Silence, ...] = ()  # in force or to come
    sources: Sources = field(default_factory=dict)  # what inhibits just now


def rules_of(routes: Routes) -> Rules:
    """What the file says; nothing is silenced."""
    receivers = routes.receivers.items()
    return Rules(
        quiet={name: each.quiet_hours for name, each in receivers if each.quiet_hours is not None},
        paces={name: each.rate_limit for name, each in receivers if each.rate_limit is not None},
        groupings=routes.groupings,
        inhibit=routes.inhibit,
    )
