"""CloudEvents 1.0 on Kafka: canonical events in binary or structured mode, breach events in binary mode."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Final, Literal, get_args

import msgspec

from shared.errors import BadRecord, DeadLetterReason
from shared.events import EVENT_TYPES, Author, BreachEvent, BreachType, Event, Headers, Instant, instant, rfc3339


class EventData(msgspec.Struct, frozen=True):
    """The `data` of a canonical CloudEvent."""

    attributes: dict[str, Any] = {}
    author: Author | None = None
    public: bool = True


class Envelope(msgspec.Struct, frozen=True):
    """A canonical event as a structured CloudEvent."""

    specversion: Literal["1.0"]
    id: Annotated[str, msgspec.Meta(min_length=1, max_length=512)]
    source: Annotated[str, msgspec.Meta(min_length=1, max_length=512)]
    type: str
    subject: Annotated[str, msgspec.Meta(min_length=1, max_length=512)]
    time: Annotated[datetime, msgspec.Meta(tz=True)]
    tenant: Annotated[str, msgspec.Meta(min_length=1, max_length=128, pattern="^[^/]*$")] = "default"
    sequence: int | str = 0  # the CloudEvents extension is a string; a number is taken too
    data: EventData = EventData()


_ENVELOPE: Final = msgspec.json.Decoder(Envelope)
_DATA: Final = msgspec.json.Decoder(EventData)
_ENCODER: Final = msgspec.json.Encoder()


def decode_structured(value: bytes) -> Event:
    """The event in a structured CloudEvent (one JSON object).

    Raises:
        BadRecord: *value* is not JSON, or a field is missing or wrong; names the field.
    """
    try:
        envelope = _ENVELOPE.decode(value)
    except (msgspec.DecodeError, UnicodeDecodeError) as exc:
        raise bad_record(exc) from exc
    refuse_hostile_text(value)
    return from_envelope(envelope)


def decode_record(headers: Headers, value: bytes | None) -> Event:
    """The event in a Kafka record in CloudEvents binary or structured mode.

    Raises:
        BadRecord: it is not a canonical event; names the field.
    """
    named = dict(headers)
    if value is None:
        raise BadRecord("undecodable", "the record has no value")
    if named.get("content-type", b"").startswith(b"application/cloudevents") or "ce_id" not in named:
        return decode_structured(value)
    try:
        fields: dict[str, Any] = {name[3:]: text.decode() for name, text in headers if name.startswith("ce_")}
        fields["data"] = _DATA.decode(value) if value else EventData()
        envelope = msgspec.convert(fields, Envelope)
    except (msgspec.DecodeError, msgspec.ValidationError, UnicodeDecodeError) as exc:
        raise bad_record(exc) from exc
    refuse_hostile_text(value)
    return from_envelope(envelope)


def from_envelope(envelope: Envelope) -> Event:
    """The event that a checked envelope carries.

    Raises:
        BadRecord: its type is none of EVENT_TYPES, or its sequence is no whole number.
    """
    if envelope.type not in EVENT_TYPES:
        raise BadRecord("unknown_type", f"expected one of the canonical event types, got {envelope.type!r}", "type")
    try:
        sequence = int(envelope.sequence)
    except ValueError as exc:
        raise BadRecord("invalid", f"expected a whole number, got {envelope.sequence!r}", "sequence") from exc
    data = envelope.data
    return Event(
        time=instant(envelope.time),
        id=envelope.id,
        source=envelope.source,
        type=envelope.type,
        tenant=envelope.tenant,
        kind=envelope.type.partition(".")[0],  # type: ignore[arg-type]  # EVENT_TYPES hold the three kinds only
        subject=envelope.subject,
        sequence=sequence,
        attributes=data.attributes,
        author=data.author,
        public=data.public,
    )


def encode_record(event: Event) -> tuple[bytes, bytes, list[tuple[str, bytes]]]:
    """(key, value, headers) of the event in CloudEvents binary mode; the inverse of `decode_record`."""
    headers = [
        ("ce_specversion", b"1.0"),
        ("ce_id", event.id.encode()),
        ("ce_source", event.source.encode()),
        ("ce_type", event.type.encode()),
        ("ce_subject", event.subject.encode()),
        ("ce_time", rfc3339(event.time).encode()),
        ("ce_tenant", event.tenant.encode()),
        ("content-type", b"application/json"),
    ]
    if event.sequence:
        headers.append(("ce_sequence", str(event.sequence).encode()))
    value = _ENCODER.encode(EventData(event.attributes, event.author, event.public))
    return event.item.encode(), value, headers


def refuse_hostile_text(value: bytes) -> None:
    """Refuse text that PostgreSQL cannot store.

    Raises:
        BadRecord: *value* (JSON) holds the character U+0000.
    """
    if b"\\u0000" in value and "\0" in _texts(msgspec.json.decode(value)):
        raise BadRecord("invalid", "the character U+0000 is not allowed in any text")


def _texts(value: Any) -> str:
    # All the text in a JSON value, run together; only ever called for records that look hostile.
    if isinstance(value, dict):
        return "".join(key + _texts(item) for key, item in value.items())
    if isinstance(value, list):
        return "".join(_texts(item) for item in value)
    return value if isinstance(value, str) else ""


def bad_record(exc: Exception) -> BadRecord:
    """A decoding error of msgspec as a BadRecord that names the field."""
    text, _, path = str(exc).partition(" - at `")
    field = path.rstrip("`").removeprefix("$").removeprefix(".") or None
    reason: DeadLetterReason = "invalid" if isinstance(exc, msgspec.ValidationError) else "undecodable"
    return BadRecord(reason, text, field)


def breach_headers(*, event_id: str, event_type: BreachType, item: str, tenant: str, time: Instant) -> Headers:
    """The CloudEvents headers of a record on `sla.breaches.v1` (binary mode)."""
    return [
        ("ce_specversion", b"1.0"),
        ("ce_id", event_id.encode()),
        ("ce_source", b"/plazo/timer"),
        ("ce_type", event_type.encode()),
        ("ce_subject", item.encode()),
        ("ce_time", rfc3339(time).encode()),
        ("ce_tenant", tenant.encode()),
        ("content-type", b"application/json"),
    ]


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
    except (msgspec.DecodeError, msgspec.ValidationError, UnicodeDecodeError) as exc:
        raise bad_record(exc) from exc
    refuse_hostile_text(value)
    return record


def _breach_fields(headers: Headers, value: bytes) -> dict[str, Any]:
    named = dict(headers)
    if named.get("content-type", b"").startswith(b"application/cloudevents") or "ce_id" not in named:
        return _OBJECT.decode(value)
    fields: dict[str, Any] = {name[3:]: text.decode() for name, text in headers if name.startswith("ce_")}
    return {**fields, "data": _BREACH.decode(value)}
