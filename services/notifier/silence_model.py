"""A silence as somebody asks for it, over HTTP or at the command line. PURE."""

from __future__ import annotations

from typing import Annotated, Any, Final
from uuid import UUID

from pydantic import AwareDatetime, Field, StringConstraints, model_validator

from services.notifier.holding.silences import Silence
from services.notifier.matching import Conditions
from services.notifier.route_model import Asked
from shared.events import DAY, Instant, instant

LONGEST_DAYS: Final = 366
Words = Annotated[str, StringConstraints(min_length=1, max_length=500, pattern=r"^[^\x00]*$")]


class Matched(Asked):
    """What is to be silenced: all that is asked for must hold, and something must be."""

    tenant: Annotated[str, StringConstraints(min_length=1, max_length=128, pattern=r"^[^\x00/]*$")] | None = Field(
        None, description="Whose; without it, the caller's own, or every tenant's where the caller may do that."
    )

    @model_validator(mode="after")
    def _something(self) -> Matched:
        if not self.conditions:
            raise ValueError("expected one of match, regex, when: a silence of everything would hide what breaks next")
        values = (each for allowed in self.match.values() for each in allowed)
        patterns = (pattern.text for pattern in self.regex.values())
        texts = [*self.match, *values, *self.regex, *patterns, "" if self.when is None else self.when.text]
        if any("\0" in text for text in texts):
            raise ValueError("expected texts without the character NUL")
        return self

    @property
    def asked(self) -> dict[str, Any]:
        """What it asks for as it can be stored and read again."""
        return {
            "match": {name: sorted(values) for name, values in self.match.items()},
            "regex": {name: pattern.text for name, pattern in self.regex.items()},
            **({} if self.when is None else {"when": self.when.text}),
        }


class SilenceModel(Matched):
    """What is to be silenced from when until when, by whom and why."""

    starts: AwareDatetime | None = Field(None, alias="from", description="RFC 3339; now where it is not given.")
    ends: AwareDatetime = Field(alias="until", description="RFC 3339, after `from` and within 366 days of it.")
    author: Words
    reason: Words

    def silence(self, identity: UUID, tenant: str | None, now: Instant) -> Silence:
        """It as it would be in force.

        Raises:
            ValueError: it would end before it begins, has ended by *now*, or would last for more than a year.
        """
        starts = now if self.starts is None else instant(self.starts)
        ends = instant(self.ends)
        if ends <= max(starts, now):
            raise ValueError("until: expected an instant after `from` that is still to come")
        if ends - starts > LONGEST_DAYS * DAY:
            raise ValueError(f"until: expected an instant within {LONGEST_DAYS} days of `from`")
        return Silence(identity, tenant, self.conditions, starts, ends, self.author, self.reason)


def conditions_of(asked: dict[str, Any]) -> Conditions:
    """The conditions that were stored."""
    return Asked.model_validate(asked).conditions
