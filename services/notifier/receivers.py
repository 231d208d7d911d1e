"""Receivers as `notify.yaml` describes them: a name, and one channel with its settings. PURE."""

from __future__ import annotations

from typing import Final, get_args

from pydantic import Field, model_validator

from services.notifier.delivery import ChannelName
from services.notifier.endpoints.mail import Email
from services.notifier.endpoints.values import Strict
from services.notifier.endpoints.webhook import Webhook

CHANNELS: Final[tuple[ChannelName, ...]] = get_args(ChannelName)


class Console(Strict):
    """Lines on the process's standard output."""


class Receiver(Strict):
    """One channel, and how many attempts it may have under way at once."""

    console: Console | None = None
    webhook: Webhook | None = None
    email: Email | None = None
    concurrency: int | None = Field(None, ge=1, le=64)

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
    def endpoint(self) -> Strict:
        """The settings of its channel."""
        found: Strict = getattr(self, self.channel)
        return found
