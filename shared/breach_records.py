"""What a subscriber of `sla.breaches.v1` reads: breach events and silences, as CloudEvents 1.0 on Kafka."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Final, get_args

import msgspec

from shared.cloudevents import UNREADABLE, attributes_of, bad_record, is_structured
from shared.errors import BadRecord
from shared.event_data import FIRST_INSTANT, LAST_INSTANT
from shared.events import BreachEvent, BreachType, Headers, SilenceType, SourceSilence, instant, parse_instant
from shared.hostile import refuse_deep_nesting, refuse_hostile_text, shown


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

TYPE_NAMES: Final[Mapping[PublishedType, str]] = {
    "sla.clock.warning.v1": "warning",
    "sla.clock.breached.v1": "breached",
    "sla.breach.stopped.v1": "stopped",
    "sla.breach.cancelled.v1": "cancelled",
    "sla.breach.retracted.v1": "retracted",
    "sla.source.silent.v1": "silent",
}
"""The types by the short names that people use."""

_TIMES: Final = (
    *("started_at", "due_at", "breached_at", "stopped_at"),
    *("last_event_at", "detected_at", "evidence_through"),
)
_ID: Final = re.compile(r"[!-~]{1,128}")
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
    refuse_deep_nesting(value)
    _refuse_unsound(record)
    return record


def published_record(fields: Mapping[str, Any]) -> PublishedRecord:
    """The record with these attributes and this `data`, plain or typed.

    Raises:
        BadRecord: its type is not known.
        msgspec.ValidationError: a field is missing or wrong.
    """
    told = fields.get("type")
    if not isinstance(told, str) or told not in PUBLISHED_TYPES:
        raise BadRecord("unknown_type", f"expected a breach event's type, got {shown(told)}", "type")
    if told == SILENCE:
        return msgspec.convert(fields, SilenceRecord)
    return msgspec.convert(fields, BreachRecord)


def _refuse_unsound(record: PublishedRecord) -> None:
    # What a decoder takes for text, and the channels and the database take for something else.
    if not FIRST_INSTANT <= instant(record.time) < LAST_INSTANT:
        raise BadRecord("invalid", "expected a time between the years 1900 and 9000", "time")
    data = record.data
    for name in _TIMES:
        _refuse_no_time(name, getattr(data, name, None))
    if not isinstance(data, BreachEvent):
        return
    for place, span in enumerate(data.explanation):
        _refuse_no_time(f"explanation[{place}].start", span.start)
        _refuse_no_time(f"explanation[{place}].end", span.end)
    for name in ("clock_id", "breach_id", "replaced_by"):
        told = getattr(data, name)
        if told is not None and not _ID.fullmatch(told):
            raise BadRecord(
                "invalid", f"expected an id of up to 128 visible characters, got {shown(told)}", f"data.{name}"
            )
    if data.item != f"{data.tenant}/{data.kind}/{data.id}":
        raise BadRecord("invalid", f"expected tenant/kind/id, got {shown(data.item)}", "data.item")


def _refuse_no_time(name: str, text: str | None) -> None:
    if text is None:
        return
    try:
        parse_instant(text)
    except ValueError as exc:
        raise BadRecord("invalid", str(exc), f"data.{name}") from exc


def _fields(headers: Headers, value: bytes) -> dict[str, Any]:
    named = dict(headers)
    if is_structured(named):
        return _OBJECT.decode(value)
    attributes = attributes_of(named)
    decoder = _DATA.get(attributes.get("type", ""), _OBJECT)
    return {**attributes, "data": decoder.decode(value)}
