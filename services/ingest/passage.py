"""Canonical events that go on as the very bytes in which they came. PURE.

Nearly all events of a source that writes canonical ones in structured mode are of this kind: each is decoded once, to
check it and to learn to which item it belongs, and is not written anew. What is unusual about a record, or wrong with
it, is left to `normalize`, which takes three times as long and says what it is.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from services.ingest.normalize import Origin
from services.ingest.statuses import StatusTable
from shared.cloudevents import ANY_TENANT, KINDS, UNREADABLE, Envelope, is_structured, sequence_of, tenant_of
from shared.errors import BadRecord
from shared.event_data import FIRST_INSTANT, TELLING, EventData, told
from shared.events import Headers, Instant, Kind, instant
from shared.hostile import refuse_deep_nesting, refuse_hostile_text, refuse_large_numbers

STRUCTURED: Final[Headers] = [("content-type", b"application/cloudevents+json")]  # a list, as the client takes it
_OPENING: Final = 0x7B  # `{`


class _Data(EventData, frozen=True, gc=False, omit_defaults=True, forbid_unknown_fields=True):
    """Data that says nothing beyond what Plazo keeps: a message's text, say, is not to be handed on."""


class _Envelope(Envelope, frozen=True, gc=False, forbid_unknown_fields=True):
    """A structured CloudEvent without attributes of which Plazo does not know."""

    data: _Data = _Data()
    datacontenttype: Any = None


class Passage(msgspec.Struct, frozen=True, gc=False):
    """An event that goes on as it came, and what has to be known of it on the way."""

    key: bytes
    value: bytes
    kind: Kind
    time: Instant
    source: str
    attributes: dict[str, Any]


_DECODER: Final = msgspec.json.Decoder(_Envelope)


def passage(
    headers: Headers, value: bytes | None, origin: Origin, *, latest: Instant, statuses: StatusTable
) -> Passage | None:
    """How the event of a record goes on unchanged; None when the record has to be looked at more closely.

    *latest* is as for `normalize`. An event that names no tenant is given that of its topic, in front of what it says.
    """
    if not value or value[0] != _OPENING or len(value) > origin.largest or not is_structured(dict(headers)):
        return None
    try:
        envelope = _DECODER.decode(value)
        kind = KINDS.get(envelope.type)
        at = instant(envelope.time)
        if kind is None or not FIRST_INSTANT <= at <= latest or not _is_sound(envelope, value):
            return None
        tenant = tenant_of(envelope.tenant, origin.tenancy)
        named = _naming(tenant, envelope, value, origin.largest)
    except (*UNREADABLE, BadRecord):
        return None
    attributes = envelope.data.attributes
    if named is None or not statuses.keeps(envelope.source, attributes):
        return None
    return Passage(f"{tenant}/{kind}/{envelope.subject}".encode(), named, kind, at, envelope.source, attributes)


def _is_sound(envelope: _Envelope, value: bytes) -> bool:
    # Everything that `normalize` asks for beyond what the decoder does.
    refuse_hostile_text(value)
    refuse_deep_nesting(value)
    if envelope.data.attributes:
        refuse_large_numbers(envelope.data.attributes)
    if envelope.type in TELLING:
        told(envelope.type, envelope.data)
    if envelope.sequence != 0:
        sequence_of(envelope.sequence)
    return envelope.data_base64 is None


def _naming(tenant: str, envelope: _Envelope, value: bytes, largest: int) -> bytes | None:
    """The event so that every reader takes it for the tenant's; None where more than an addition is needed."""
    if tenant == tenant_of(envelope.tenant, ANY_TENANT):
        return value
    if envelope.tenant is not None or b'"tenant"' in value or b"\\u" in value:  # a null, perhaps in other letters
        return None
    longer = b'{"tenant":%b,%b' % (msgspec.json.encode(tenant), value[1:])
    return longer if len(longer) <= largest else None
