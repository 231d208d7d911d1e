"""Every metric of the system in one list. Labels are closed or bounded sets, never an id; units stand in the names."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info
from prometheus_client.exposition import generate_latest

DELAYS: Final = (0.001, 0.002, 0.004, 0.008, 0.016, 0.032, 0.064, 0.125, 0.25, 0.5, 1, 2, 5, 10, 30, 60, 300)
AGES: Final = (0.01, 0.05, 0.1, 0.5, 1, 5, 30, 60, 300, 1800, 3600, 86400)
POLICY_LABELS: Final = 50  # policies beyond these are counted together as `other`
METRIC_LABELS: Final = 20  # the same of metrics, which the policy files name
SOURCE_LABELS: Final = 50  # sources beyond these are shown together as `other`
OTHER: Final = "other"


class Metrics:
    """The metrics of one process, on a registry of their own."""

    def __init__(self, version: str, tzdata: str, holidays: str = "") -> None:
        self.registry = CollectorRegistry()
        self._policies: set[str] = set()
        self._metrics: set[str] = set()
        build = {"version": version, "tzdata": tzdata, "holidays": holidays}
        Info("sla_build", "What runs here, with which packages of calendar data.", registry=self.registry).info(build)
        self._of_ingest()
        self._of_the_timer()
        self._of_the_outbox()
        self._of_the_notifier()
        self._of_every_service()

    def _of_ingest(self) -> None:
        self.ingest_events = self._counter("sla_ingest_events", "Events read upstream.", "source", "kind", "outcome")
        self.ingest_event_age = self._histogram(
            "sla_ingest_event_age_seconds", "Time from an event's own time until it was forwarded.", "source",
            buckets=AGES,
        )  # fmt: skip
        self.unmapped_statuses = self._counter(
            "sla_ingest_unmapped_statuses", "Events with a status that no table maps to a category.", "system"
        )
        self.dead_letters = self._counter(
            "sla_dlq_messages", "Records put on the dead-letter topic.", "stage", "reason"
        )

    def _of_the_timer(self) -> None:
        self.events_folded = self._counter("sla_timer_events", "Events applied to items.", "outcome")
        self.items_forgotten = self._counter("sla_items_forgotten", "Items forgotten because they were over long ago.")
        self.open_clocks = self._gauge("sla_open_clocks", "Clocks that run or are paused.", "state", "severity")
        self.next_due = self._gauge("sla_next_due_timestamp_seconds", "The earliest deadline held in memory.")
        self.breaches = self._counter("sla_breaches", "Breaches published.", "policy", "metric", "severity")
        self.warnings = self._counter("sla_warnings", "Warnings published.", "policy", "metric", "severity")
        self.retractions = self._counter(
            "sla_breach_retractions", "Breaches taken back.", "policy", "metric", "severity"
        )
        self.detection_delay = self._histogram(
            "sla_breach_detection_delay_seconds", "From the instant of a breach until it was seen.", "severity"
        )
        self.held_time = self._histogram("sla_evidence_held_seconds", "How long a firing waited for evidence.")
        self.fired = self._counter("sla_timer_fired", "Deadlines that came up.", "outcome")
        self.lag = self._gauge("sla_partition_lag_records", "Records not read yet.", "topic", "partition")
        self.caught_up = self._gauge("sla_partition_caught_up", "1 when a partition was read to its end.", "partition")
        self.unread = self._gauge(
            "sla_partition_unread",
            "1 when it is not read: the log has lost what was next.",
            "partition",
        )
        self.epoch = self._gauge(
            "sla_partition_epoch", "The epoch under which this process owns a partition.", "partition"
        )
        self.source_heard = self._gauge(
            "sla_source_last_event_timestamp_seconds",
            "When the last new event of a source arrived; shown by the process that watches the sources.",
            *("tenant", "source"),
        )
        self.source_silent = self._gauge(
            "sla_source_silent", "1 while a source is silent and that was told.", "tenant", "source"
        )
        self.fenced = self._counter("sla_fenced", "Partitions let go because another process owns them.", "service")
        self.batch_stage = self._histogram(
            "sla_timer_batch_stage_seconds",
            "Time of one batch by stage: decode, load, fold, fold_late, freeze, wait_for_lane.",
            "stage",
        )

    def _of_the_outbox(self) -> None:
        self.outbox_pending = self._gauge("sla_outbox_pending_records", "Committed events that are not published yet.")
        self.outbox_oldest = self._gauge(
            "sla_outbox_oldest_timestamp_seconds", "When the oldest of them was committed; 0 without one."
        )
        self.parked = self._counter(
            "sla_outbox_parked_records", "Committed events that the brokers do not take, put aside.", "reason"
        )

    def _of_the_notifier(self) -> None:
        self.notifications = self._counter("sla_notifications", "Attempts to deliver an alert.", "channel", "outcome")
        self.attempt_duration = self._histogram(
            "sla_notification_attempt_duration_seconds", "How long an attempt took.", "channel"
        )
        self.template_faults = self._counter(
            "sla_notification_template_faults", "Messages sent in the built-in form because a template failed.", "kind"
        )
        self.alert_heartbeat = self._gauge(
            "sla_alert_heartbeat_timestamp_seconds", "When the newest heartbeat that was delivered was due."
        )
        self.deliveries_pending = self._gauge("sla_notification_pending", "Deliveries that are not done yet.")
        self.endpoints = self._gauge(
            "sla_notification_endpoints",
            "Receivers to which nothing is sent: disabled, or resting for a while.",
            "state",
        )
        self.diverted = self._counter(
            "sla_notifications_diverted", "Deliveries told to another receiver, because theirs was disabled."
        )
        self.alerts = self._gauge(
            "sla_alerts", "Alerts that are not over; of warnings those whose promise can still be kept.", "standing"
        )
        self.escalation_steps = self._counter("sla_escalation_steps", "Steps of escalations that were taken.")
        self.deliveries_held = self._gauge("sla_notification_held", "Deliveries that are not to be sent yet.")
        self.notices = self._counter(
            "sla_notices",
            "What became of notices that were not sent at once: held, released, digested, silenced, muted, superseded.",
            "outcome",
        )
        self.silences = self._gauge("sla_silences", "Silences in force.")
        self.silences_ended = self._counter("sla_silences_ended", "Silences whose end was noticed.")

    def _of_every_service(self) -> None:
        self.event_loop_lag = self._histogram("sla_event_loop_lag_seconds", "How late the event loop ran.", "service")
        self.reload_ok = self._gauge(
            "sla_config_last_reload_successful", "0 when the last change of a file was refused.", "file"
        )
        self.dlq_limit_used = self._gauge(
            "sla_dlq_limit_used", "How near a stage is to stopping for too many dead letters: at 1 it stops.", "stage"
        )
        self.heartbeat = self._gauge("sla_heartbeat_timestamp_seconds", "When a stage last did something.", "stage")

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(name, text, labels, registry=self.registry)

    def _gauge(self, name: str, text: str, *labels: str) -> Gauge:
        return Gauge(name, text, labels, registry=self.registry)

    def _histogram(self, name: str, text: str, *labels: str, buckets: tuple[float, ...] = DELAYS) -> Histogram:
        return Histogram(name, text, labels, registry=self.registry, buckets=buckets)

    def policy_label(self, policy: str) -> str:
        """*policy*, or `other` once there are too many of them for a label."""
        return _bounded(policy, self._policies, POLICY_LABELS)

    def metric_label(self, metric: str) -> str:
        """*metric*, the name of a promise, or `other` once there are too many of them for a label."""
        return _bounded(metric, self._metrics, METRIC_LABELS)

    def show_sources(self, sources: Mapping[tuple[str, str], tuple[float, bool]]) -> None:
        """Show of each source, `(tenant, source)`, when it was heard last, and whether it is silent.

        Of more than SOURCE_LABELS the first ones are shown, and the rest as one: the one that was heard longest ago,
        and whether any is silent.
        """
        for gauge in (self.source_heard, self.source_silent):
            gauge.clear()  # what another process shows now would stand here for ever
        for (tenant, source), known in islice(sources.items(), SOURCE_LABELS):
            self._show_source(tenant, source, *known)
        rest = list(islice(sources.values(), SOURCE_LABELS, None))
        if rest:
            self._show_source(OTHER, OTHER, min(heard_s for heard_s, _ in rest), any(silent for _, silent in rest))

    def show_alerts(self, standing: Mapping[str, int]) -> None:
        """Show how many alerts stand how; of those that are not named, none do."""
        for name in ("warning", "open", "acknowledged"):
            self.alerts.labels(standing=name).set(standing.get(name, 0))

    def _show_source(self, tenant: str, source: str, heard_s: float, is_silent: bool) -> None:  # noqa: FBT001 # a value
        self.source_heard.labels(tenant=tenant, source=source).set(heard_s)
        self.source_silent.labels(tenant=tenant, source=source).set(is_silent)

    def exposition(self) -> bytes:
        """All metrics in the Prometheus text format."""
        return generate_latest(self.registry)


def _bounded(name: str, known: set[str], most: int) -> str:
    if name not in known:
        if len(known) >= most:
            return OTHER
        known.add(name)
    return name
