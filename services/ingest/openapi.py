"""What the OpenAPI document says about taking events."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from shared.cloudevents import Envelope
from shared.event_data import EventData
from shared.events import EVENT_TYPES

CREATED: Final[dict[str, Any]] = {
    "specversion": "1.0",
    "id": "7d1f0c1e-created",
    "source": "/helpdesk",
    "type": "ticket.created",
    "subject": "42",
    "time": "2026-01-05T09:00:00+01:00",
    "data": {"attributes": {"priority": "high", "status": "open", "customer": "acme"}},
}
REPLIED: Final[dict[str, Any]] = {
    **CREATED,
    "id": "7d1f0c1e-replied",
    "type": "ticket.agent_replied",
    "time": "2026-01-05T09:20:00+01:00",
    "data": {"author": "agent", "public": True},
}


def _event_schema() -> dict[str, Any]:
    _, schemas = msgspec.json.schema_components([Envelope, EventData])
    properties = dict(schemas["Envelope"]["properties"])
    del properties["data_base64"]  # known only to be refused
    properties["type"] = {"type": "string", "enum": sorted(EVENT_TYPES)}
    properties["tenant"] = {"type": "string", "minLength": 1, "maxLength": 128, "pattern": "^[^/]*$"}
    properties["data"] = schemas["EventData"]
    return {**schemas["Envelope"], "properties": properties, "title": "Event"}


_EVENT: Final = _event_schema()
_BATCH: Final = {"type": "array", "items": _EVENT}
_ONE: Final = {"summary": "One event", "value": CREATED}
_SEVERAL: Final = {"summary": "A batch", "value": [CREATED, REPLIED]}

REQUEST_BODY: Final[dict[str, Any]] = {
    "required": True,
    "description": "CloudEvents 1.0: one event, a batch, or, with `ce-…` headers, the `data` of one event.",
    "content": {
        "application/cloudevents+json": {"schema": _EVENT, "examples": {"one": _ONE}},
        "application/cloudevents-batch+json": {"schema": _BATCH, "examples": {"batch": _SEVERAL}},
        "application/json": {
            "schema": {"anyOf": [_EVENT, _BATCH, _EVENT["properties"]["data"]]},
            "examples": {"one": _ONE, "batch": _SEVERAL},
        },
    },
}

_PROBLEM: Final[dict[str, Any]] = {
    "type": "object",
    "required": ["type", "title", "status", "detail"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
    },
}
_FIELD_ERROR: Final[dict[str, Any]] = {
    "type": "object",
    "required": ["index", "field", "reason", "message"],
    "properties": {
        "index": {"type": "integer", "description": "Which event of the request, from 0."},
        "field": {"type": ["string", "null"], "description": "Which of its fields; null where it is no single one."},
        "reason": {"type": "string"},
        "message": {"type": "string", "description": "What was expected."},
    },
}
_INVALID: Final = {
    **_PROBLEM,
    "properties": {**_PROBLEM["properties"], "errors": {"type": "array", "items": _FIELD_ERROR}},
}


def _answer(description: str, schema: Any = _PROBLEM) -> dict[str, Any]:
    return {"description": description, "content": {"application/problem+json": {"schema": schema}}}


RESPONSES: Final[dict[int | str, dict[str, Any]]] = {
    202: {"description": "The brokers have stored all of it."},
    400: _answer("Nothing was taken: the body is not JSON.", _INVALID),
    403: _answer("Nothing was taken: the credential may not write, or not for the tenant of some event.", _INVALID),
    413: _answer("The body is too large."),
    415: _answer("The content type is none that is taken."),
    422: _answer("Nothing was taken: every field of every event that cannot be used.", _INVALID),
    503: _answer("Kafka does not answer; send the same request again, after `Retry-After` seconds."),
}
