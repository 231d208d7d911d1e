"""Mails to customers, at a local mail server: each goes to the address of its own item."""

from __future__ import annotations

from services.notifier.channels import guard
from services.notifier.channels.customer_mail import CustomerMailChannel
from services.notifier.channels.mail import Envelope
from services.notifier.customers import CustomerMail
from tests.factories import DUE, breach, delivery
from tests.receivers import mail_receiver


def channel(port: int) -> CustomerMailChannel:
    smtp = {"host": "127.0.0.1", "port": port, "starttls": False}
    given = {"from": "Support <support@example.com>", "smtp": smtp, "attribute": "requester_email"}
    settings = CustomerMail.model_validate(given)
    return CustomerMailChannel(Envelope(settings, None, guard.trusting(None)), settings)


async def test_a_mail_goes_to_the_address_of_its_item_and_to_no_other() -> None:
    async with mail_receiver() as mail:
        customers = channel(mail.port)
        for address in ("ana@example.com", "bea@example.com"):
            sent = delivery(breach(attributes={"requester_email": address}))
            assert (await customers.send(sent, DUE)).result == "delivered"
        assert mail.addressees == [["ana@example.com"], ["bea@example.com"]]
        assert [each["To"] for each in mail.mails] == ["ana@example.com", "bea@example.com"]


async def test_an_item_without_an_address_is_refused_for_good() -> None:
    async with mail_receiver() as mail:
        outcome = await channel(mail.port).send(delivery(breach(attributes={})), DUE)
        assert (outcome.result, outcome.answer) == ("refused", "the item has no address in requester_email")
        assert mail.mails == []
