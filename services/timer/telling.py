"""What of an item is published, when a deadline of it comes up or late evidence contradicts what was told."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from services.timer import ledger
from services.timer.draft import Draft
from services.timer.held import Held
from services.timer.holdings import Holding, Holdings
from services.timer.ledger import Firing, Output
from services.timer.rulebook import Rulebook
from services.timer.tally import count
from shared.events import Instant
from shared.metrics import Metrics


class Teller:
    """Puts into a write set what is to be published, and notes when the next of it is due."""

    def __init__(
        self, holdings: Holdings, metrics: Metrics, *, rulebook: Callable[[], Rulebook], now: Callable[[], Instant]
    ) -> None:
        self._holdings = holdings
        self._metrics = metrics
        self._rulebook = rulebook
        self._now = now

    def fire(self, draft: Draft, holding: Holding, key: str, firing: Firing) -> None:
        """Publish the facts of an item up to the evidence, unless nothing of it is due by now."""
        held = holding.items.get(key)
        if held is None or held.next_due is None or held.next_due >= firing.evidence_through:
            self._metrics.fired.labels(outcome="stale").inc()
            return
        if held.quarantined or _may_have_ended_unread(holding, held):
            # An event of it could not be folded, or read, and may be what the deadline waited for.
            firing = replace(firing, late_evidence_possible=True)
        draft.touch(holding, held)
        held.next_due = None  # its entry is used up; what is due next gets one when the write set closes
        held.ledger, outputs = ledger.outputs(key, held.state, held.ledger, firing)
        draft.size += 1
        for output in outputs:
            self._publish(draft, holding, held, output, detected_at=firing.detected_at)
        self._metrics.fired.labels(outcome="fired").inc()

    def settle(self, draft: Draft, holding: Holding, held: Held) -> None:
        """Publish the corrections that are owed at once, and note when the item is due next."""
        if ledger.contradicted(held.state, held.ledger):
            through, data = held.ledger.evidence_through, self._rulebook().calendar_data
            firing = Firing(through, self._now(), late_evidence_possible=False, calendar_data=data)
            held.ledger, outputs = ledger.outputs(held.key, held.state, held.ledger, firing)
            for output in outputs:
                self._publish(draft, holding, held, output, detected_at=firing.detected_at)
        holding.recount(held)
        due = ledger.next_due(held.state, held.ledger)
        if due != held.next_due:
            held.next_due = due
            if due is not None:
                self._holdings.add_deadline(due, holding.partition, held.key)

    def _publish(self, draft: Draft, holding: Holding, held: Held, output: Output, *, detected_at: Instant) -> None:
        draft.publish(holding, held, output)
        count(self._metrics, output, detected_at)


def _may_have_ended_unread(holding: Holding, held: Held) -> bool:
    lost = holding.loss_at
    return lost is not None and any(c.stopped_at is None and c.started_at < lost for c in held.state.clocks)
