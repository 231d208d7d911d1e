"""The CloudEvents headers (binary mode) of what the timer publishes."""

from __future__ import annotations

from shared.events import BreachType, Headers, Instant, SourceSilence, rfc3339

SOURCE = b"/plazo/timer"


def breach_headers(*, event_id: str, event_type: BreachType, item: str, tenant: str, time: Instant) -> Headers:
    """The headers of a record on `sla.breaches.v1`."""
    return _headers(event_id, event_type, item, tenant, time)


def silence_headers(*, event_id: str, silence: SourceSilence, time: Instant) -> Headers:
    """The headers of a record on `sla.breaches.v1` that tells of a source gone quiet."""
    return _headers(event_id, "sla.source.silent.v1", silence.key, silence.tenant, time)


def clock_headers(*, clock: str, revision: int, item: str, tenant: str, time: Instant) -> Headers:
    """The headers of a record on `sla.clocks.v1`; its id tells the states of one clock apart."""
    return _headers(f"{clock}:{revision}", "sla.clock.state.v1", item, tenant, time)


def _headers(event_id: str, event_type: str, item: str, tenant: str, time: Instant) -> Headers:
    return [
        ("ce_specversion", b"1.0"),
        ("ce_id", event_id.encode()),
        ("ce_source", SOURCE),
        ("ce_type", event_type.encode()),
        ("ce_subject", item.encode()),
        ("ce_time", rfc3339(time).encode()),
        ("ce_tenant", tenant.encode()),
        ("content-type", b"application/json"),
    ]
