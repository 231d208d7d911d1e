"""Opens the channel of every receiver, with the secrets that the environment and files hold."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

from services.notifier.channels import (
    alertmanager,
    apprise,
    console,
    mail,
    mattermost,
    opsgenie,
    pagerduty,
    slack,
    teams,
    telegram,
    topic,
    webhook,
)
from services.notifier.channels.customer_mail import CustomerMailChannel
from services.notifier.channels.guard import Client
from services.notifier.channels.keyring import Keyring
from services.notifier.channels.posting import Manner, Poster
from services.notifier.customers import CustomerMail
from services.notifier.delivery import Channel, ChannelName
from services.notifier.endpoints.chats import Mattermost, Slack, Teams, Telegram, bot_token
from services.notifier.endpoints.mail import Email
from services.notifier.endpoints.others import Apprise, KafkaTopic
from services.notifier.endpoints.paging import OPSGENIE, PAGERDUTY, Alertmanager, Opsgenie, PagerDuty, routing_key
from services.notifier.endpoints.values import given
from services.notifier.endpoints.webhook import Webhook, signing_key
from services.notifier.receivers import Console, Receiver
from services.notifier.routing import Routes
from services.notifier.secrecy import forms, of_url
from services.notifier.writing import BUILT_IN, Writer
from shared.errors import BadDocument, Problem, Unavailable
from shared.events import DAY

Made = TypeVar("Made")


async def _nowhere(name: str, _records: object) -> None:
    raise Unavailable(f"nothing is written to {name} here")


@dataclass(frozen=True, slots=True)
class Outside:
    """What channels need of the process around them."""

    environment: Mapping[str, str]  # holds the secrets that `secret_env` and `password_env` name
    client: Client
    tls: ssl.SSLContext  # whose certificates mail servers are trusted by
    write: Callable[[str], None]  # a line of the console
    version: str
    writer_of: Callable[[Receiver], Writer] = field(default=lambda _receiver: BUILT_IN)
    produce: topic.Produce = _nowhere


def open_channels(routes: Routes, outside: Outside) -> dict[str, Channel]:
    """A channel for every receiver of *routes*.

    Raises:
        BadDocument: names every secret that is missing or no good; never its value.
    """
    return _of_each(routes, lambda receiver: _OPEN[receiver.channel](receiver.endpoint, _Opening(receiver, outside)))


def fingerprints(routes: Routes, outside: Outside) -> dict[str, str]:
    """A text for every receiver of *routes* that changes when it leads to another place.

    Raises:
        BadDocument: names every secret that is missing.
    """
    keys = Keyring(outside.environment)
    return _of_each(routes, lambda receiver: keys.fingerprint(receiver.channel, receiver.endpoint))


def _of_each(routes: Routes, make: Callable[[Receiver], Made]) -> dict[str, Made]:
    problems: dict[Problem, None] = {}  # what is missing for one person is missing for all
    made: dict[str, Made] = {}
    for name, receiver in routes.receivers.items():
        try:
            made[name] = make(receiver)
        except ValueError as exc:
            problems[routes.problem(name, str(exc))] = None
    if problems:
        raise BadDocument(list(problems))
    return made


class _Opening:
    """What the channel of one receiver is opened with."""

    def __init__(self, receiver: Receiver, outside: Outside) -> None:
        self.outside = outside
        self.keys = Keyring(outside.environment)
        self.writer = outside.writer_of(receiver)
        self._concurrency = receiver.concurrency

    def poster(self, timeout_s: float, *secrets: str) -> Poster:
        """What makes its attempts over HTTP."""
        return Poster(self.outside.client, Manner(self.outside.version, timeout_s, forms(*secrets)))

    def at_once(self, usual: int) -> int:
        """How many attempts may be under way."""
        return self._concurrency or usual


def _console(_settings: Console, to: _Opening) -> Channel:
    return console.ConsoleChannel(to.outside.write, concurrency=to.at_once(console.CONCURRENCY))


def _webhook(settings: Webhook, to: _Opening) -> Channel:
    secrets = to.keys.every(settings, "secret")
    target = webhook.Target(settings.url, tuple(map(signing_key, secrets)), settings.mode)
    poster = to.poster(settings.timeout, *secrets, *of_url(settings.url))
    return webhook.WebhookChannel(target, poster, concurrency=to.at_once(webhook.CONCURRENCY))


def _email(settings: Email, to: _Opening) -> Channel:
    password = None if settings.smtp.username is None else to.keys.password(settings.smtp)
    envelope = mail.Envelope(settings, password, to.outside.tls, to.writer)
    if isinstance(settings, CustomerMail):
        return CustomerMailChannel(envelope, settings, concurrency=to.at_once(mail.CONCURRENCY))
    return mail.MailChannel(envelope, concurrency=to.at_once(mail.CONCURRENCY))


def _slack(settings: Slack, to: _Opening) -> Channel:
    concurrency = to.at_once(slack.CONCURRENCY)
    if settings.channel is None:
        url = to.keys.url(settings)
        poster = to.poster(settings.timeout, *of_url(url))
        return slack.SlackHook(url, poster, to.writer, concurrency=concurrency)
    token = to.keys.one(settings, "token")
    room, poster = (settings.channel, token), to.poster(settings.timeout, token)
    return slack.SlackBot(settings.api, room, poster, to.writer, concurrency=concurrency)


def _teams(settings: Teams, to: _Opening) -> Channel:
    url = to.keys.url(settings)
    poster = to.poster(settings.timeout, *of_url(url))
    return teams.TeamsChannel(url, poster, to.writer, concurrency=to.at_once(teams.CONCURRENCY))


def _mattermost(settings: Mattermost, to: _Opening) -> Channel:
    url = to.keys.url(settings)
    room, poster = (url, settings.channel), to.poster(settings.timeout, *of_url(url))
    return mattermost.MattermostChannel(room, poster, to.writer, concurrency=to.at_once(mattermost.CONCURRENCY))


def _telegram(settings: Telegram, to: _Opening) -> Channel:
    token = bot_token(to.keys.one(settings, "token"))
    bot = telegram.Bot(settings.api, token, settings.chat, settings.topic)
    poster = to.poster(settings.timeout, token)
    return telegram.TelegramChannel(bot, poster, to.writer, concurrency=to.at_once(telegram.CONCURRENCY))


def _pagerduty(settings: PagerDuty, to: _Opening) -> Channel:
    key = routing_key(to.keys.one(settings, "key"))
    service, poster = (settings.api or PAGERDUTY[settings.region], key), to.poster(settings.timeout, key)
    return pagerduty.PagerDutyChannel(service, poster, to.writer, concurrency=to.at_once(pagerduty.CONCURRENCY))


def _opsgenie(settings: Opsgenie, to: _Opening) -> Channel:
    key = to.keys.one(settings, "key")
    account, poster = (settings.api or OPSGENIE[settings.region], key, settings.team), to.poster(settings.timeout, key)
    return opsgenie.OpsgenieChannel(account, poster, to.writer, concurrency=to.at_once(opsgenie.CONCURRENCY))


def _alertmanager(settings: Alertmanager, to: _Opening) -> Channel:
    url = to.keys.url(settings)
    token = to.keys.one(settings, "token") if given(settings, "token") else None
    place, poster = (url, token, settings.open_for_days * DAY), to.poster(settings.timeout, *of_url(url), token or "")
    concurrency = to.at_once(alertmanager.CONCURRENCY)
    return alertmanager.AlertmanagerChannel(place, poster, to.writer, concurrency=concurrency)


def _kafka(settings: KafkaTopic, to: _Opening) -> Channel:
    produce, concurrency = to.outside.produce, to.at_once(topic.CONCURRENCY)
    return topic.TopicChannel(settings.topic, produce, settings.timeout, concurrency=concurrency)


def _apprise(settings: Apprise, to: _Opening) -> Channel:
    messenger = apprise.installed()
    if not messenger.add(to.keys.one(settings, "url")):
        raise ValueError("expected a URL of a kind that Apprise knows")
    concurrency = to.at_once(apprise.CONCURRENCY)
    return apprise.AppriseChannel(messenger, to.writer, settings.timeout, concurrency=concurrency)


_OPEN: Final[Mapping[ChannelName, Callable[[Any, _Opening], Channel]]] = {
    "console": _console,
    "webhook": _webhook,
    "email": _email,
    "slack": _slack,
    "teams": _teams,
    "mattermost": _mattermost,
    "telegram": _telegram,
    "pagerduty": _pagerduty,
    "opsgenie": _opsgenie,
    "alertmanager": _alertmanager,
    "kafka": _kafka,
    "apprise": _apprise,
}
