"""The canonical format: CloudEvents 1.0 in binary, structured and batched mode, JSON data."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import msgspec

from shared.cloudevents import Envelope, Tenancy, bad_record, decode_record, decode_structured, is_structured
from shared.errors import BadRecord
from shared.event_data import EventData
from shared.events import EVENT_TYPES, Event, Headers
from shared.hostile import refuse_deep_nesting

_ARRAY: Final = msgspec.json.Decoder(list[msgspec.Raw])
_OBJECT: Final = msgspec.json.Decoder(dict[str, Any])
_MEMBERS: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])
_NO_ARRAY: Final = (b"{", b"")  # how nearly all values begin
_SOUND: Final = {  # an event with which nothing is wrong
    "specversion": "1.0",
    "id": "1",
    "source": "/",
    "type": "ticket.created",
    "subject": "1",
    "time": "2000-01-01T00:00:00Z",
}


def read(headers: Headers, value: bytes, tenancy: Tenancy) -> list[Event]:
    """The one event of a record in binary or structured mode.

    Raises:
        BadRecord: it is not a canonical event; names the field.
    """
    event = decode_record(headers, value, tenancy)
    refuse_deep_nesting(value)
    return [event]


def split(headers: Headers, value: bytes) -> list[bytes] | None:
    """The structured events of a record in batched mode (a JSON array of them); None in any other mode.

    Raises:
        BadRecord: the array cannot be taken apart.
    """
    if value[:1] in _NO_ARRAY or value.lstrip()[:1] != b"[" or not is_structured(dict(headers)):
        return None
    return elements(value)


def elements(array: bytes) -> list[bytes]:
    """The elements of a JSON array, each as it stands there.

    Raises:
        BadRecord: it is no JSON array.
    """
    try:
        return [bytes(element) for element in _ARRAY.decode(array)]
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as exc:
        raise bad_record(exc) from exc


def spoken_for(value: bytes, tenant: str) -> bytes:
    """A structured event that names *tenant* where it named none; what is no JSON object stays as it is.

    Each of its members stands there once afterwards, so that nobody can read another tenant than we do.
    """
    try:
        members = _MEMBERS.decode(value)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return value
    if bytes(members.get("tenant", b"null")).strip() == b"null":
        members["tenant"] = msgspec.Raw(msgspec.json.encode(tenant))
    return msgspec.json.encode(members)


def problems(value: bytes, tenancy: Tenancy) -> list[BadRecord]:
    """Everything that is wrong with a structured event, field by field; empty when it can be used.

    Slow: for answering a person, after `read` has refused.
    """
    try:
        fields = _OBJECT.decode(value)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as exc:
        return [bad_record(exc)]
    found = []
    for name, event in _alone(fields):
        try:
            encoded = msgspec.json.encode(event)
            decode_structured(encoded, tenancy)
            refuse_deep_nesting(encoded)
        except BadRecord as exc:
            found.append(BadRecord(exc.reason, str(exc), exc.field or name))
    return found


def _alone(fields: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    # Each field by itself in an event that is otherwise sound: so the first mistake hides no other.
    data = fields.get("data")
    for field in msgspec.structs.fields(Envelope):
        if field.name != "data" or not isinstance(data, dict):
            sound = {name: value for name, value in _SOUND.items() if name != field.name}
            yield field.name, {**sound, **{name: fields[name] for name in (field.name,) if name in fields}}
    if isinstance(data, dict):
        # What counts in `data` depends on the type.
        told = fields.get("type")
        sound = {**_SOUND, "type": told} if isinstance(told, str) and told in EVENT_TYPES else _SOUND
        for field in msgspec.structs.fields(EventData):
            if field.name in data:
                yield f"data.{field.name}", {**sound, "data": {field.name: data[field.name]}}
