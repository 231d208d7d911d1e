"""What of the receivers' settings lets others read along: secrets in plain sight, connections in the clear. PURE."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_address
from typing import Final
from urllib.parse import urlsplit

from pydantic import SecretStr

from services.notifier.endpoints.mail import Email
from services.notifier.endpoints.values import Strict
from services.notifier.routing import Routes
from shared.errors import Problem

SECRETS: Final = ("secret", "url", "token", "key")
_PLACES: Final = ("url", "api")


def exposed(routes: Routes) -> Iterator[Problem]:
    """Secrets that stand in the file, and what crosses the network in the clear."""
    for name, receiver in routes.receivers.items():
        yield from (routes.problem(name, said) for said in _said_of(receiver.endpoint))


def _said_of(settings: Strict) -> Iterator[str]:
    if any(_is_in_the_clear(getattr(settings, name, None)) for name in _PLACES):
        yield "alerts cross the network in the clear: use an https URL"
    for name in SECRETS:
        if _is_secret(getattr(settings, name, None)):
            yield f"the {name} stands in the file: use {name}_env or {name}_file"
    if isinstance(settings, Email) and settings.smtp.username and not (settings.smtp.starttls or settings.smtp.tls):
        yield "the password crosses the network in the clear: use starttls or tls"


def _is_secret(value: object) -> bool:
    return isinstance(value, SecretStr) or (isinstance(value, tuple) and any(map(_is_secret, value)))


def _is_in_the_clear(value: object) -> bool:
    text = value.get_secret_value() if isinstance(value, SecretStr) else value
    if not isinstance(text, str):
        return False
    parts = urlsplit(text)
    return parts.scheme == "http" and not _is_loopback(parts.hostname or "")


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
