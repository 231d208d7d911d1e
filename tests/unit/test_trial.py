"""Routes tried on events that somebody made up."""

from __future__ import annotations

import msgspec
import pytest

from services.notifier import routes_file
from services.notifier.trial import Tried, made_up, tried
from shared.breach_records import BreachRecord
from shared.errors import BadRecord
from shared.events import instant, rfc3339
from tests.factories import breach

ROUTES = routes_file.parse(
    """
receivers: {terminal: {console: {}}}
routes:
- name: calls
  match: {kind: call}
  receivers: [terminal]
- name: acme
  match: {customer: acme}
  receivers: [terminal]
  continue: true
  routes:
  - {name: low, match: {severity: low}}
- {name: rest, receivers: [terminal]}
- {name: never, receivers: []}
""",
    "notify.yaml",
)


def told(each: Tried) -> str:
    return f"{each.route.name}: {'; '.join(each.objections) or ('decides' if each.decides else 'takes')}"


@pytest.mark.parametrize(
    ("severity", "customer", "said"),
    [
        # a route that takes it is asked before those within it, and decides where none of them does
        ("high", "acme", ["acme: decides", "acme/low: severity is high, not low", "rest: decides"]),
        ("low", "acme", ["acme: takes", "acme/low: decides", "rest: decides"]),
        # those within a route that does not take it are not asked, nor those after one that decides
        ("low", "other", ["acme: customer is other, not acme", "rest: decides"]),
    ],
)
def test_the_routes_are_told_in_the_order_in_which_they_are_asked(
    severity: str, customer: str, said: list[str]
) -> None:
    record = breach(severity=severity, attributes={"customer": customer})
    assert [told(each) for each in tried(ROUTES.routes, record)] == ["calls: kind is ticket, not call", *said]


def test_those_that_decide_are_those_that_alerts_come_of() -> None:
    record = made_up(b'{"attributes": {"customer": "acme"}}')
    assert [each.route.name for each in tried(ROUTES.routes, record) if each.decides] == ["acme", "rest"]


@pytest.mark.parametrize(
    ("line", "fields"),
    [
        ("{}", {"type": "sla.clock.breached.v1", "item": "default/ticket/42", "attributes": {}}),
        ('{"type": "warning"}', {"type": "sla.clock.warning.v1", "breach_id": None, "warning": "80%"}),
        ('{"type": "sla.breach.stopped.v1"}', {"type": "sla.breach.stopped.v1", "stopped_at": "2026-01-05T13:00:00Z"}),
        ('{"item": "acme/call/7"}', {"tenant": "acme", "kind": "call", "id": "7", "item": "acme/call/7"}),
        ('{"kind": "chat", "id": "9"}', {"item": "default/chat/9"}),
        ('{"attributes": {"vip": true}}', {"attributes": {"vip": True}}),
        ('{"type": "silent", "source": "/pbx"}', {"type": "sla.source.silent.v1", "source": "/pbx", "quiet_s": 600.0}),
        ('{"time": "2026-02-03T04:05:06Z"}', {"time": "2026-02-03T04:05:06Z"}),
        # a CloudEvent, whose data may leave something out too
        ('{"id": "e1", "type": "sla.clock.breached.v1", "data": {"severity": "low"}}', {"id": "42", "severity": "low"}),
    ],
)
def test_what_is_left_out_is_made_up(line: str, fields: dict[str, object]) -> None:
    record = made_up(line.encode())
    found = {**msgspec.to_builtins(record.data), "type": record.type, "time": rfc3339(instant(record.time))}
    assert {name: found[name] for name in fields} == fields


def test_an_event_from_the_topic_stays_as_it_is() -> None:
    whole = breach("event-7", severity="low")
    fields = {"id": whole.id, "type": whole.type, "time": whole.time, "data": whole.data}
    found = made_up(msgspec.json.encode({"specversion": "1.0", **fields}))
    assert isinstance(found, BreachRecord)
    assert found == whole


@pytest.mark.parametrize(
    ("line", "field", "said"),
    [
        ("[]", None, "Expected `object`"),
        ("{", None, "Input data was truncated"),
        ('{"sevrity": "low"}', "sevrity", "expected type, time or one of breach_id, clock_id"),
        ('{"severity": "worst"}', "data.severity", "Invalid enum value"),
        ('{"type": "broken"}', "type", "expected a breach event's type"),
        ('{"type": ["breached"]}', "type", "expected a breach event's type"),
        ('{"type": 7}', "type", "expected a breach event's type"),
        ('{"type": "silent", "metric": "x"}', "metric", "expected type, time or one of tenant, source"),
        ('{"data": 5}', "data", "expected an object"),
        ('{"time": "noon"}', "time", ""),
        ('{"item": "a/ticket/1", "id": "2"}', "data.item", "expected tenant/kind/id"),
    ],
)
def test_what_is_no_event_is_refused_with_its_field(line: str, field: str | None, said: str) -> None:
    with pytest.raises(BadRecord) as caught:
        made_up(line.encode())
    assert caught.value.field == field
    assert said in str(caught.value)
