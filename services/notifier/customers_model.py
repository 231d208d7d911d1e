"""Telling customers as `notify.yaml` describes it. PURE."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from services.notifier.customers import PLAN, CustomerMail, Customers, Tell
from services.notifier.endpoints.mail import Smtp
from services.notifier.endpoints.values import Address, Timeout
from services.notifier.reader import FALLBACK
from services.notifier.receivers import Language, Receiver, Zone
from services.notifier.route_model import Asked


def _listed(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


_Attributes = Annotated[tuple[str, ...], BeforeValidator(_listed, json_schema_input_type=str | list[str])]


class CustomersModel(Asked):
    """Of what customers are told, when, and by which mail server."""

    tell: Tell
    address: str = Field("requester_email", min_length=1)
    plan: Annotated[_Attributes, Field(min_length=1)] = PLAN
    shown: _Attributes = ()
    sender: Address = Field(alias="from")
    smtp: Smtp
    timeout: Timeout = 30.0
    language: Language = FALLBACK
    language_from: str | None = None
    zone: Zone = "UTC"
    concurrency: int | None = Field(None, ge=1, le=64)

    @property
    def customers(self) -> Customers:
        """Of what customers are told, and when."""
        return Customers(self.tell, self.conditions, self.address, self.plan)

    @property
    def receiver(self) -> Receiver:
        """Who they are, as one receiver."""
        mail = CustomerMail.model_validate(
            {
                "from": self.sender,
                "smtp": self.smtp,
                "timeout": self.timeout,
                "attribute": self.address,
                "shown": tuple(dict.fromkeys((*self.plan, *self.shown))),
                "language_from": self.language_from,
            }
        )
        reader = {"language": self.language, "zone": self.zone}
        return Receiver.model_validate({"email": mail, "concurrency": self.concurrency, **reader})
