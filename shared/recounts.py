"""Events of `sla.events.v1` with those that Plazo writes itself: a recount of an item, decided by a person.

From outside they are refused: `shared.cloudevents` does not know their types.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec
from msgspec.structs import replace

from shared.cloudevents import UNREADABLE, bad_record, decode_record, decode_structured, encode_record
from shared.errors import BadRecord
from shared.events import RECOUNTS, Event, Headers, Recount
from shared.hostile import refuse_hostile_text

_TYPE: Final = "ce_type"
_DATA: Final = msgspec.json.Decoder(Recount)
_OBJECT: Final = msgspec.json.Decoder(dict[str, Any])
_ENCODER: Final = msgspec.json.Encoder()


def decode_event(headers: Headers, value: bytes | None) -> Event:
    """The event in a record of `sla.events.v1`, in CloudEvents binary or structured mode.

    Raises:
        BadRecord: it is none; names the field.
    """
    try:
        return decode_record(headers, value)
    except BadRecord as exc:
        if exc.reason != "unknown_type" or value is None:
            raise
        told = (dict(headers).get(_TYPE) or b"").decode(errors="replace")
        if not told:
            return decode_recorded(value)
        if told not in RECOUNTS:
            raise
    plain = [(name, _ordinary(told).encode() if name == _TYPE else text) for name, text in headers]
    return _with_recount(decode_record(plain, b"{}"), told, value)


def decode_recorded(value: bytes) -> Event:
    """The event in a structured CloudEvent (one JSON object), as a file of recorded events has it.

    Raises:
        BadRecord: it is none; names the field.
    """
    try:
        return decode_structured(value)
    except BadRecord as exc:
        if exc.reason != "unknown_type":
            raise
        fields = _fields(value)
        told = fields["type"]
        if told not in RECOUNTS:
            raise
    data = _ENCODER.encode(fields.pop("data", {}))
    plain = decode_structured(_ENCODER.encode({**fields, "type": _ordinary(told)}))
    return _with_recount(plain, told, data)


def encode_event(event: Event) -> tuple[bytes, bytes, list[tuple[str, bytes]]]:
    """(key, value, headers) of any event in CloudEvents binary mode; the inverse of `decode_event`."""
    key, value, headers = encode_record(event)
    return key, value if event.recount is None else _ENCODER.encode(event.recount), headers


def _fields(value: bytes) -> dict[str, Any]:
    # Now all of it is read, also what was passed over before.
    try:
        return _OBJECT.decode(value)
    except UNREADABLE as exc:
        raise bad_record(exc) from exc


def _ordinary(told: str) -> str:
    # A type of the same kind that changes nothing by itself: what is left of a recount is read as one of these.
    return f"{told.partition('.')[0]}.updated"


def _with_recount(plain: Event, told: str, data: bytes) -> Event:
    refuse_hostile_text(data)
    try:
        return replace(plain, type=told, recount=_DATA.decode(data))
    except UNREADABLE as exc:
        error = bad_record(exc)
        raise BadRecord(error.reason, str(error), f"data.{error.field}" if error.field else "data") from exc
