"""The directory as people write it: themselves, their groups, and who is on call when. PURE."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Final
from zoneinfo import available_timezones

from pydantic import AfterValidator, BeforeValidator, Field, PlainValidator, WithJsonSchema, model_validator

from services.notifier.endpoints.values import Strict
from services.notifier.quiet_hours import QuietHours

ADDRESSED: Final[Mapping[str, str]] = {
    "email": "to",
    "slack": "channel",
    "telegram": "chat",
    "mattermost": "channel",
    "webhook": "url",
}
"""The kinds of channels that people can have, and which of a channel's settings is the address of one of them."""
TURN_DAYS: Final = 7


def _listed(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


def _zone(value: str) -> str:
    if value not in available_timezones():
        raise ValueError(f"expected a time zone like Europe/Madrid, got {value!r:.60}")
    return value


def _local(value: Any) -> datetime:
    try:
        found = datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        found = None
    if found is None or found.tzinfo is not None:
        raise ValueError(f"expected a time in the zone like 2026-01-05 09:00, got {value!r:.60}")
    return found


def _kind(value: str) -> str:
    if value not in ADDRESSED:
        raise ValueError(f"expected one of {', '.join(ADDRESSED)}, got {value!r:.60}")
    return value


Names = Annotated[tuple[str, ...], BeforeValidator(_listed, json_schema_input_type=str | list[str])]
Zone = Annotated[str, AfterValidator(_zone)]
LocalTime = Annotated[datetime, PlainValidator(_local), WithJsonSchema({"type": "string"})]
PersonalKind = Annotated[str, AfterValidator(_kind)]


class PersonModel(Strict):
    """Somebody who can be told."""

    name: str | None = Field(None, min_length=1)
    also: Names = ()
    channels: dict[PersonalKind, str] = Field(default_factory=dict)
    language: str | None = None
    zone: str | None = None
    quiet_hours: QuietHours | None = None

    @property
    def settings(self) -> dict[str, Any]:
        """What of a receiver's settings is the person's own, beside the address."""
        given = {"language": self.language, "zone": self.zone, "quiet_hours": self.quiet_hours}
        return {name: value for name, value in given.items() if value is not None}


class GroupModel(Strict):
    """People who work together."""

    members: Names = ()
    manager: str | None = None
    channel: str | None = None
    on_call: str | None = None


class OverrideModel(Strict):
    """Somebody else's turn."""

    start: LocalTime = Field(alias="from")
    until: LocalTime
    person: str

    @model_validator(mode="after")
    def _forward(self) -> OverrideModel:
        if self.start >= self.until:
            raise ValueError("expected from to be before until")
        return self


class RotationModel(Strict):
    """People who take turns."""

    people: Names = Field(min_length=1)
    zone: Zone
    start: LocalTime = Field(alias="from")
    days: int = Field(TURN_DAYS, ge=1, le=366)
    overrides: tuple[OverrideModel, ...] = ()


class DirectoryModel(Strict):
    """A whole directory."""

    people: dict[str, PersonModel] = Field(min_length=1)
    groups: dict[str, GroupModel] = Field(default_factory=dict)
    on_call: dict[str, RotationModel] = Field(default_factory=dict)
    fallback: Names = Field(min_length=1)
