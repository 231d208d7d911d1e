"""Writes messages by templates, and in the built-in form where a template fails: no alert is lost to one. PURE."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final

from services.notifier.delivery import Delivery
from services.notifier.reader import Reader
from services.notifier.templates.library import Library, Part
from services.notifier.templates.view import TemplateKind, kind_of, view
from services.notifier.wording import one_line
from services.notifier.writing import BUILT_IN, Letter
from shared.errors import BadDocument

SUBJECT_CHARACTERS: Final = 300
OnFault = Callable[[TemplateKind, BadDocument], None]


class TemplateWriter:
    """Writes for one *reader*; *on_fault* hears of every template that failed."""

    def __init__(self, library: Library, reader: Reader, on_fault: OnFault) -> None:
        self._library = library
        self._reader = reader
        self._on_fault = on_fault
        library.prepare(reader)

    def letter(self, delivery: Delivery) -> Letter:
        """What a mail says."""
        try:
            subject, text, html = self._rendered(delivery, ("subject", "text", "html"))
        except BadDocument as exc:
            built_in = BUILT_IN.letter(delivery)
            return Letter(built_in.subject, f"{built_in.text}\n{_named(exc)}\n")
        return Letter(one_line(subject)[:SUBJECT_CHARACTERS], f"{text.strip()}\n", html)

    def line(self, delivery: Delivery) -> str:
        """It in one line."""
        try:
            return one_line(*self._rendered(delivery, ("line",)))
        except BadDocument as exc:
            return f"{BUILT_IN.line(delivery)} · {one_line(_named(exc))}"

    def chat(self, delivery: Delivery) -> str:
        """It in a few lines."""
        try:
            return self._rendered(delivery, ("chat",))[0].strip()
        except BadDocument as exc:
            return f"{BUILT_IN.chat(delivery)}\n{_named(exc)}"

    def button(self, delivery: Delivery) -> str:
        """What the button of a chat says."""
        try:
            return one_line(*self._rendered(delivery, ("button",)))
        except BadDocument:  # which was told to those who hear of it
            return BUILT_IN.button(delivery)

    def _rendered(self, delivery: Delivery, parts: Iterable[Part]) -> list[str]:
        kind = kind_of(delivery)
        given: dict[str, Any] = view(delivery, kind, self._reader)
        try:
            return [self._library.render(part, kind, self._reader, given) for part in parts]
        except BadDocument as exc:
            self._on_fault(kind, exc)
            raise


def _named(exc: BadDocument) -> str:
    return f"This is the built-in form, because a template failed: {exc}"
