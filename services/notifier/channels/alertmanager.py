"""Alerts for a Prometheus Alertmanager, whose own routes decide further: its API v2.

An alert is known by its labels, so these are the same for all that is told of it. A warning and a breach have names of
their own, so that they can be routed apart; the breach ends its warning in the same request. An alert that nobody
repeats is over for Alertmanager, and Plazo tells of each once: so one that is open ends in a week, or as it is set.
"""

from __future__ import annotations

from typing import Any, Final

from yarl import URL

from services.notifier.card import Card, card, key_of_record, standing_after, subject_of
from services.notifier.channels.fitting import fitted
from services.notifier.channels.posting import Poster
from services.notifier.delivery import AlertStanding, ChannelName, Delivery, Outcome
from services.notifier.writing import Writer
from shared.breach_records import BreachRecord, PublishedRecord
from shared.events import DAY, SECOND, Instant, Span, instant, rfc3339

CONCURRENCY: Final = 4
LABEL: Final = 500
TEXT: Final = 8_000
WARNING: Final = "SlaWarning"
BREACH: Final = "SlaBreach"
SILENCE: Final = "SlaSourceSilent"


class AlertmanagerChannel:
    """A Prometheus Alertmanager."""

    name: ChannelName = "alertmanager"

    def __init__(
        self, place: tuple[str, str | None, Span], poster: Poster, writer: Writer, *, concurrency: int = CONCURRENCY
    ) -> None:
        """Take *place*: its address, a token of whoever stands before it, and for how long an alert is open."""
        self.concurrency = concurrency
        url, token, self._open_for = place
        self._url = URL(url) / "api" / "v2" / "alerts"
        self._headers = {} if token is None else {"authorization": f"Bearer {token}"}
        self._poster = poster
        self._writer = writer

    async def send(self, delivery: Delivery, now: Instant) -> Outcome:
        """Post the alerts once."""
        return await self._poster.attempt(self._post(delivery, now))

    async def _post(self, delivery: Delivery, now: Instant) -> Outcome:
        told = alerts(delivery, card(delivery, self._writer), now, self._open_for)
        answer = await self._poster.post_json(self._url, told, self._headers)
        return self._poster.outcome(answer, now)


def alerts(delivery: Delivery, shown: Card, now: Instant, open_for: Span = 7 * DAY) -> list[dict[str, Any]]:
    """What a delivery says to an Alertmanager; a digest has an alert for each that it names."""
    if delivery.count > 1:
        members = delivery.members or (delivery.record,)
        return [_alert(each, standing_after(each), _annotations(shown), now + open_for) for each in members]
    record = delivery.record
    found = [_alert(record, shown.standing, _annotations(shown), now + open_for)]
    if isinstance(record, BreachRecord) and shown.standing != "warning":
        found.append(_alert(record, "ended", _annotations(shown), now + open_for, name=WARNING))
    if shown.url is not None:
        found[0]["generatorURL"] = shown.url
    return found


def _alert(
    record: PublishedRecord, standing: AlertStanding, annotations: dict[str, str], until: Instant, *, name: str = ""
) -> dict[str, Any]:
    begun = instant(record.time)
    over = standing in ("ended", "retracted")
    # It must not end before it begins; of what is told as over, the beginning is not known here.
    start, end = (begun - SECOND, begun) if over else (begun, max(until, begun + SECOND))
    return {
        "labels": {"alertname": name or _name(record, standing), **_labels(record)},
        "annotations": annotations | {"standing": standing},
        "startsAt": rfc3339(start),
        "endsAt": rfc3339(end),
    }


def _name(record: PublishedRecord, standing: AlertStanding) -> str:
    if not isinstance(record, BreachRecord):
        return SILENCE
    return WARNING if standing == "warning" else BREACH


def _labels(record: PublishedRecord) -> dict[str, str]:
    labels = {
        "alert": key_of_record(record),
        "tenant": record.data.tenant,
        "item": record.key,
        "metric": subject_of(record),
        "severity": record.data.severity,
        "policy": record.data.policy if isinstance(record, BreachRecord) else "",
        "source": "plazo",
    }
    return {name: fitted(value, LABEL) for name, value in labels.items() if value}


def _annotations(shown: Card) -> dict[str, str]:
    return {"summary": fitted(shown.title, LABEL), "description": fitted(shown.text, TEXT)}
