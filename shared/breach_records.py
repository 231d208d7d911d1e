"""Breach events as CloudEvents 1.0 on Kafka: what a subscriber of `sla.breaches.v1` reads."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Final, get_args

import msgspec

from shared.cloudevents import UNREADABLE, attributes_of, bad_record, is_structured
from shared.errors import BadRecord
from shared.events import BreachEvent, BreachType, Headers
from shared.hostile import refuse_hostile_text


class BreachRecord(msgspec.Struct, frozen=True):
    """A record on `sla.breaches.v1`: the CloudEvent's own attributes, and what it tells of a clock."""

    id: Annotated[str, msgspec.Meta(min_length=1, max_length=512)]
    type: BreachType
    time: Annotated[datetime, msgspec.Meta(tz=True)]
    data: BreachEvent


_BREACH: Final = msgspec.json.Decoder(BreachEvent)
_OBJECT: Final = msgspec.json.Decoder(dict[str, Any])
BREACH_TYPES: Final = frozenset(get_args(BreachType))


def decode_breach(headers: Headers, value: bytes | None) -> BreachRecord:
    """What a record on `sla.breaches.v1` says, in CloudEvents binary or structured mode.

    Raises:
        BadRecord: it is not a breach event, or of a type that is newer than this version; names the field.
    """
    if value is None:
        raise BadRecord("undecodable", "the record has no value")
    try:
        fields = _breach_fields(headers, value)
        if fields.get("type") not in BREACH_TYPES:
            raise BadRecord("unknown_type", f"expected a breach event's type, got {fields.get('type')!r}", "type")
        record = msgspec.convert(fields, BreachRecord)
    except UNREADABLE as exc:
        raise bad_record(exc) from exc
    refuse_hostile_text(value)
    return record


def _breach_fields(headers: Headers, value: bytes) -> dict[str, Any]:
    named = dict(headers)
    if is_structured(named):
        return _OBJECT.decode(value)
    return {**attributes_of(named), "data": _BREACH.decode(value)}
