"""What the customer has heard of an alert: the end is for whoever has heard of the beginning. PURE."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from services.notifier.alerts.standing import StandingAlert
from services.notifier.customers import CUSTOMERS, ENDS
from services.notifier.delivery import UNFINISHED, Notice
from shared.breach_records import BreachRecord


def settled(
    alert: StandingAlert, record: BreachRecord, notices: Sequence[Notice]
) -> tuple[StandingAlert, tuple[Notice, ...]]:
    """*alert* after *notices* of *record*, and those of them that count.

    A breach is told once, however often it is replaced. One that was never told has no end to tell of.
    """
    is_told = alert.customer_told
    if record.type == "sla.clock.breached.v1":
        kept = tuple(each for each in notices if each.receiver != CUSTOMERS or not is_told)
        is_told = is_told or any(each.receiver == CUSTOMERS and each.state in UNFINISHED for each in kept)
    elif record.type in ENDS:
        kept = tuple(each for each in notices if each.receiver != CUSTOMERS or is_told)
        is_told = is_told and record.data.replaced_by is not None
    else:
        kept, is_told = tuple(notices), is_told and record.type != "sla.breach.cancelled.v1"
    return (alert if is_told == alert.customer_told else replace(alert, customer_told=is_told)), kept
