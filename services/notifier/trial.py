"""Routes tried on what somebody made up: which are looked at, which take it, and why not the others. PURE."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from services.notifier.routing import Route
from services.notifier.sample import BREACH, SILENCE
from shared.breach_records import TYPE_NAMES, BreachRecord, PublishedRecord, decode_published
from shared.cloudevents import UNREADABLE, bad_record
from shared.errors import BadRecord
from shared.events import instant, rfc3339

_FULL_NAMES: Final = {short: full for full, short in TYPE_NAMES.items()}
_STRUCTURED: Final = [("content-type", b"application/cloudevents+json")]
_OF_TYPE: Final[Mapping[str, Mapping[str, Any]]] = {  # what tells it apart from a breach
    "sla.clock.warning.v1": {"breach_id": None, "breached_at": None, "warning": "80%"},
    "sla.breach.stopped.v1": {"stopped_at": "2026-01-05T13:00:00Z", "elapsed_s": 18_000.0},
}
_OBJECT: Final = msgspec.json.Decoder(dict[str, Any])
_ITEM: Final = ("tenant", "kind", "id")


@dataclass(frozen=True, slots=True)
class Tried:
    """A route that was looked at."""

    route: Route
    objections: tuple[str, ...]  # why it does not take it
    decides: bool  # it takes it, and none of the routes within it does


def tried(routes: Sequence[Route], record: PublishedRecord) -> Iterator[Tried]:
    """The routes that are looked at for *record*, in that order; what comes after those that decide is not."""
    for candidate in routes:
        objections = tuple(candidate.takes.against(record))
        if objections:
            yield Tried(candidate, objections, decides=False)
            continue
        within = list(tried(candidate.routes, record))
        yield Tried(candidate, (), decides=not any(each.decides for each in within))
        yield from within
        if not candidate.goes_on:
            return


def made_up(line: bytes) -> PublishedRecord:
    """The breach or silence that a JSON object describes; what it leaves out is that of one as there are many.

    It may be a CloudEvent as it stands on the topic, or no more than what matters, its type in short:
    `{"type": "warning", "severity": "high", "attributes": {"customer": "acme"}}`.

    Raises:
        BadRecord: it is none; names the field.
    """
    try:
        told = _OBJECT.decode(line)
    except UNREADABLE as exc:
        raise bad_record(exc) from exc
    name = told.get("type", "breached")
    full = _FULL_NAMES.get(name, name) if isinstance(name, str) else str(name)  # which is refused below
    sample = SILENCE if full == SILENCE.type else BREACH
    given = told.get("data") if "data" in told else {**_OF_TYPE.get(full, {}), **_fields(told, sample)}
    if not isinstance(given, dict):
        raise BadRecord("invalid", "expected an object", "data")
    whole = {
        "id": told.get("id", sample.id) if "data" in told else sample.id,
        "time": told.get("time", rfc3339(instant(sample.time))),
        "type": full,
        "data": _filled(given, sample),
    }
    return decode_published(_STRUCTURED, msgspec.json.encode(whole))


def _fields(told: Mapping[str, Any], sample: PublishedRecord) -> dict[str, Any]:
    fields = {name: value for name, value in told.items() if name not in ("type", "time")}
    for name in fields:
        if name not in sample.data.__struct_fields__:
            known = ", ".join(sample.data.__struct_fields__)
            raise BadRecord("invalid", f"expected type, time or one of {known}", name)
    return fields


def _filled(given: Mapping[str, Any], sample: PublishedRecord) -> dict[str, Any]:
    # Its item has three more names, and whoever gives some of the four means the others to follow.
    if not isinstance(sample, BreachRecord):
        return {**msgspec.to_builtins(sample.data), **given}
    fields = {**msgspec.to_builtins(sample.data), "attributes": {}, **given}
    if isinstance(given.get("item"), str) and not given.keys() & set(_ITEM):
        names = zip(_ITEM, given["item"].split("/", 2), strict=False)
        return {**fields, **dict(names)}
    if "item" not in given:
        fields["item"] = "/".join(str(fields[name]) for name in _ITEM)
    return fields
