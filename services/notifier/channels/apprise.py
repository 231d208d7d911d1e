"""Alerts by the Apprise library, for the hundred services that have no channel of their own here.

It is an extra (`requirements-apprise.lock`): without it, a receiver that wants it is a mistake in the file. Its URLs
are the operator's own, and may reach anything: where webhooks may go does not hold for them. It has neither ids nor
answers: what it could not deliver is tried again, and a repeat cannot be known for one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from typing import Any, Final, Protocol

from services.notifier.card import card
from services.notifier.delivery import AlertStanding, ChannelName, Delivery, Outcome
from services.notifier.writing import Writer
from shared.events import Instant

CONCURRENCY: Final = 2
KINDS: Final[Mapping[AlertStanding, str]] = {
    "warning": "warning",
    "open": "failure",
    "acknowledged": "info",
    "ended": "success",
    "retracted": "success",
}


class Messenger(Protocol):
    """What of the library is used."""

    def add(self, url: str) -> bool:
        """Whether *url* is of a kind that it knows."""

    def notify(self, body: str, title: str, notify_type: str, body_format: str) -> bool | None:
        """Whether it was delivered; blocks."""


def installed(find: Callable[[str], Any] = import_module) -> Messenger:
    """The library, with nothing added to it.

    Raises:
        ValueError: it is not installed.
    """
    try:
        library: Any = find("apprise")
    except ImportError as exc:
        raise ValueError("expected the Apprise library: pip install -r requirements-apprise.lock") from exc
    messenger: Messenger = library.Apprise()
    return messenger


class AppriseChannel:
    """One of the services that the library knows."""

    name: ChannelName = "apprise"

    def __init__(
        self, messenger: Messenger, writer: Writer, timeout_s: float, *, concurrency: int = CONCURRENCY
    ) -> None:
        self.concurrency = concurrency
        self._messenger = messenger
        self._writer = writer
        self._timeout_s = timeout_s
        # A thread cannot be ended: one that hangs takes a place until the library's own limits end it, and what
        # finds no place in time is tried again.
        self._threads = ThreadPoolExecutor(concurrency, "apprise")

    async def send(self, delivery: Delivery, now: Instant) -> Outcome:  # the library has no use for the time
        """Have the library deliver it once."""
        shown = card(delivery, self._writer)
        call = (shown.text, shown.title, KINDS[shown.standing], "text")
        try:
            async with asyncio.timeout(self._timeout_s):
                done = await asyncio.get_running_loop().run_in_executor(self._threads, self._deliver, call)
        except TimeoutError:
            return Outcome("retry", f"no answer within {self._timeout_s:g} s")
        if done:
            return Outcome("delivered", "taken by Apprise")
        return Outcome("retry", "Apprise could not deliver it")

    def _deliver(self, call: tuple[str, str, str, str]) -> bool:
        # Whatever a plugin raises, the courier logs it as an error inside Plazo and tries again.
        return bool(self._messenger.notify(*call))
