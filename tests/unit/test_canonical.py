"""The canonical source: three modes, and every mistake told."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from services.ingest.sources import canonical
from shared.cloudevents import Tenancy
from shared.errors import BadRecord
from shared.events import Headers

EVENT: dict[str, Any] = {
    "specversion": "1.0",
    "id": "e-1",
    "source": "/helpdesk",
    "type": "ticket.created",
    "subject": "42",
    "time": "2026-01-05T08:00:00Z",
    "data": {"attributes": {"priority": "high"}},
}
BATCH: Headers = [("content-type", b"application/cloudevents-batch+json")]
ANY = Tenancy()


def encoded(**changes: Any) -> bytes:
    return msgspec.json.encode({name: value for name, value in {**EVENT, **changes}.items() if value is not ...})


class TestRead:
    def test_a_record_is_one_event(self) -> None:
        (event,) = canonical.read([], encoded(), ANY)
        assert (event.item, event.attributes) == ("default/ticket/42", {"priority": "high"})

    def test_data_that_is_nested_too_deeply_is_refused(self) -> None:
        deep: Any = "x"
        for _ in range(40):
            deep = [deep]
        with pytest.raises(BadRecord, match="nested"):
            canonical.read([], encoded(data={"attributes": {"a": deep}}), ANY)


class TestSplit:
    @pytest.mark.parametrize(
        ("headers", "value"),
        [
            (BATCH, b'[{"a":1}, {"b":  2}]'),
            ([], b'[{"a":1}, {"b":  2}]'),  # an array can be nothing else
            (BATCH, b'\n [{"a":1}, {"b":  2}]\n'),
        ],
    )
    def test_a_batch_falls_into_its_events_as_they_stand_there(self, headers: Headers, value: bytes) -> None:
        assert canonical.split(headers, value) == [b'{"a":1}', b'{"b":  2}']

    def test_an_empty_batch_has_no_events(self) -> None:
        assert canonical.split(BATCH, b"[]") == []

    @pytest.mark.parametrize(
        ("headers", "value"),
        [
            ([], b'{"a":1}'),
            (BATCH, b'{"a":1}'),  # one event under the name of a batch is taken for what it is
            ([], b""),
            ([("ce_id", b"1"), ("ce_type", b"x")], b"[1]"),  # data of an event in binary mode
        ],
    )
    def test_everything_else_is_one_thing(self, headers: Headers, value: bytes) -> None:
        assert canonical.split(headers, value) is None

    @pytest.mark.parametrize("value", [b"[", b"[1,", b"[\xff]", b"[" * 100_000])
    def test_an_array_that_is_broken_is_refused(self, value: bytes) -> None:
        with pytest.raises(BadRecord):
            canonical.split(BATCH, value)


class TestProblems:
    def test_a_sound_event_has_none(self) -> None:
        assert canonical.problems(encoded(), ANY) == []

    @pytest.mark.parametrize(
        ("changes", "fields"),
        [
            ({"id": ..., "time": "now", "type": "x"}, {"id", "time", "type"}),
            ({"subject": "", "sequence": "many"}, {"subject", "sequence"}),
            ({"data": {"author": "me", "public": "yes"}}, {"data.author", "data.public"}),
            ({"data": {"attributes": 1}, "id": 7}, {"data.attributes", "id"}),
            ({"data": [1], "specversion": ...}, {"data", "specversion"}),
            ({"tenant": "a/b", "data": {"attributes": {"a": "\0"}}}, {"tenant", "data.attributes"}),
            ({"data_base64": "AA=="}, {"data_base64"}),
            (
                {"type": "chat.snapshot", "id": "", "data": {"created_at": "x", "complete": 1}},
                {"id", "data.created_at", "data.complete"},
            ),
            ({"type": "x", "data": {"created_at": "x"}}, {"type"}),  # nobody knows whether it counts
            ({"source": "x" * 600, "time": "1800-01-01T00:00:00Z"}, {"source", "time"}),
        ],
    )
    def test_every_wrong_field_is_told(self, changes: dict[str, Any], fields: set[str]) -> None:
        assert {problem.field for problem in canonical.problems(encoded(**changes), ANY)} == fields

    @pytest.mark.parametrize("value", [b"", b"nope", b"[1]", b"7", b"\xff"])
    def test_what_is_no_object_is_one_problem(self, value: bytes) -> None:
        assert len(canonical.problems(value, ANY)) == 1

    def test_a_tenant_that_does_not_count_is_no_problem(self) -> None:
        assert canonical.problems(encoded(tenant="a/b"), Tenancy("acme", trusted=False)) == []
