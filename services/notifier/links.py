"""Links in messages: one acknowledges an alert, another shows all that a digest tells of. PURE."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final
from uuid import UUID

from shared.errors import Denied
from shared.events import DAY, Instant, Span
from shared.signed_links import Seal

LASTS: Final[Span] = 7 * DAY  # longer than retries go on; who finds an old mail later uses the API
PATH: Final = "/alerts/"
DIGESTS: Final = "/digests/"


@dataclass(frozen=True, slots=True)
class Invitation:
    """What a link was made for."""

    alert: UUID
    receiver: str  # whom it was sent to


class Links:
    """Makes links of an installation whose notifier is reached at *base_url*, and reads their tokens."""

    def __init__(self, base_url: str, secret: str) -> None:
        self._base_url = base_url.rstrip("/")
        self._seal = Seal(secret, "plazo alert")

    def to(self, alert: UUID, receiver: str, now: Instant) -> str:
        """The link that a message about *alert* to *receiver* carries; it lasts LASTS from *now*."""
        token = self._seal.signed({"alert": alert.hex, "to": receiver}, now + LASTS)
        return f"{self._base_url}{PATH}{token}"

    def of_digest(self, digest: UUID, now: Instant) -> str:
        """The link that a digest carries; what it shows is no more than what its receivers were told."""
        token = self._seal.signed({"digest": digest.hex}, now + LASTS)
        return f"{self._base_url}{DIGESTS}{token}"

    def digest_in(self, token: str, now: Instant) -> UUID:
        """The digest that the token at the end of a link was made for.

        Raises:
            Denied: it is none of ours, or has expired.
        """
        told = self._seal.read(token, now)
        try:
            return UUID(hex=told["digest"])
        except (KeyError, ValueError, AttributeError) as exc:
            raise Denied("The link is not one of ours, or has expired.") from exc

    def read(self, token: str, now: Instant) -> Invitation:
        """What the token at the end of a link was made for.

        Raises:
            Denied: it is none of ours, or has expired.
        """
        told = self._seal.read(token, now)
        try:
            return Invitation(UUID(hex=told["alert"]), str(told["to"]))
        except (KeyError, ValueError, AttributeError) as exc:
            raise Denied("The link is not one of ours, or has expired.") from exc
