"""What a person sees of breaches and alerts: lines, and which of them."""

from __future__ import annotations

from io import StringIO

import pytest
import typer
from rich.console import Console

from services.cli.lines import cloud_event, delivered_line, published_line
from services.cli.screen import Screen
from services.cli.tail import Wanted, wanted_types
from services.notifier.delivery import Outcome
from shared.events import SECOND
from tests.factories import DUE, breach, delivery, silence

DELIVERED = Outcome("delivered", "written")


class Seen:
    """A screen whose lines can be read."""

    def __init__(self, left_over: str = "") -> None:
        self._sink = StringIO()
        console = Console(file=self._sink, width=400)
        self.screen = Screen(console, now=lambda: DUE + SECOND, left_over=lambda subject: subject == left_over)

    @property
    def lines(self) -> list[str]:
        return self._sink.getvalue().splitlines()


def test_a_breach_is_told_with_item_metric_policy_due_time_and_delay() -> None:
    line = published_line(breach()).plain
    for part in ("12:00:00", "Breached", "ticket 42", "first response", "standard-tickets", "due 12:00:00Z", "+3 ms"):
        assert part in line


def test_a_silent_source_is_told_with_its_last_event_and_how_quiet_it_usually_is() -> None:
    line = published_line(silence()).plain
    for part in ("12:00:01", "Silent", "source /helpdesk", "nothing since 11:50:00Z", "every 1 min"):
        assert part in line
    assert cloud_event(silence())["subject"] == "default/source//helpdesk"


def test_an_alert_is_told_with_its_receiver_and_its_delay() -> None:
    line = delivered_line(delivery(), DUE + SECOND).plain
    for part in ("12:00:01", "Delivered to team (webhook)", "+997 ms", "ticket 42", "first response"):
        assert part in line


def test_a_line_stays_one_line_whatever_a_ticket_is_called() -> None:
    odd = breach(item="default/ticket/4\n2[bold]", id="4\n2[bold]")
    seen = Seen()
    seen.screen.published(odd)
    assert len(seen.lines) == 1
    assert "[bold]" in seen.lines[0]


def test_a_breach_is_shown_once_and_before_its_alert_whichever_is_heard_of_first() -> None:
    seen = Seen()
    seen.screen.delivered(delivery(), DELIVERED)
    seen.screen.published(breach())
    assert ["Delivered" in line for line in seen.lines] == [False, True]


def test_every_receiver_has_a_line_of_its_own() -> None:
    seen = Seen()
    seen.screen.delivered(delivery(), DELIVERED)
    seen.screen.delivered(delivery(receiver="on-call"), DELIVERED)
    assert ["Delivered" in line for line in seen.lines] == [False, True, True]


def test_what_happens_to_items_of_an_earlier_run_is_mentioned_once() -> None:
    seen = Seen(left_over="42")
    seen.screen.published(breach())
    seen.screen.delivered(delivery(breach("event-2")), DELIVERED)
    assert len(seen.lines) == 1
    assert "earlier run" in seen.lines[0]


def test_a_breach_as_json_is_a_structured_cloud_event() -> None:
    event = cloud_event(breach())
    assert {name: event[name] for name in ("specversion", "id", "type", "subject", "time")} == {
        "specversion": "1.0",
        "id": "event-1",
        "type": "sla.clock.breached.v1",
        "subject": "default/ticket/42",
        "time": "2026-01-05T12:00:00Z",
    }


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        (Wanted(), True),  # everything
        (Wanted(types=frozenset({"sla.clock.breached.v1"})), True),
        (Wanted(types=frozenset({"sla.clock.warning.v1"})), False),
        (Wanted(item="42"), True),  # an id alone
        (Wanted(item="4?"), True),
        (Wanted(item="43"), False),
        (Wanted(item="default/ticket/*"), True),  # a key
        (Wanted(item="*/chat/*"), False),
        (Wanted(item="Default/*"), False),  # keys differ by their case
        (Wanted(types=frozenset({"sla.clock.breached.v1"}), item="43"), False),  # both have to match
    ],
)
def test_only_what_is_wanted_is_shown(wanted: Wanted, expected: bool) -> None:
    assert wanted.takes(breach()) is expected


def test_the_heartbeat_is_shown_to_who_asks_for_it_by_its_name() -> None:
    beat = breach(item="plazo-heartbeat/chat/1767614400")
    assert not Wanted().takes(beat)
    assert not Wanted(item="*/chat/*").takes(beat)
    assert Wanted(item="plazo-heartbeat/*").takes(beat)


def test_of_a_heartbeat_only_its_arrival_is_shown() -> None:
    seen = Seen()
    seen.screen.published(breach(item="plazo-heartbeat/chat/1767614400"))
    assert seen.lines == []
    seen.screen.delivered(delivery(breach(item="plazo-heartbeat/chat/1767614400")), DELIVERED)
    assert len(seen.lines) == 1


def test_a_type_can_be_named_in_short_or_in_full() -> None:
    full = frozenset({"sla.clock.warning.v1", "sla.breach.retracted.v1"})
    assert wanted_types(["warning", "sla.breach.retracted.v1"]) == full


def test_a_type_that_does_not_exist_is_refused_with_those_that_do() -> None:
    with pytest.raises(typer.BadParameter, match="stopped, cancelled, retracted, silent, got lost"):
        wanted_types(["lost"])
