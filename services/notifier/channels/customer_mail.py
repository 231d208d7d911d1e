"""Mails to customers: each to the address that its own item has."""

from __future__ import annotations

from dataclasses import replace

from services.notifier.channels.mail import CONCURRENCY, Envelope, MailChannel
from services.notifier.customers import CustomerMail, address_in
from services.notifier.delivery import ChannelName, Delivery, Outcome
from shared.breach_records import BreachRecord
from shared.events import Instant


class CustomerMailChannel:
    """All customers as one receiver."""

    name: ChannelName = "email"

    def __init__(self, envelope: Envelope, settings: CustomerMail, *, concurrency: int = CONCURRENCY) -> None:
        self.concurrency = concurrency
        self._envelope = envelope
        self._settings = settings

    async def send(self, delivery: Delivery, now: Instant) -> Outcome:
        """Hand the mail to the server once; bounded in time."""
        record, settings = delivery.record, self._settings
        address = address_in(record, settings.attribute) if isinstance(record, BreachRecord) else None
        if address is None:
            return Outcome("refused", f"the item has no address in {settings.attribute}")
        addressed = replace(self._envelope, settings=settings.model_copy(update={"to": (address,)}))
        return await MailChannel(addressed).send(delivery, now)
