"""Alerts in Opsgenie, by its Alert API: created, acknowledged and closed under one alias.

It answers 202 before it does anything, also where there is no alert of that alias any more. Its limits are by the
second and by the minute: a 429 says for how long it counts.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from yarl import URL

from services.notifier.card import Card, card, subject_of
from services.notifier.channels.fitting import fitted
from services.notifier.channels.posting import Answer, Poster
from services.notifier.delivery import AlertStanding, ChannelName, Delivery, Outcome
from services.notifier.writing import Writer
from shared.events import SECOND, Instant, Severity, Span

CONCURRENCY: Final = 4
MESSAGE: Final = 130  # characters, as its documentation has it
DESCRIPTION: Final = 15_000
ENTITY: Final = 512
DETAIL: Final = 1_000  # of one; 8,000 of all
NOTE: Final = 25_000
REST: Final[Span] = 60 * SECOND
PRIORITIES: Final[Mapping[Severity, str]] = {"low": "P4", "medium": "P3", "high": "P2", "critical": "P1"}
_STEPS: Final[Mapping[AlertStanding, str]] = {"acknowledged": "acknowledge", "ended": "close", "retracted": "close"}


class OpsgenieChannel:
    """An integration of Opsgenie."""

    name: ChannelName = "opsgenie"

    def __init__(
        self, account: tuple[str, str, str | None], poster: Poster, writer: Writer, *, concurrency: int = CONCURRENCY
    ) -> None:
        """Take *account*: the address of the API, the key, and the team that responds (None: the integration's)."""
        self.concurrency = concurrency
        api, key, self._team = account
        self._alerts = URL(api) / "v2" / "alerts"
        self._headers = {"authorization": f"GenieKey {key}"}
        self._poster = poster
        self._writer = writer

    async def send(self, delivery: Delivery, now: Instant) -> Outcome:
        """Create, acknowledge or close the alert once."""
        return await self._poster.attempt(self._post(delivery, now))

    async def _post(self, delivery: Delivery, now: Instant) -> Outcome:
        shown = card(delivery, self._writer)
        step = _STEPS.get(shown.standing)
        if step is None:
            url, told = self._alerts, alert(delivery, shown, self._team)
        else:
            url, told = (self._alerts / shown.key / step) % {"identifierType": "alias"}, note(shown)
        answer = await self._poster.post_json(url, told, self._headers)
        outcome = self._poster.outcome(answer, now)
        if answer.status == 429 and not outcome.after:
            return Outcome("retry", outcome.answer, answer.status, _asked(answer))
        return outcome


def alert(delivery: Delivery, shown: Card, team: str | None = None) -> dict[str, Any]:
    """What creates an alert, or counts up the one of that alias which is open."""
    record = delivery.record
    details = {
        "item": record.key,
        "metric": subject_of(record),
        "reason": delivery.reason,
    }
    if shown.url is not None:
        details["acknowledge"] = shown.url
    return {
        "message": fitted(shown.title, MESSAGE) or "Plazo",
        "alias": shown.key,
        "description": fitted(shown.text, DESCRIPTION),
        "entity": fitted(record.key, ENTITY),
        "source": "Plazo",
        "priority": PRIORITIES[shown.severity],
        "tags": ["plazo", record.type],
        "details": {name: fitted(value, DETAIL) for name, value in details.items() if value},
        **({} if team is None else {"responders": [{"type": "team", "name": team}]}),
    }


def note(shown: Card) -> dict[str, Any]:
    """What acknowledges or closes an alert, with why."""
    return {"source": "Plazo", "note": fitted(shown.text, NOTE)}


def _asked(answer: Answer) -> Span:
    period = answer.headers.get("x-ratelimit-period-in-sec", "")
    return min(int(period), 3600) * SECOND if period.isdecimal() and len(period) < 6 else REST
