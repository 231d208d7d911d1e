"""Receivers as `notify.yaml` describes them: a name, and one channel with its settings. PURE."""

from __future__ import annotations

from typing import Annotated, Final, get_args

from pydantic import AfterValidator, Field, model_validator

from services.notifier.delivery import ChannelName
from services.notifier.endpoints.chats import Mattermost, Slack, Teams, Telegram
from services.notifier.endpoints.mail import Email
from services.notifier.endpoints.others import Apprise, KafkaTopic
from services.notifier.endpoints.paging import Alertmanager, Opsgenie, PagerDuty
from services.notifier.endpoints.values import Strict
from services.notifier.endpoints.webhook import Webhook
from services.notifier.pace import RateLimit
from services.notifier.quiet_hours import QuietHours
from services.notifier.reader import FALLBACK, Reader, locale_of, zone_of

CHANNELS: Final[tuple[ChannelName, ...]] = get_args(ChannelName)


def _language(value: str) -> str:
    locale_of(value)
    return value


def _zone(value: str) -> str:
    zone_of(value)
    return value


Language = Annotated[str, AfterValidator(_language)]
Zone = Annotated[str, AfterValidator(_zone)]


class Console(Strict):
    """Lines on the process's standard output."""


class Receiver(Strict):
    """One channel, how many attempts it may have under way at once, and who reads what it is sent."""

    console: Console | None = None
    webhook: Webhook | None = None
    email: Email | None = None
    slack: Slack | None = None
    teams: Teams | None = None
    mattermost: Mattermost | None = None
    telegram: Telegram | None = None
    pagerduty: PagerDuty | None = None
    opsgenie: Opsgenie | None = None
    alertmanager: Alertmanager | None = None
    kafka: KafkaTopic | None = None
    apprise: Apprise | None = None
    concurrency: int | None = Field(None, ge=1, le=64)
    language: Language = FALLBACK
    zone: Zone = "UTC"
    quiet_hours: QuietHours | None = None
    rate_limit: RateLimit | None = None

    @model_validator(mode="after")
    def _one_channel(self) -> Receiver:
        if sum(getattr(self, name) is not None for name in CHANNELS) != 1:
            raise ValueError(f"expected exactly one of {', '.join(CHANNELS)}")
        return self

    @property
    def channel(self) -> ChannelName:
        """The kind of its channel."""
        return next(name for name in CHANNELS if getattr(self, name) is not None)

    @property
    def reader(self) -> Reader:
        """Who reads its messages."""
        return Reader(self.language, self.zone)

    @property
    def endpoint(self) -> Strict:
        """The settings of its channel."""
        found: Strict = getattr(self, self.channel)
        return found
