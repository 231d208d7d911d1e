"""What a subscriber of `sla.breaches.v1` reads: breach events and silences, as CloudEvents 1.0 on Kafka."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Final, get_args

import msgspec

from shared.cloudevents import UNREADABLE, attributes_of, bad_record, is_structured
from shared.errors import BadRecord
from shared.events import BreachEvent, BreachType, Headers, SilenceType, SourceSilence
from shared.hostile import refuse_hostile_text


class BreachRecord(msgspec.Struct, frozen=True):
    """A record on `sla.breaches.v1`: the CloudEvent's own attributes, and what it tells of a clock."""

    id: Annotated[str, msgspec.Meta(min_length=1, max_length=512)]
    type: BreachType
    time: Annotated[datetime, msgspec.Meta(tz=True)]
    data: BreachEvent

    @property
    def key(self) -> str:
        """The item: `tenant/kind/id`."""
        return self.data.item

    @property
    def name(self) -> str:
        """The item's own id."""
        return self.data.id


class SilenceRecord(msgspec.Struct, frozen=True):
    """A record on `sla.breaches.v1`: the CloudEvent's own attributes, and which source has gone quiet."""

    id: Annotated[str, msgspec.Meta(min_length=1, max_length=512)]
    type: SilenceType
    time: Annotated[datetime, msgspec.Meta(tz=True)]
    data: SourceSilence

    @property
    def key(self) -> str:
        """The source: `tenant/source/name`."""
        return self.data.key

    @property
    def name(self) -> str:
        """The source's own name."""
        return self.data.source


PublishedType = BreachType | SilenceType
PublishedRecord = BreachRecord | SilenceRecord

_OBJECT: Final = msgspec.json.Decoder(dict[str, Any])
BREACH_TYPES: Final = frozenset(get_args(BreachType))
SILENCE: Final[SilenceType] = "sla.source.silent.v1"
PUBLISHED_TYPES: Final = BREACH_TYPES | {SILENCE}
_DATA: Final = {
    event_type: msgspec.json.Decoder(SourceSilence if event_type == SILENCE else BreachEvent)
    for event_type in PUBLISHED_TYPES
}


def decode_published(headers: Headers, value: bytes | None) -> PublishedRecord:
    """What a record on `sla.breaches.v1` says, in CloudEvents binary or structured mode.

    Raises:
        BadRecord: it is none of ours, or of a type that is newer than this version; names the field.
    """
    if value is None:
        raise BadRecord("undecodable", "the record has no value")
    try:
        record = published_record(_fields(headers, value))
    except UNREADABLE as exc:
        raise bad_record(exc) from exc
    refuse_hostile_text(value)
    return record


def published_record(fields: Mapping[str, Any]) -> PublishedRecord:
    """The record with these attributes and this `data`, plain or typed.

    Raises:
        BadRecord: its type is not known.
        msgspec.ValidationError: a field is missing or wrong.
    """
    if fields.get("type") not in PUBLISHED_TYPES:
        raise BadRecord("unknown_type", f"expected a breach event's type, got {fields.get('type')!r}", "type")
    if fields["type"] == SILENCE:
        return msgspec.convert(fields, SilenceRecord)
    return msgspec.convert(fields, BreachRecord)


def _fields(headers: Headers, value: bytes) -> dict[str, Any]:
    named = dict(headers)
    if is_structured(named):
        return _OBJECT.decode(value)
    attributes = attributes_of(named)
    decoder = _DATA.get(attributes.get("type", ""), _OBJECT)
    return {**attributes, "data": decoder.decode(value)}
