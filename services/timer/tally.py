"""Counting what is published, for those who scrape it."""

from __future__ import annotations

from services.timer.ledger import Output
from shared.events import SECOND, Instant
from shared.metrics import Metrics


def count(metrics: Metrics, output: Output, detected_at: Instant) -> None:
    """Count a breach, a warning or a retraction, and of a breach how long after its instant it was seen."""
    event = output.event
    labels = {
        "policy": metrics.policy_label(event.policy),
        "metric": metrics.metric_label(event.metric),
        "severity": event.severity,
    }
    if output.type == "sla.clock.breached.v1":
        metrics.breaches.labels(**labels).inc()
        metrics.detection_delay.labels(severity=event.severity).observe((detected_at - output.time) / SECOND)
    elif output.type == "sla.clock.warning.v1":
        metrics.warnings.labels(**labels).inc()
    elif output.type == "sla.breach.retracted.v1":
        metrics.retractions.labels(**labels).inc()
