"""What chats and pagers need of a delivery beside its words: what it is about, how bad it is, how it stands. PURE."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from services.notifier.delivery import AlertStanding, Delivery, alert_id, placed
from services.notifier.wording import one_line
from services.notifier.writing import Writer
from shared.breach_records import BreachRecord, PublishedRecord, PublishedType
from shared.events import Severity

_STANDING: Final[dict[PublishedType, AlertStanding]] = {
    "sla.clock.warning.v1": "warning",
    "sla.clock.breached.v1": "open",
    "sla.breach.stopped.v1": "ended",
    "sla.breach.cancelled.v1": "ended",
    "sla.breach.retracted.v1": "retracted",
    "sla.source.silent.v1": "open",
}
_WAITING: Final = frozenset({"warning", "open"})
_OVER: Final = frozenset({"ended", "retracted"})

BUTTON_CHARACTERS: Final = 40


@dataclass(frozen=True, slots=True)
class Card:
    """A delivery as a message with a mark, and as an entry in a list of alerts."""

    key: str  # what all messages about the same alert have in common
    title: str  # the first line of its words
    lines: tuple[str, ...]  # the others
    severity: Severity
    standing: AlertStanding
    url: str | None  # where whoever reads it acknowledges it; None where there is nothing to acknowledge
    button: str  # what stands on the link

    @property
    def is_over(self) -> bool:
        """Whether nothing is to be done any more."""
        return self.standing in _OVER

    @property
    def is_loud(self) -> bool:
        """Whether somebody is to do something: a message that was only edited would reach nobody."""
        return self.standing in _WAITING

    @property
    def text(self) -> str:
        """All words."""
        return "\n".join((self.title, *self.lines))


def card(delivery: Delivery, writer: Writer) -> Card:
    """What *delivery* shows, in the words of *writer*; of a digest, which is about many, none can be acknowledged."""
    standing, view = standing_of(delivery), delivery.alert
    url = None
    if view is not None and standing in _WAITING and delivery.count == 1:
        url = view.url
    # The words have no link: the channel has a place for it.
    told = delivery if view is None else replace(delivery, alert=replace(view, url=None))
    button = "" if url is None else one_line(writer.button(told))[:BUTTON_CHARACTERS]
    first, *others = writer.chat(told).splitlines() or [""]
    return Card(key_of(delivery), first, tuple(others), delivery.record.data.severity, standing, url, button)


def standing_of(delivery: Delivery) -> AlertStanding:
    """How what *delivery* is about stands now; without a word on that, as it stood when it was published."""
    if delivery.alert is not None:
        return delivery.alert.standing
    return standing_after(delivery.record)


def standing_after(record: PublishedRecord) -> AlertStanding:
    """How an alert stands after *record*, if nothing else is known."""
    return _STANDING[record.type]


def key_of(delivery: Delivery) -> str:
    """What all deliveries about the same alert have in common; a digest, which is about several, has its own."""
    if delivery.count > 1:
        return f"digest-{delivery.id}"
    if delivery.alert is not None:
        return str(delivery.alert.id)
    return key_of_record(delivery.record)


def key_of_record(record: PublishedRecord) -> str:
    """What all that is published about one clock, or about one source, has in common."""
    return str(alert_id(record) or placed(record.key, "silence"))


def subject_of(record: PublishedRecord) -> str:
    """What kind of thing it is about: a metric's name, or `silence`."""
    return record.data.metric if isinstance(record, BreachRecord) else "silence"
