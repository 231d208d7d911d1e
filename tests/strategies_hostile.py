"""What people and broken programs send: records, headers and files that are almost right, and some that are not at all.

JSON is drawn as text, not made from values: what no encoder writes (NaN, keys twice, half a surrogate, bytes that are
no UTF-8) is what a decoder trips over.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from hypothesis import strategies as st

from shared.events import EVENT_TYPES, RECOUNTS, Headers

HOSTILE_TEXTS: Final = (
    b'"\\u0000"',
    b'"a\\u0000b"',
    b'"\\ud800"',  # half a surrogate
    b'"\\udfff\\ud800"',
    b'"\\uD83D\\uDE00"',
    b'"\xff\xfe"',  # no UTF-8
    b'"\xed\xa0\x80"',  # a surrogate in UTF-8
    b'"\xc0\x80"',  # U+0000 written too long
    b'"\x00"',  # a control character as it is
    b'"\\x41"',  # no escape of JSON
    b'"\r\n{\\"level\\": \\"info\\"}"',
    b'"' + b"x" * 513 + b'"',
    b'"' + "ß".encode() * 512 + b'"',
    b'"\xe2\x80\xae\xe2\x80\x8b\xef\xbb\xbf"',  # what turns the direction of text, and what cannot be seen
    b'""',
    b'" "',
    b'"/"',
    b'"a/b"',
    b'"{{ 7 * 7 }} %s {0}"',
    b'"constructor"',
)
HOSTILE_NUMBERS: Final = (
    *(b"NaN", b"Infinity", b"-Infinity", b"nan", b"1e999", b"-1e999", b"1e-999", b"1E400", b"-0", b"-0.0", b"0x10"),
    *(b"9223372036854775807", b"9223372036854775808", b"-9223372036854775809", b"18446744073709551616"),
    *(b"1" * 400, b"0." + b"1" * 400, b"1e308", b"01", b"+1", b".5", b"1.", b"1_000"),
)
HOSTILE_TIMES: Final = (
    *(b'"2026-01-05T08:00:00Z"', b'"2026-01-05T08:00:00"', b'"2026-01-05"', b'"0001-01-01T00:00:00+23:59"'),
    *(b'"9999-12-31T23:59:59-23:59"', b'"1899-12-31T23:59:59Z"', b'"2026-02-30T00:00:00Z"', b'"2026-01-05T24:00:00Z"'),
    *(b'"2026-01-05T08:00:60Z"', b'"2026-01-05T08:00:00.123456789Z"', b'"2026-01-05t08:00:00z"', b"1767600000"),
    *(b'"2026-01-05T08:00:00+24:00"', b'"-2026-01-05T08:00:00Z"', b'"2026-01-05 08:00:00Z"', b'"\xd9\xa2026-01-05"'),
)
_SOUND: Final = {
    "specversion": b'"1.0"',
    "id": b'"e-1"',
    "source": b'"/helpdesk"',
    "type": b'"ticket.created"',
    "subject": b'"1"',
    "time": b'"2026-01-05T08:00:00Z"',
}
_DATA: Final = ("attributes", "author", "public", "created_at", "complete", "merged_into", "policy_version", "reason")
_ATTRIBUTES: Final = ("priority", "status", "tags", "assignee", "customer", "source_status", "merged_into", "")


def nested(depth: int, opening: bytes = b"[", closing: bytes = b"]", core: bytes = b"1") -> bytes:
    """JSON that is nested so deep."""
    return opening * depth + core + closing * depth


_LEAVES: Final = st.one_of(
    st.sampled_from(HOSTILE_TEXTS),
    st.sampled_from(HOSTILE_NUMBERS),
    st.sampled_from(HOSTILE_TIMES),
    st.sampled_from((b"null", b"true", b"false", b"True", b"", b"undefined", b"[]", b"{}", b'"open"', b'"agent"')),
    st.sampled_from((20, 31, 32, 33, 40)).map(nested),
    st.sampled_from((20, 31, 32, 33)).map(lambda depth: nested(depth, b'{"a":', b"}")),
    st.text(max_size=8).map(lambda text: b'"' + text.encode(errors="replace").replace(b'"', b"'") + b'"'),
)


def json_texts() -> st.SearchStrategy[bytes]:
    """JSON, or nearly: any value, with something in it that is hostile."""
    return st.recursive(_LEAVES, lambda inner: arrays(inner) | objects(_ATTRIBUTES, inner), max_leaves=5)


def arrays(inner: st.SearchStrategy[bytes]) -> st.SearchStrategy[bytes]:
    """JSON arrays of *inner*."""
    return st.lists(inner, max_size=4).map(lambda parts: b"[" + b",".join(parts) + b"]")


def objects(names: Sequence[str], inner: st.SearchStrategy[bytes]) -> st.SearchStrategy[bytes]:
    """JSON objects with some of *names*, perhaps twice."""
    fields = st.lists(st.tuples(st.sampled_from(names), inner), max_size=4)
    return fields.map(lambda pairs: _object([(f'"{name}"'.encode(), value) for name, value in pairs]))


def _object(pairs: Sequence[tuple[bytes, bytes]]) -> bytes:
    return b"{" + b",".join(name + b":" + value for name, value in pairs) + b"}"


def types() -> st.SearchStrategy[bytes]:
    """Types of events, known and unknown, as JSON texts."""
    return st.sampled_from(sorted(EVENT_TYPES | RECOUNTS)).map(lambda name: f'"{name}"'.encode()) | st.sampled_from(
        (b'"ticket.exploded"', b'"fax.created"', b'"ticket."', b'"Ticket.Created"', b'"sla.clock.breached.v1"')
    )


@st.composite
def structured_events(draw: st.DrawFn) -> bytes:
    """A structured CloudEvent in which up to three things are not what they should be."""
    data = draw(st.none() | objects(_DATA, objects(_ATTRIBUTES, json_texts()) | json_texts()))
    fields: dict[str, bytes] = {**_SOUND, "type": draw(types()), **({} if data is None else {"data": data})}
    extra = ("tenant", "sequence", "data", "data_base64", "datacontenttype", "partitionkey", *_SOUND)
    for name in draw(st.lists(st.sampled_from(extra), max_size=3)):
        fields[name] = draw(st.sampled_from(HOSTILE_TIMES) if name == "time" else json_texts())
    if draw(st.integers(0, 9)) == 0:
        fields.pop(draw(st.sampled_from(sorted(fields))))
    return _object([(f'"{name}"'.encode(), value) for name, value in fields.items()])


@st.composite
def broken(draw: st.DrawFn, whole: st.SearchStrategy[bytes]) -> bytes:
    """Bytes of *whole* that were cut, overwritten or lengthened somewhere."""
    value = draw(whole)
    place = draw(st.integers(0, len(value)))
    other = draw(st.binary(max_size=3) | st.sampled_from((b"\xef\xbb\xbf", b"\x00", b"\\", b'"', b"}", b",", b"\n")))
    kept = draw(st.sampled_from((place, place + 1, len(value))))
    return value[:place] + other + value[kept:]


def values() -> st.SearchStrategy[bytes | None]:
    """The values of records: nearly events, batches of them, other JSON, any bytes, none."""
    events = structured_events()
    return st.one_of(
        events,
        broken(events),
        arrays(events | json_texts()),
        objects(_DATA, objects(_ATTRIBUTES, json_texts()) | json_texts()),
        json_texts(),
        st.binary(max_size=40),
        st.sampled_from(
            (None, b"", b" ", b"null", b"[", b"\xef\xbb\xbf{}", nested(20_000), nested(5_000, b'{"":', b"}"))
        ),
    )


_HEADER_VALUES: Final = st.one_of(
    st.none(),
    st.binary(max_size=12),
    st.sampled_from(
        (
            *(
                b"",
                b" ",
                b"\x00",
                b"a\x00b",
                b"\xff\xfe",
                b"\xed\xa0\x80",
                b"1.0",
                b"0.3",
                b"1",
                b'"',
                b'a"b',
                b"\\u0000",
            ),
            *(b"ticket.created", b"call.queued", b"ticket.recounted", b"ticket.exploded", b"x" * 513, b"-1", b"9" * 30),
            *(
                b"2026-01-05T08:00:00Z",
                b"2026-01-05T08:00:00",
                b"2026-01-05T08:00:00Z\x00",
                b'","x":"',
                b"acme",
                b"a/b",
            ),
            *(b"sla.clock.breached.v1", b"sla.source.silent.v1"),
        )
    ),
)
_CONTENT_TYPES: Final = (
    *(b"application/json", b"application/cloudevents+json", b"application/cloudevents-batch+json", b"text/xml"),
    *(
        b"APPLICATION/JSON; charset=latin-1",
        b"application/json\x00",
        b"",
        b"\xff",
        b"application/avro",
        b";",
        b"x+json",
    ),
)
_NAMES: Final = (
    *(
        "ce_id",
        "ce_source",
        "ce_type",
        "ce_subject",
        "ce_time",
        "ce_specversion",
        "ce_tenant",
        "ce_sequence",
        "ce_data",
    ),
    *("ce_", "CE_ID", "ce_data_base64", "traceparent", "plazo_reason", "", "ce_\x00", "ß"),
)


@st.composite
def header_lists(draw: st.DrawFn) -> Headers:
    """Headers of a record: those of binary mode, with some missing, twice, empty or of a wrong encoding."""
    found: list[tuple[str, Any]] = []
    if draw(st.booleans()):
        sound = {f"ce_{name}": value.strip(b'"') for name, value in _SOUND.items()}
        sound["ce_type"] = draw(types()).strip(b'"')
        found += sound.items()
    if draw(st.booleans()):
        found.append(("content-type", draw(st.sampled_from(_CONTENT_TYPES))))
    found += draw(st.lists(st.tuples(st.sampled_from(_NAMES), _HEADER_VALUES), max_size=3))
    if found and draw(st.integers(0, 5)) == 0:
        found.pop(draw(st.integers(0, len(found) - 1)))
    return found
