"""What is not told while something else is broken."""

from __future__ import annotations

from typing import Any

import pytest

from services.notifier import routes_file
from services.notifier.delivery import alert_id
from services.notifier.inhibition import Rule, Source, muting
from shared.breach_records import PublishedRecord
from shared.events import SECOND
from tests.factories import DUE, breach, silence

FILE = """
receivers: {{terminal: {{console: {{}}}}}}
routes: [{{receivers: [terminal]}}]
inhibit:
  - name: group
    source: {{match: {{metric: resolution}}}}
    target: {{match: {{type: {target}}}}}
    equal: [group]
"""


def rules(target: str = "warning") -> tuple[Rule, ...]:
    return routes_file.parse(FILE.format(target=target), "notify.yaml").inhibit


def of_group(group: str | None = "support", **changes: Any) -> PublishedRecord:
    return breach(**{"metric": "resolution", "attributes": {"group": group} if group else {}, **changes})


def opened(source: PublishedRecord, since: int = DUE) -> dict[str, tuple[Source, ...]]:
    (rule,) = rules()
    key, alert = rule.of_source(source), alert_id(source)
    return {} if key is None or alert is None else {key: (Source(alert, since),)}


SOURCE = of_group(item="default/ticket/1", clock_id="source")


@pytest.mark.parametrize(
    ("found", "is_muted"),
    [
        (of_group(event_type="sla.clock.warning.v1", clock_id="other"), True),
        (of_group("sales", event_type="sla.clock.warning.v1", clock_id="other"), False),  # another group
        (of_group(None, event_type="sla.clock.warning.v1", clock_id="other"), False),  # no group at all
        (of_group(clock_id="other"), False),  # a breach is no target
        (silence(), False),
        # nothing mutes itself
        (of_group(event_type="sla.clock.warning.v1", item="default/ticket/1", clock_id="source"), False),
    ],
)
def test_a_breach_of_a_group_mutes_the_warnings_of_that_group(found: PublishedRecord, is_muted: bool) -> None:
    assert (muting(rules(), found, opened(SOURCE), DUE) is not None) is is_muted


def test_a_muted_notice_says_by_which_rule() -> None:
    warning = of_group(event_type="sla.clock.warning.v1", clock_id="other")
    assert muting(rules(), warning, opened(SOURCE), DUE) == "inhibited by rule group, equal in group"


@pytest.mark.parametrize(
    ("found", "is_source"),
    [
        (SOURCE, True),
        (of_group(event_type="sla.clock.warning.v1"), False),  # a warning breaks nothing
        (of_group(event_type="sla.breach.stopped.v1"), False),
        (of_group(metric="first_response"), False),
        (of_group(None), False),  # what has no group is equal to nothing
    ],
)
def test_only_an_open_breach_that_matches_mutes_others(found: PublishedRecord, is_source: bool) -> None:
    assert bool(opened(found)) is is_source


@pytest.mark.parametrize(("heard_before_s", "is_muted"), [(10, False), (-10, True)])
def test_the_end_of_what_was_told_before_is_told_all_the_same(heard_before_s: int, is_muted: bool) -> None:
    end = of_group(event_type="sla.breach.stopped.v1", clock_id="other")
    found = muting(rules("stopped"), end, opened(SOURCE), DUE - heard_before_s * SECOND)
    assert (found is not None) is is_muted
