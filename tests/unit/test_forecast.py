"""Who would hear of something, and when, if nobody does anything."""

from __future__ import annotations

import pytest

from services.notifier import routes_file
from services.notifier.forecast import foretold
from services.notifier.trial import made_up
from shared.events import parse_instant, rfc3339

ROUTES = routes_file.parse(
    """
receivers:
  desk: {console: {}, quiet_hours: {zone: Europe/Madrid, open: {mon-fri: 08:00-20:00}}}
  pager: {console: {}}
escalations:
  up:
    steps:
    - {at: 80%, receivers: [desk]}
    - {at: +30m, receivers: [pager]}
    repeat_every: 4h
routes:
- {name: calls, match: {kind: call}, receivers: [pager], group_by: [customer], group_wait: 30s}
- {name: rest, receivers: [desk], escalation: up}
customers: {tell: immediately, address: mail, from: support@example.com, smtp: {host: smtp.example.com}}
""",
    "notify.yaml",
)


def told(event: str, at: str) -> list[str]:
    found = foretold(ROUTES, made_up(event.encode()), parse_instant(at))
    return [
        f"{each.notice.receiver} {each.due and rfc3339(each.due)[11:16]} {each.notice.step or each.notice.why}".strip()
        for each in found
    ]


@pytest.mark.parametrize(
    ("event", "at", "expected"),
    [
        # at once, and then the steps that nobody stops; a repeat is foretold once
        (
            "{}",
            "2026-01-05T10:00:00Z",
            ["desk 10:00", "pager 10:30 +30m", "pager 14:30 +30m again 1"],
        ),
        # what waits for quiet hours, and for others of its group
        (
            "{}",
            "2026-01-05T22:00:00Z",
            ["desk 07:00 quiet hours until 2026-01-06T07:00:00Z", "pager 22:30 +30m", "pager 02:30 +30m again 1"],
        ),
        ('{"kind": "call"}', "2026-01-05T10:00:00Z", ["pager 10:00 grouped by customer"]),
        # a step that hangs on a warning comes with it, and is told to nobody twice
        ('{"type": "warning"}', "2026-01-05T10:00:00Z", ["desk 10:00"]),
        # an end is told as if everybody had heard of the breach
        (
            '{"type": "stopped", "attributes": {"mail": "a@example.com"}}',
            "2026-01-05T10:00:00Z",
            ["desk 10:00", "customers 10:00"],
        ),
        ('{"type": "silent"}', "2026-01-05T10:00:00Z", ["desk 10:00"]),
    ],
)
def test_all_that_would_come_is_foretold_in_its_order(event: str, at: str, expected: list[str]) -> None:
    assert told(event, at) == expected
