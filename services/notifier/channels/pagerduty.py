"""Alerts as incidents of PagerDuty, by its Events API v2: one incident an alert, resolved when it is over.

A 429 names no time: what PagerDuty counts, it counts by the minute, so the endpoint rests for one. A 202 says that the
event was taken, not that the key opens anything: PagerDuty tells nobody of a key that it does not know.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Literal

from yarl import URL

from services.notifier.card import Card, card, subject_of
from services.notifier.channels.fitting import fitted
from services.notifier.channels.posting import Poster
from services.notifier.delivery import AlertStanding, ChannelName, Delivery, Outcome
from services.notifier.writing import Writer
from shared.events import SECOND, Instant, Severity, Span, instant, rfc3339

CONCURRENCY: Final = 4
SUMMARY: Final = 1_024  # characters
DETAIL: Final = 8_000  # of an event of 512 KB
REST: Final[Span] = 60 * SECOND
Action = Literal["trigger", "acknowledge", "resolve"]
ACTIONS: Final[Mapping[AlertStanding, Action]] = {
    "warning": "trigger",
    "open": "trigger",
    "acknowledged": "acknowledge",
    "ended": "resolve",
    "retracted": "resolve",
}
SEVERITIES: Final[Mapping[Severity, str]] = {
    "low": "info",
    "medium": "warning",
    "high": "error",
    "critical": "critical",
}


class PagerDutyChannel:
    """A service of PagerDuty."""

    name: ChannelName = "pagerduty"

    def __init__(
        self, service: tuple[str, str], poster: Poster, writer: Writer, *, concurrency: int = CONCURRENCY
    ) -> None:
        """Take *service*, the address of the API and the integration key."""
        self.concurrency = concurrency
        api, self._key = service
        self._url = URL(api) / "v2" / "enqueue"
        self._poster = poster
        self._writer = writer

    async def send(self, delivery: Delivery, now: Instant) -> Outcome:
        """Send the event once."""
        return await self._poster.attempt(self._post(delivery, now))

    async def _post(self, delivery: Delivery, now: Instant) -> Outcome:
        told = event(delivery, card(delivery, self._writer))
        answer = await self._poster.post_json(self._url, {"routing_key": self._key, **told})
        outcome = self._poster.outcome(answer, now)
        if answer.status == 429 and not outcome.after:
            return Outcome("retry", outcome.answer, answer.status, REST)
        return outcome


def event(delivery: Delivery, shown: Card) -> dict[str, Any]:
    """The event, without the key of the service."""
    action = ACTIONS[shown.standing]
    found: dict[str, Any] = {"event_action": action, "dedup_key": shown.key}
    if action != "trigger":
        return found
    data = delivery.record.data
    found["client"] = "Plazo"
    found["payload"] = {
        "summary": fitted(shown.title, SUMMARY) or "Plazo",
        "source": fitted(delivery.record.key, SUMMARY),
        "severity": SEVERITIES[shown.severity],
        "timestamp": rfc3339(instant(delivery.record.time)),
        "component": fitted(delivery.record.name, SUMMARY),
        "group": data.tenant,
        "class": subject_of(delivery.record),
        "custom_details": {"text": fitted(shown.text, DETAIL), "reason": fitted(delivery.reason, DETAIL)},
    }
    if shown.url is not None:
        found["links"] = [{"href": shown.url, "text": shown.button}]
    return found
