"""Writes to customers, who are shown nothing that is the team's, also where a template fails. PURE."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from services.notifier.customers import CustomerMail, for_the_customer
from services.notifier.delivery import Delivery
from services.notifier.reader import Reader
from services.notifier.receivers import Receiver
from services.notifier.templates.library import Library
from services.notifier.templates.view import TemplateKind, view
from services.notifier.templates.writer import SUBJECT_CHARACTERS, OnFault, TemplateWriter
from services.notifier.wording import one_line
from services.notifier.writing import Letter, Writer
from shared.breach_records import BreachRecord
from shared.errors import BadDocument

_PLAIN: Final[dict[TemplateKind, tuple[str, str]]] = {
    "customer_told": (
        "we are late",
        "We have not yet done what we promised you. We are sorry, and we are working on it.",
    ),
    "customer_restored": ("an update", "We wrote to you that we were late. That is over now."),
}


class CustomerWriter:
    """Writes to customers; *on_fault* hears of every template that failed."""

    def __init__(self, library: Library, usual: Reader, settings: CustomerMail, on_fault: OnFault) -> None:
        self._library = library
        self._usual = usual
        self._settings = settings
        self._on_fault = on_fault

    def letter(self, delivery: Delivery) -> Letter:
        """What a mail says."""
        kind: TemplateKind = "customer_told" if delivery.record.type == "sla.clock.breached.v1" else "customer_restored"
        shown = self._shown(delivery)
        reader = self._reader(delivery)
        try:
            given = view(shown, kind, reader)
            subject, text, html = (
                self._library.render(part, kind, reader, given) for part in ("subject", "text", "html")
            )
        except BadDocument as exc:
            self._on_fault(kind, exc)
            return _plain(shown, kind)
        return Letter(one_line(subject)[:SUBJECT_CHARACTERS], f"{text.strip()}\n", html)

    def line(self, delivery: Delivery) -> str:
        """It in one line."""
        return self.letter(delivery).subject

    def chat(self, delivery: Delivery) -> str:
        """It in a few lines."""
        return self.letter(delivery).text

    def button(self, _delivery: Delivery) -> str:
        """Nothing: an alert is not for a customer to acknowledge."""
        return ""

    def _shown(self, delivery: Delivery) -> Delivery:
        record = delivery.record
        public = for_the_customer(record, self._settings.shown) if isinstance(record, BreachRecord) else record
        return replace(delivery, record=public, route="", receiver="", reason="", alert=None, members=())

    def _reader(self, delivery: Delivery) -> Reader:
        record, name = delivery.record, self._settings.language_from
        told = record.data.attributes.get(name) if name is not None and isinstance(record, BreachRecord) else None
        if not isinstance(told, str):
            return self._usual
        try:
            return Reader(told, self._usual.zone)
        except ValueError:
            return self._usual


def writer_for(receiver: Receiver, library: Library, on_fault: OnFault) -> Writer:
    """Who writes what *receiver* is sent."""
    if isinstance(receiver.email, CustomerMail):
        return CustomerWriter(library, receiver.reader, receiver.email, on_fault)
    return TemplateWriter(library, receiver.reader, on_fault)


def _plain(delivery: Delivery, kind: TemplateKind) -> Letter:
    # Without a template, in the one language that is always there; what failed is for the log alone.
    title, said = _PLAIN[kind]
    record = delivery.record
    name = f"{record.data.kind} {record.data.id}" if isinstance(record, BreachRecord) else "request"
    subject = one_line(f"Your {name}: {title}")[:SUBJECT_CHARACTERS]
    return Letter(subject, f"{subject}\n\n{said}\n")
