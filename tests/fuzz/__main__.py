"""`make fuzz`: bytes that grow along the branches of the code, thrown at one reader until the time is over.

The properties of `tests/unit/test_hostile_*.py` know what is hostile; this finds out what they do not know. It ends
with another status than 0 at the first input that makes a reader raise what it must not, and says which input.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

import atheris

with atheris.instrument_imports(include=["services", "shared"]):
    from services.ingest.normalize import Origin, normalize
    from services.notifier import routes_file
    from services.timer import policy_file
    from shared.breach_records import decode_published
    from shared.cloudevents import Tenancy, encode_record
    from shared.errors import BadDocument, BadRecord
    from shared.events import Event
    from shared.kafka.connection import MAX_RECORD_BYTES
    from shared.recounts import decode_event, decode_recorded

_ORIGIN: Final = Origin("canonical", Tenancy(), MAX_RECORD_BYTES)
_NAMES: Final = (
    "content-type",
    "ce_id",
    "ce_source",
    "ce_type",
    "ce_subject",
    "ce_time",
    "ce_specversion",
    "ce_tenant",
)
_LATEST: Final = 4_000_000_000_000_000
CORPUS: Final = {
    "records": (
        b'{"specversion":"1.0","id":"e","source":"/s","type":"ticket.created","subject":"1",'
        b'"time":"2026-01-05T08:00:00Z","data":{"attributes":{"priority":"high"},"author":"agent"}}'
    ),
    "published": b'{"id":"1","type":"sla.source.silent.v1","time":"2026-01-05T08:00:00Z","data":{"tenant":"a"}}',
    "files": b"calendars: {always: {time_zone: UTC, hours: {mon-sun: ['00:00-24:00']}}}\npolicies: []\n",
}


def _parts(given: bytes) -> tuple[list[tuple[str, bytes]], bytes]:
    # Headers, each begun by the number of its name, and the value behind two zeros; most inputs are all value.
    head, _, value = given.rpartition(b"\0\0")
    return [(_NAMES[part[0] % len(_NAMES)], part[1:]) for part in head.split(b"\0") if part], value


def records(given: bytes) -> None:
    """Ingest and the timer: events that can be read again, or a reason."""
    headers, value = _parts(given)
    for found in normalize(headers, value, _ORIGIN, latest=_LATEST):
        if isinstance(found, Event):
            _, again, told = encode_record(found)
            if decode_event(told, again) != found:
                raise AssertionError(f"read again, {found} is another event")
    for decode in (lambda: decode_event(headers, value), lambda: decode_recorded(value)):
        _refusable(decode, BadRecord)


def published(given: bytes) -> None:
    """The notifier: a breach event, or a reason."""
    headers, value = _parts(given)
    _refusable(lambda: decode_published(headers, value), BadRecord)


def files(given: bytes) -> None:
    """Policies and routes: what they say, or every mistake in them."""
    text = given.decode(errors="replace")
    _refusable(lambda: policy_file.load({"policies.yaml": text}), BadDocument)
    _refusable(lambda: routes_file.parse(text, "notify.yaml"), BadDocument)


def _refusable(read: Callable[[], object], refusal: type[Exception]) -> None:
    try:
        read()
    except refusal:
        return


TARGETS: Final[Mapping[str, Callable[[bytes], None]]] = {"records": records, "published": published, "files": files}


def main() -> None:
    """Fuzz the reader that TARGET names for SECONDS; what is found along the way is kept in `.fuzz`."""
    name = os.environ.get("TARGET", "records")
    corpus = Path(".fuzz") / name
    corpus.mkdir(parents=True, exist_ok=True)
    (corpus / "sound").write_bytes(CORPUS[name])
    limits = [f"-max_total_time={os.environ.get('SECONDS', '60')}", "-max_len=4096", f"-artifact_prefix={corpus}-"]
    atheris.Setup([sys.argv[0], *limits, str(corpus)], TARGETS[name])
    atheris.Fuzz()


if __name__ == "__main__":
    main()
