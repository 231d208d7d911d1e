"""The door for events over HTTP: the same events as on the upstream topics, written to one of them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol
from urllib.parse import unquote

import msgspec
from fastapi import APIRouter, Request
from pydantic import BaseModel

from services.ingest.normalize import PART_HEADERS, Origin, Unusable, read_structured
from services.ingest.openapi import REQUEST_BODY, RESPONSES
from services.ingest.sources import canonical
from shared.callers import Caller
from shared.errors import BadRecord, Unavailable
from shared.events import Event, Instant, Span
from shared.guard import Asking
from shared.kafka.connection import Outgoing
from shared.problems import ProblemError

SINGLE: Final = "application/cloudevents+json"
BATCH: Final = "application/cloudevents-batch+json"
PLAIN: Final = "application/json"
_VALUE: Final = msgspec.json.Decoder(msgspec.Raw)


class Writer(Protocol):
    """Writes records to a topic."""

    async def send(self, topic: str, records: Iterable[Outgoing]) -> None:
        """Write *records* and wait until the brokers have them all; Unavailable when some may be missing."""


class Accepted(BaseModel):
    """How many events were taken."""

    accepted: int


@dataclass(frozen=True, slots=True)
class Door:
    """What the door leads to, and how much goes through."""

    writer: Writer
    topic: str
    origin: Origin
    future_skew: Span
    body_bytes: int
    answer_s: float
    now: Callable[[], Instant]


def router(door: Door) -> APIRouter:
    """The route that takes events."""
    routes = APIRouter(prefix="/v1", tags=["events"])

    @routes.post("/events", status_code=202, responses=RESPONSES, openapi_extra={"requestBody": REQUEST_BODY})
    async def take_events(asking: Asking, request: Request) -> Accepted:
        """Take one event or a batch.

        All of a request is taken, or nothing of it. The answer comes once the brokers have stored it; an event that is
        sent again, with the same `source` and `id`, changes nothing. With a credential of one tenant, events are of
        that tenant, and may name no other.
        """
        parts = _parts(request.headers, await _body(request, door.body_bytes))
        if asking.tenant is not None:
            parts = [canonical.spoken_for(part, asking.tenant) for part in parts]
        events = _events(parts, door, asking)
        records = [Outgoing(event.item.encode(), part, PART_HEADERS) for part, event in zip(parts, events, strict=True)]
        await _write(records, door)
        return Accepted(accepted=len(records))

    return routes


async def _body(request: Request, most: int) -> bytes:
    if int(request.headers.get("content-length", "0")) > most:
        raise _too_large(most)
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > most:
            raise _too_large(most)
    return bytes(body)


def _too_large(most: int) -> ProblemError:
    return ProblemError(413, f"A request may have at most {most} bytes: send fewer events at a time.")


def _parts(headers: Mapping[str, str], body: bytes) -> list[bytes]:
    # The structured events of a request, in any of the three modes.
    content_type = headers.get("content-type", "").partition(";")[0].strip().lower()
    if content_type not in {SINGLE, BATCH, PLAIN}:
        raise ProblemError(
            415, f"The content type must be {SINGLE}, {BATCH} or {PLAIN}, not {content_type or 'absent'}."
        )
    if content_type == PLAIN and "ce-id" in headers:
        return [_from_binary(headers, body)]
    if content_type == BATCH or (content_type == PLAIN and body.lstrip()[:1] == b"["):
        try:
            return canonical.elements(body)
        except BadRecord as exc:
            raise ProblemError(400, f"The body is no JSON array of events: {exc}") from exc
    return [body]


def _from_binary(headers: Mapping[str, str], body: bytes) -> bytes:
    attributes: dict[str, Any] = {name[3:]: unquote(value) for name, value in headers.items() if name.startswith("ce-")}
    if body:
        attributes["data"] = _one_value(body)
    return msgspec.json.encode(attributes)


def _one_value(body: bytes) -> msgspec.Raw:
    # It is put into the event as it is, so `{}, "subject": "another"` must not get by.
    try:
        return _VALUE.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as exc:
        raise ProblemError(400, f"The body is not JSON: {exc}") from exc


def _events(parts: list[bytes], door: Door, asking: Caller) -> list[Event]:
    latest = door.now() + door.future_skew
    events: list[Event] = []
    errors: list[dict[str, Any]] = []
    for position, part in enumerate(parts):
        found = read_structured(part, door.origin, latest=latest)
        if isinstance(found, Event):
            events.append(found)
            errors += [] if asking.sees(found.tenant) else [_foreign(position, asking)]
        else:
            errors += [_told(position, error) for error in _all_of(found, part, door)]
    if any(error["reason"] == "undecodable" for error in errors):
        raise ProblemError(400, "Nothing was taken, because the body is not JSON.", errors=errors)
    if any(error["reason"] == "forbidden" for error in errors):
        raise ProblemError(403, "Nothing was taken, because some events are of another tenant.", errors=errors)
    if errors:
        raise ProblemError(422, "Nothing was taken, because some events cannot be used.", errors=errors)
    return events


def _all_of(found: Unusable, part: bytes, door: Door) -> list[BadRecord]:
    # Decoding stops at the first mistake; who has to mend the event wants to see them all.
    return canonical.problems(part, door.origin.tenancy) or [found.error]


def _told(position: int, error: BadRecord) -> dict[str, Any]:
    return {"index": position, "field": error.field, "reason": error.reason, "message": str(error)}


def _foreign(position: int, asking: Caller) -> dict[str, Any]:
    message = f"expected {asking.tenant}, whose credential this is, or none"
    return {"index": position, "field": "tenant", "reason": "forbidden", "message": message}


async def _write(records: list[Outgoing], door: Door) -> None:
    if not records:
        return
    try:
        async with asyncio.timeout(door.answer_s):
            await door.writer.send(door.topic, records)
    except TimeoutError as exc:
        raise Unavailable(f"Kafka did not store the events within {door.answer_s} s; send them again.") from exc
