"""Opens the channel of every receiver, with the secrets that the environment and files hold."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from services.notifier.channels.console import CONCURRENCY as LINES
from services.notifier.channels.console import ConsoleChannel
from services.notifier.channels.guard import Client
from services.notifier.channels.mail import CONCURRENCY as MAILS
from services.notifier.channels.mail import Envelope, MailChannel
from services.notifier.channels.webhook import CONCURRENCY as POSTS
from services.notifier.channels.webhook import Target, WebhookChannel
from services.notifier.delivery import Channel
from services.notifier.endpoints.mail import Email
from services.notifier.endpoints.webhook import Webhook, signing_key
from services.notifier.receivers import Receiver
from services.notifier.routing import Routes
from services.notifier.writing import BUILT_IN, Writer
from shared.errors import BadDocument, Problem


@dataclass(frozen=True, slots=True)
class Outside:
    """What channels need of the process around them."""

    environment: Mapping[str, str]  # holds the secrets that `secret_env` and `password_env` name
    client: Client
    tls: ssl.SSLContext  # whose certificates mail servers are trusted by
    write: Callable[[str], None]  # a line of the console
    version: str
    writer_of: Callable[[Receiver], Writer] = field(default=lambda _receiver: BUILT_IN)


def open_channels(routes: Routes, outside: Outside) -> dict[str, Channel]:
    """A channel for every receiver of *routes*.

    Raises:
        BadDocument: names every secret that is missing or no good; never its value.
    """
    problems: list[Problem] = []
    channels: dict[str, Channel] = {}
    for name, receiver in routes.receivers.items():
        try:
            channels[name] = _channel(receiver, outside)
        except ValueError as exc:
            place = f"receivers.{name}.{receiver.channel}"
            problems.append(Problem(routes.file, routes.lines[name], place, str(exc)))
    if problems:
        raise BadDocument(problems)
    return channels


def _channel(receiver: Receiver, outside: Outside) -> Channel:
    if receiver.webhook is not None:
        target = _target(receiver.webhook, outside.environment)
        return WebhookChannel(
            target, outside.client, version=outside.version, concurrency=receiver.concurrency or POSTS
        )
    if receiver.email is not None:
        password = _password(receiver.email, outside.environment)
        envelope = Envelope(receiver.email, password, outside.tls, outside.writer_of(receiver))
        return MailChannel(envelope, concurrency=receiver.concurrency or MAILS)
    return ConsoleChannel(outside.write, concurrency=receiver.concurrency or LINES)


def _target(webhook: Webhook, environment: Mapping[str, str]) -> Target:
    if webhook.secret is not None:
        secret = webhook.secret.get_secret_value()
    else:
        secret = _secret(webhook.secret_env, webhook.secret_file, environment)
    return Target(webhook.url, signing_key(secret), secret, webhook.timeout)


def _password(email: Email, environment: Mapping[str, str]) -> str | None:
    smtp = email.smtp
    return None if smtp.username is None else _secret(smtp.password_env, smtp.password_file, environment)


def _secret(variable: str | None, file: Path | None, environment: Mapping[str, str]) -> str:
    # The schema lets exactly one of the two through.
    if variable is not None:
        found = environment.get(variable, "")
        where = f"the environment variable {variable}"
    else:
        found, where = _content(file or Path()), f"the file {file}"
    if not found:
        raise ValueError(f"expected a secret in {where}, found none")
    return found


def _content(file: Path) -> str:
    try:
        return file.read_text().strip()
    except (OSError, UnicodeDecodeError) as exc:
        reason = exc.strerror if isinstance(exc, OSError) else "not text"
        raise ValueError(f"cannot read the secret in {file}: {reason}") from exc
