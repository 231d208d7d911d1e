"""Alerts as mails over SMTP, in one thread an alert, or a source.

What an answer means:

    2xx                                 delivered, also when some of the addressees were refused; the answer names them
    5xx about the message itself,
    or about every addressee            refused
    everything else, and no answer      retried; a refused login or sender too, because they are the installation's
"""

from __future__ import annotations

import asyncio
import ssl
from dataclasses import dataclass
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime, parseaddr
from typing import Final

import aiosmtplib

from services.notifier import message
from services.notifier.delivery import ChannelName, Delivery, Outcome, Result, kept_answer
from services.notifier.endpoints.mail import Email
from services.notifier.secrecy import forms, of_login
from services.notifier.writing import BUILT_IN, Letter, Writer
from shared.events import Instant, moment

CONCURRENCY: Final = 2


@dataclass(frozen=True, slots=True)
class Envelope:
    """Who writes to whom through which server, the password for it, whose certificates are trusted, in whose words."""

    settings: Email
    password: str | None
    tls: ssl.SSLContext
    writer: Writer = BUILT_IN


class MailChannel:
    """One receiver of mails; each mail has a connection of its own, because alerts are rare."""

    name: ChannelName = "email"

    def __init__(self, envelope: Envelope, *, concurrency: int = CONCURRENCY) -> None:
        self.concurrency = concurrency
        self._settings = envelope.settings
        self._password = envelope.password
        self._tls = envelope.tls
        self._writer = envelope.writer
        self._secrets = forms(*of_login(envelope.settings.smtp.username, envelope.password))

    async def send(self, delivery: Delivery, now: Instant) -> Outcome:
        """Hand the mail to the server once; bounded in time."""
        try:
            async with asyncio.timeout(self._settings.timeout):
                return await self._submit(compose(delivery, self._settings, self._writer.letter(delivery), now))
        except TimeoutError:
            return self._outcome("retry", f"no answer within {self._settings.timeout:g} s")
        except aiosmtplib.SMTPRecipientsRefused as exc:
            said = "; ".join(f"{each.recipient}: {each.code} {each.message}" for each in exc.recipients)
            code = min(each.code for each in exc.recipients)
            return self._outcome("refused" if code >= 500 else "retry", said, code)
        except aiosmtplib.SMTPDataError as exc:
            return self._outcome("refused" if exc.code >= 500 else "retry", f"{exc.code} {exc.message}", exc.code)
        except aiosmtplib.SMTPResponseException as exc:
            return self._outcome("retry", f"{exc.code} {exc.message}", exc.code)
        except (aiosmtplib.SMTPException, OSError) as exc:
            return self._outcome("retry", f"{type(exc).__name__}: {exc}")

    async def _submit(self, mail: EmailMessage) -> Outcome:
        smtp = self._settings.smtp
        refused, said = await aiosmtplib.send(
            mail,
            hostname=smtp.host,
            port=smtp.port,
            local_hostname=_domain(self._settings.sender),
            username=smtp.username,
            password=self._password,
            use_tls=smtp.tls,
            start_tls=smtp.starttls and not smtp.tls,
            tls_context=self._tls,
            timeout=self._settings.timeout,
        )
        left_out = "".join(f"; refused: {address} {answer.code}" for address, answer in refused.items())
        return self._outcome("delivered", f"250 {said}{left_out}", 250)

    def _outcome(self, result: Result, said: str, status: int | None = None) -> Outcome:
        return Outcome(result, kept_answer(said, self._secrets), status)


def compose(delivery: Delivery, settings: Email, letter: Letter, now: Instant) -> EmailMessage:
    """The mail that says *letter*: the same Message-ID at every attempt, one thread for an alert or a source."""
    domain = _domain(settings.sender)
    thread = [f"<{name}@{domain}>" for name in message.thread(delivery.record)]
    mail = EmailMessage(policy=SMTP)
    mail["From"] = settings.sender
    mail["To"] = ", ".join(settings.to)
    mail["Subject"] = letter.subject
    mail["Date"] = format_datetime(moment(now))
    mail["Message-ID"] = f"<{delivery.id}@{domain}>"
    mail["In-Reply-To"] = thread[-1]
    mail["References"] = " ".join(thread)
    mail["Auto-Submitted"] = "auto-generated"  # so that no vacation notice answers it
    mail.set_content(letter.text)
    if letter.html is not None:
        mail.add_alternative(letter.html, subtype="html")
    return mail


def _domain(address: str) -> str:
    return parseaddr(address)[1].rpartition("@")[2]
