"""Telling the customer that a promise is broken, apart from the team: of which breaches, when, and where. PURE."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parseaddr
from typing import Any, Final, Literal

import msgspec
from pydantic import TypeAdapter, ValidationError

from services.notifier.delivery import Notice
from services.notifier.endpoints.mail import Email
from services.notifier.endpoints.values import Address
from services.notifier.matching import Conditions
from shared.breach_records import BreachRecord, PublishedRecord
from shared.events import BreachType

Tell = Literal["immediately", "when_planned"]

CUSTOMERS: Final = "customers"
"""The receiver of what customers are told, and the route that chooses it; no other may be called so."""
PLAN: Final = (
    "plan",
    "restore_at",
)  # the attributes that say what will be done, and when, unless the file names others
ENDS: Final[frozenset[BreachType]] = frozenset({"sla.breach.stopped.v1", "sla.breach.retracted.v1"})
_WITH_PLAN: Final = ":plan"
_ADDRESS: Final = TypeAdapter(Address)


class CustomerMail(Email):
    """A mail to whoever asked: the address is the item's, so there is none in the file."""

    to: tuple[Address, ...] = ()
    attribute: str  # of the item, that holds the address
    shown: tuple[str, ...] = ()  # the attributes of the item that the mail may show; no other
    language_from: str | None = None  # the attribute that holds the customer's language


@dataclass(frozen=True, slots=True)
class Customers:
    """Of what customers are told, and when."""

    tell: Tell
    takes: Conditions
    attribute: str  # of the item, that holds the customer's address
    plan: tuple[str, ...]  # the attributes of which any one says that there is a plan


def notice(customers: Customers, record: PublishedRecord) -> Notice | None:
    """What the customer may have to hear of *record*; of an end only whoever has heard of the breach."""
    if not isinstance(record, BreachRecord) or not customers.takes.hold(record):
        return None
    if address_in(record, customers.attribute) is None:
        return None
    if record.type == "sla.clock.breached.v1":
        why = _why_now(customers, record)
    else:
        # A breach that another one replaces is still one, to whoever waits.
        why = "it is over" if record.type in ENDS and record.data.replaced_by is None else None
    return None if why is None else Notice(CUSTOMERS, CUSTOMERS, "email", f"customers, at {customers.attribute}: {why}")


def of_plan(customers: Customers, record: BreachRecord, plan: Mapping[str, Any]) -> tuple[BreachRecord, Notice] | None:
    """What the customer hears of *record*, the breach, when a *plan* is recorded later; None where that is nothing.

    It is an event of its own, which is the breach with the plan among the item's attributes.
    """
    data = msgspec.structs.replace(record.data, attributes={**record.data.attributes, **plan})
    told = msgspec.structs.replace(record, id=f"{record.id}{_WITH_PLAN}", data=data)
    found = notice(customers, told)
    return None if found is None else (told, found)


def planned(customers: Customers, attributes: Mapping[str, Any]) -> str | None:
    """The first of the attributes of a plan that *attributes* have; None where there is no plan."""
    return next((name for name in customers.plan if attributes.get(name) not in (None, "", False, [], {})), None)


def address_in(record: BreachRecord, attribute: str) -> str | None:
    """The one plain address that the item has in *attribute*; None where it has none, or anything else there."""
    value = record.data.attributes.get(attribute)
    if not isinstance(value, str) or not (value.isascii() and value.strip().isprintable()):
        return None
    if parseaddr(value)[1] != value.strip():
        return None
    try:
        return _ADDRESS.validate_python(value.strip())
    except ValidationError:
        return None


def for_the_customer(record: BreachRecord, shown: tuple[str, ...]) -> BreachRecord:
    """*record* without what is the team's: no policy, no calendar, no evidence, and of the attributes those *shown*."""
    attributes = {name: record.data.attributes[name] for name in shown if name in record.data.attributes}
    data = msgspec.structs.replace(
        record.data,
        policy="",
        policy_version="",
        calendar="",
        calendar_data="",
        severity="medium",
        late_evidence_possible=False,
        attributes=attributes,
        explanation=[],
    )
    return msgspec.structs.replace(record, data=data)


def _why_now(customers: Customers, record: BreachRecord) -> str | None:
    if customers.tell == "immediately":
        return "told immediately"
    found = planned(customers, record.data.attributes)
    return None if found is None else f"there is a plan, in {found}"
