"""Several notices in the words of one: a line, a subject, a longer text. PURE."""

from __future__ import annotations

from services.notifier import message
from services.notifier.delivery import Delivery
from services.notifier.wording import one_line


def is_digest(delivery: Delivery) -> bool:
    """Whether *delivery* tells of several events."""
    return bool(delivery.members)


def headline(delivery: Delivery) -> str:
    """How many, and the worst of them: `12 alerts, the worst: Breached: ticket 42, first response`."""
    return f"{delivery.count} alerts, the worst: {message.headline(delivery.record)}"


def line(delivery: Delivery) -> str:
    """It in one line: how many, and the line of the worst."""
    return f"{delivery.count} alerts · {message.line(delivery.record)} · and {delivery.count - 1} more"


def subject(delivery: Delivery) -> str:
    """The subject of a mail, in one line."""
    return f"[Plazo] {headline(delivery)}"


def text(delivery: Delivery) -> str:
    """The longer text, for a mail: a line for each that is shown, the worst first, and why they come together."""
    shown = [f"{place}. {message.line(each)}" for place, each in enumerate(delivery.members, 1)]
    left = delivery.count - len(shown)
    listed = "\n".join([*shown, *([f"and {left} more"] if left > 0 else [])])
    where = [f"All of them: {delivery.listed_at}"] if delivery.listed_at else []
    return "\n\n".join([headline(delivery), listed, *where, f"Told together: {one_line(delivery.reason)}."]) + "\n"
