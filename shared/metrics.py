"""Every metric of the system in one list. Labels are closed sets, never an id; units stand in the names."""

from __future__ import annotations

from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info
from prometheus_client.exposition import generate_latest

DELAYS: Final = (0.001, 0.002, 0.004, 0.008, 0.016, 0.032, 0.064, 0.125, 0.25, 0.5, 1, 2, 5, 10, 30, 60, 300)
AGES: Final = (0.01, 0.05, 0.1, 0.5, 1, 5, 30, 60, 300, 1800, 3600, 86400)
POLICY_LABELS: Final = 50  # policies beyond these are counted together as `other`


class Metrics:
    """The metrics of one process, on a registry of their own."""

    def __init__(self, version: str, tzdata: str) -> None:
        self.registry = registry = CollectorRegistry()
        self._policies: set[str] = set()

        def counter(name: str, text: str, *labels: str) -> Counter:
            return Counter(name, text, labels, registry=registry)

        def gauge(name: str, text: str, *labels: str) -> Gauge:
            return Gauge(name, text, labels, registry=registry)

        def histogram(name: str, text: str, *labels: str, buckets: tuple[float, ...] = DELAYS) -> Histogram:
            return Histogram(name, text, labels, registry=registry, buckets=buckets)

        Info("sla_build", "What runs here.", registry=registry).info({"version": version, "tzdata": tzdata})

        # ingest
        self.ingest_events = counter("sla_ingest_events", "Events read upstream.", "source", "kind", "outcome")
        self.ingest_event_age = histogram(
            "sla_ingest_event_age_seconds", "Time from an event's own time until it was forwarded.", "source",
            buckets=AGES,
        )  # fmt: skip
        self.dead_letters = counter("sla_dlq_messages", "Records put on the dead-letter topic.", "stage", "reason")

        # timer
        self.events_folded = counter("sla_timer_events", "Events applied to items.", "outcome")
        self.open_clocks = gauge("sla_open_clocks", "Clocks that run or are paused.", "state", "severity")
        self.next_due = gauge("sla_next_due_timestamp_seconds", "The earliest deadline held in memory.")
        self.breaches = counter("sla_breaches", "Breaches published.", "policy", "metric", "severity")
        self.warnings = counter("sla_warnings", "Warnings published.", "policy", "metric", "severity")
        self.retractions = counter("sla_breach_retractions", "Breaches taken back.", "policy", "metric", "severity")
        self.detection_delay = histogram(
            "sla_breach_detection_delay_seconds", "From the instant of a breach until it was seen.", "severity"
        )
        self.held_time = histogram("sla_evidence_held_seconds", "How long a firing waited for evidence.")
        self.fired = counter("sla_timer_fired", "Deadlines that came up.", "outcome")
        self.lag = gauge("sla_partition_lag_records", "Records not read yet.", "topic", "partition")
        self.caught_up = gauge("sla_partition_caught_up", "1 when a partition was read to its end.", "partition")
        self.epoch = gauge("sla_partition_epoch", "The epoch under which this process owns a partition.", "partition")
        self.fenced = counter("sla_fenced", "Write sets refused because a partition had another owner.", "service")
        self.outbox_pending = gauge("sla_outbox_pending_records", "Committed events that are not published yet.")
        self.outbox_oldest = gauge("sla_outbox_oldest_timestamp_seconds", "When the oldest of them was committed.")
        self.batch_stage = histogram(
            "sla_timer_batch_stage_seconds", "Time of one batch by stage: decode, load, fold, commit.", "stage"
        )

        # notifier
        self.notifications = counter("sla_notifications", "Attempts to deliver an alert.", "channel", "outcome")
        self.attempt_duration = histogram(
            "sla_notification_attempt_duration_seconds", "How long an attempt took.", "channel"
        )
        self.deliveries_pending = gauge("sla_notification_pending", "Deliveries that are not done yet.")

        # every service
        self.event_loop_lag = histogram("sla_event_loop_lag_seconds", "How late the event loop ran.", "service")
        self.reload_ok = gauge(
            "sla_config_last_reload_successful", "0 when the last change of a file was refused.", "file"
        )
        self.heartbeat = gauge("sla_heartbeat_timestamp_seconds", "When a stage last did something.", "stage")

    def policy_label(self, policy: str) -> str:
        """*policy*, or `other` once there are too many of them for a label."""
        if policy in self._policies:
            return policy
        if len(self._policies) < POLICY_LABELS:
            self._policies.add(policy)
            return policy
        return "other"

    def exposition(self) -> bytes:
        """All metrics in the Prometheus text format."""
        return generate_latest(self.registry)
