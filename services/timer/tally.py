"""Counting what is published, for those who scrape it."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Final

from services.timer.ledger import Output
from shared.events import SECOND, BreachType, Instant
from shared.metrics import Metrics

_SERIES_KNOWN: Final = 4_096  # to find a series by its labels takes 8 us, to find it here again 0.3


def count(metrics: Metrics, output: Output, detected_at: Instant) -> None:
    """Count a breach, a warning or a retraction, and of a breach how long after its instant it was seen."""
    event = output.event
    _counting(metrics, output.type, event.policy, event.metric, event.severity)()
    if output.type == "sla.clock.breached.v1":
        _observing_delay(metrics, event.severity)((detected_at - output.time) / SECOND)


@lru_cache(maxsize=_SERIES_KNOWN)
def _counting(metrics: Metrics, kind: BreachType, policy: str, metric: str, severity: str) -> Callable[[], None]:
    counters = {
        "sla.clock.breached.v1": metrics.breaches,
        "sla.clock.warning.v1": metrics.warnings,
        "sla.breach.retracted.v1": metrics.retractions,
    }
    if kind not in counters:
        return lambda: None
    labels = {"policy": metrics.policy_label(policy), "metric": metrics.metric_label(metric), "severity": severity}
    return counters[kind].labels(**labels).inc


@lru_cache(maxsize=_SERIES_KNOWN)
def _observing_delay(metrics: Metrics, severity: str) -> Callable[[float], None]:
    return metrics.detection_delay.labels(severity=severity).observe
