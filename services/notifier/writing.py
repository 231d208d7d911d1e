"""What a delivery says to one receiver, in the forms that channels send: mails, chats, lines. PURE."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Protocol

from services.notifier import digest, message
from services.notifier.delivery import Delivery
from services.notifier.wording import one_line


@dataclass(frozen=True, slots=True)
class Letter:
    """A mail's words; the subject is one line of printable characters."""

    subject: str
    text: str
    html: str | None = None  # the same for who reads HTML; None where there is only text


class Writer(Protocol):
    """Writes for one receiver, in its language and its time zone; nothing that it is given makes it raise."""

    def letter(self, delivery: Delivery) -> Letter:
        """What a mail says."""

    def line(self, delivery: Delivery) -> str:
        """It in one line of printable characters."""

    def chat(self, delivery: Delivery) -> str:
        """It in a few lines of plain text, for a chat: what a channel gives a meaning it escapes itself."""

    def button(self, delivery: Delivery) -> str:
        """What the button of a chat says that opens the alert's link, in one line."""


class BuiltInWriter:
    """Writes the built-in form, in English and UTC, which needs no template."""

    def letter(self, delivery: Delivery) -> Letter:
        """What a mail says."""
        if digest.is_digest(delivery):
            return Letter(digest.subject(delivery), digest.text(delivery))
        return Letter(message.subject(delivery.record), message.text(delivery))

    def line(self, delivery: Delivery) -> str:
        """It in one line."""
        return digest.line(delivery) if digest.is_digest(delivery) else message.line(delivery.record)

    def chat(self, delivery: Delivery) -> str:
        """It in one line, too, and who acknowledged it."""
        by = delivery.alert.acknowledged_by if delivery.alert is not None else None
        line = self.line(delivery)
        return f"{line}\nAcknowledged by {one_line(by)}" if by else line

    def button(self, _delivery: Delivery) -> str:
        """What the button of a chat says."""
        return "Acknowledge"


BUILT_IN: Final = BuiltInWriter()
