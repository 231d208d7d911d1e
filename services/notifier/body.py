"""What programs are sent: the body of a webhook, and the same as a CloudEvent. PURE."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal
from uuid import UUID

import msgspec

from services.notifier.card import standing_of
from services.notifier.delivery import AlertStanding, Delivery
from shared.breach_records import PublishedRecord, PublishedType
from shared.events import BreachEvent, SourceSilence, instant, rfc3339

SOURCE: Final = "/plazo/notifier"
DIGEST: Final = "sla.digest.v1"


class AlertPart(msgspec.Struct, frozen=True):
    """The alert that a message is about, as it stands when the message is sent."""

    id: UUID
    standing: AlertStanding
    acknowledged_by: str | None
    url: str | None  # where whoever holds this message acknowledges the alert


class Body(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a webhook carries, as Standard Webhooks lays it out."""

    type: PublishedType
    timestamp: str  # when it happened, RFC 3339
    data: BreachEvent | SourceSilence
    alert: AlertPart | None = None  # of a breach


class Digest(msgspec.Struct, frozen=True):
    """Several that are told together."""

    count: int
    worst: list[Body]  # the worst first, as many as are named
    url: str | None = None  # where all of them are listed


class DigestBody(msgspec.Struct, frozen=True):
    """What a webhook carries of several that are told together."""

    type: Literal["sla.digest.v1"]
    timestamp: str  # of the one that is named first
    data: Digest


@dataclass(frozen=True, slots=True)
class CloudEvent:
    """A delivery as a CloudEvent 1.0: its attributes, `specversion` among them, and its data as JSON."""

    attributes: Mapping[str, str]
    data: bytes


def body(delivery: Delivery) -> bytes:
    """The JSON of a webhook."""
    return msgspec.json.encode(_body(delivery))


def cloud_event(delivery: Delivery) -> CloudEvent:
    """*delivery* as a CloudEvent; every repeat has the same id and source."""
    record, told = delivery.record, _body(delivery)
    attributes = {
        "specversion": "1.0",
        "id": delivery.message_id,
        "source": SOURCE,
        "type": told.type,
        "subject": record.key,
        "time": told.timestamp,
        "datacontenttype": "application/json",
        "tenant": record.data.tenant,
        "standing": standing_of(delivery),
    }
    if delivery.alert is not None:
        attributes["alertid"] = str(delivery.alert.id)
    return CloudEvent(attributes, msgspec.json.encode(told.data))


def structured(event: CloudEvent) -> bytes:
    """*event* in one JSON document."""
    return msgspec.json.encode({**event.attributes, "data": msgspec.Raw(event.data)})


def _body(delivery: Delivery) -> Body | DigestBody:
    told = _told(delivery.record)
    if delivery.count > 1:
        members = delivery.members or (delivery.record,)
        worst = [_briefly(each) for each in members]
        return DigestBody(DIGEST, told.timestamp, Digest(delivery.count, worst, delivery.listed_at))
    view = delivery.alert
    if view is None:
        return told
    return msgspec.structs.replace(told, alert=AlertPart(view.id, view.standing, view.acknowledged_by, view.url))


def _told(record: PublishedRecord) -> Body:
    return Body(record.type, rfc3339(instant(record.time)), record.data)


def _briefly(record: PublishedRecord) -> Body:
    # Without the explanation: twenty of them could be more than a topic takes.
    told = _told(record)
    if isinstance(told.data, SourceSilence):
        return told
    return msgspec.structs.replace(told, data=msgspec.structs.replace(told.data, explanation=[]))
