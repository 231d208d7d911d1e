"""What decides about alerts, as a `notify.yaml` has it. PURE."""

from __future__ import annotations

from functools import partial

from services.notifier.alerts.deciding import Decider, Hold, nobody
from services.notifier.people.audience import resolve
from services.notifier.routing import Routes, escalation_of


def decider_of(routes: Routes, hold: Hold) -> Decider:
    """What decides by *routes*, and by what *hold* knows."""
    return Decider(
        hold=hold,
        escalations=routes.escalations,
        choose=partial(escalation_of, routes),
        channels={name: receiver.channel for name, receiver in routes.receivers.items()},
        responsible=nobody if routes.directory is None else partial(resolve, routes.directory),
    )
