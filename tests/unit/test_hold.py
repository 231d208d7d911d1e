"""Whether a notice is sent, waits, or is not sent at all."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest

from services.notifier.alerts.standing import StandingAlert, acknowledged, fold
from services.notifier.customers import CUSTOMERS
from services.notifier.delivery import Notice
from services.notifier.grouping import Grouping, group_in
from services.notifier.holding.hold import hold
from services.notifier.holding.rules import Rules
from services.notifier.holding.silences import Silence
from services.notifier.matching import Conditions
from services.notifier.pace import pace_of
from services.notifier.quiet_hours import QuietHours
from shared.breach_records import BreachRecord, PublishedRecord
from shared.events import HEARTBEAT_TENANT, SECOND, Instant, parse_instant, rfc3339
from tests.factories import DUE, breach, silence

HOUR = 3_600 * SECOND
NIGHT = parse_instant("2026-01-05T22:00:00Z")  # a Monday, 23:00 in Madrid
MORNING = "2026-01-06T07:00:00Z"
OFFICE = QuietHours.model_validate({"zone": "Europe/Madrid", "open": {"mon-fri": "08:00-20:00"}})
NOTICE = Notice("all", "team", "webhook", "route all takes everything")
WARNING: Any = {"event_type": "sla.clock.warning.v1", "breach_id": None, "warning": "80%"}
STOPPED: Any = {"event_type": "sla.breach.stopped.v1", "sequence": 2}


def after(*records: BreachRecord, now: Instant = DUE) -> StandingAlert:
    """The alert after *records*."""
    alert: StandingAlert | None = None
    for each in records:
        alert = fold(alert, each, now)
    assert alert is not None
    return alert


def held(
    record: PublishedRecord, rules: Rules, *, now: Instant = DUE, alert: StandingAlert | None = None, **notice: Any
) -> Notice:
    if alert is None and isinstance(record, BreachRecord):
        alert = after(record, now=now)
    asked = Notice("all", "team", "webhook", "route all takes everything", **notice)
    return hold(asked, record, alert=alert, rules=rules, now=now)


def silenced(*, starts_at: Instant = DUE - HOUR, ends_at: Instant = DUE + HOUR, **changes: Any) -> Silence:
    fields: dict[str, Any] = {
        "id": UUID(int=1),
        "tenant": None,
        "asked": Conditions({"priority": frozenset({"high"})}),
        "author": "ana",
        "reason": "move",
        **changes,
    }
    return Silence(starts_at=starts_at, ends_at=ends_at, **fields)


def test_without_any_rule_nothing_waits() -> None:
    assert held(breach(), Rules()) == NOTICE
    assert held(silence(), Rules()) == NOTICE


@pytest.mark.parametrize(
    ("record", "changes", "is_hidden"),
    [
        (breach(), {}, True),
        (breach(attributes={"priority": "low"}), {}, False),  # of something else
        (breach(), {"ends_at": DUE}, False),  # over at this very instant
        (breach(), {"starts_at": DUE}, True),  # and begun at it
        (breach(), {"starts_at": DUE + 1}, False),
        (breach(), {"tenant": "default"}, True),
        (breach(), {"tenant": "acme"}, False),  # of another tenant
        (silence(), {"asked": Conditions({"source": frozenset({"/helpdesk"})})}, True),
    ],
)
def test_a_silence_in_force_hides_what_it_matches(
    record: PublishedRecord, changes: dict[str, Any], is_hidden: bool
) -> None:
    found = held(record, Rules(silences=(silenced(**changes),)))
    assert (found.state == "silenced") is is_hidden
    assert found.silence == (UUID(int=1) if is_hidden else None)


def test_a_hidden_notice_says_whose_silence_hides_it_and_why() -> None:
    found = held(breach(), Rules(silences=(silenced(),)))
    assert found.why == f"silence {UUID(int=1)} of ana: move"
    assert found.due is None


@pytest.mark.parametrize(("begun_before_s", "is_hidden"), [(-10, False), (10, True)])
def test_the_end_of_what_was_told_before_a_silence_is_told(begun_before_s: int, is_hidden: bool) -> None:
    end = breach("end", **STOPPED)
    alert = fold(after(breach()), end, DUE + HOUR)
    begun = silenced(starts_at=DUE - begun_before_s * SECOND, ends_at=DUE + 2 * HOUR)
    found = held(end, Rules(silences=(begun,)), now=DUE + HOUR, alert=alert)
    assert (found.state == "silenced") is is_hidden


def test_a_late_warning_of_what_is_broken_is_not_told() -> None:
    warning = breach("late", **WARNING, sequence=1)
    alert = after(breach(sequence=2), warning)
    assert held(warning, Rules(), alert=alert).state == "muted"
    assert held(warning, Rules()).state == "pending"  # while it only may break, it is told


def test_what_somebody_has_taken_on_is_told_again_only_when_it_ends() -> None:
    alert = acknowledged(after(breach()), "ana", "", DUE)
    assert held(breach(), Rules(), alert=alert).why == "acknowledged by ana"
    assert held(breach(**STOPPED), Rules(), alert=alert).state == "pending"
    assert held(breach(), Rules(), alert=alert, step="2").state == "pending"  # its escalation knows what ends it


@pytest.mark.parametrize(
    ("severity", "state", "due"),
    [("high", "held", MORNING), ("critical", "pending", None)],  # critical breaks through
)
def test_at_night_only_what_breaks_through_is_sent(severity: str, state: str, due: str | None) -> None:
    found = held(breach(severity=severity), Rules(quiet={"team": OFFICE}), now=NIGHT)
    assert (found.state, None if found.due is None else rfc3339(found.due)) == (state, due)


def test_what_waits_for_the_morning_is_one_group_and_says_so() -> None:
    rules = Rules(quiet={"team": OFFICE})
    found = [held(each, rules, now=NIGHT) for each in (breach(), silence())]
    assert len({each.group for each in found}) == 1
    assert found[0].why == f"quiet hours until {MORNING}"


def test_a_first_notice_waits_for_others_of_its_group() -> None:
    rules = Rules(groupings={"all": Grouping(("priority",), wait=10 * SECOND)})
    found = held(breach(), rules)
    assert (found.state, found.due, found.why) == ("held", DUE + 10 * SECOND, "grouped by priority high")
    assert held(breach(), rules, step="1").state == "pending"  # a step of an escalation is due when it is due


def test_a_group_of_a_receiver_at_night_waits_for_the_morning_and_stays_its_group() -> None:
    grouping = Grouping(("priority",))
    found = held(breach(), Rules(quiet={"team": OFFICE}, groupings={"all": grouping}), now=NIGHT)
    assert found.due == parse_instant(MORNING)
    assert found.group is not None
    assert group_in(found.group).shared == (("priority", "high"),)


def test_what_a_rate_limit_may_concern_goes_by_way_of_the_release() -> None:
    found = held(breach(), Rules(paces={"team": pace_of("120/min")}))
    assert (found.state, found.due, found.why) == ("held", DUE, "rate limit 120/min")
    assert held(breach(), Rules(paces={"boss": pace_of("120/min")})).state == "pending"


def test_a_customer_is_told_whatever_the_team_knows_but_not_what_is_silenced() -> None:
    alert = acknowledged(after(breach()), "ana", "", DUE)
    customer = Notice(CUSTOMERS, CUSTOMERS, "email", "told immediately")
    assert hold(customer, breach(), alert=alert, rules=Rules(), now=DUE) == customer
    assert hold(customer, breach(), alert=alert, rules=Rules(silences=(silenced(),)), now=DUE).state == "silenced"


def test_a_heartbeat_waits_for_nothing() -> None:
    beat = breach(item=f"{HEARTBEAT_TENANT}/chat/1")
    rules = Rules(silences=(silenced(),), paces={"team": pace_of("1/h")}, groupings={"all": Grouping()})
    assert held(beat, rules) == NOTICE


def test_what_was_decided_before_stays_decided() -> None:
    rules = Rules(silences=(silenced(),))
    assert held(breach(), rules, state="superseded", why="it is over").why == "it is over"
