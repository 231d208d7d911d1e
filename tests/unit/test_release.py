"""What becomes of held notices when some are due."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.notifier.alerts.standing import StandingAlert, acknowledged, fold, snoozed
from services.notifier.delivery import Notice, alert_id, delivery_id
from services.notifier.grouping import Grouping, group_of
from services.notifier.holding.release import Held, Release, Situation, release
from services.notifier.holding.rules import Rules
from services.notifier.pace import pace_of
from services.notifier.quiet_hours import QuietHours
from shared.breach_records import BreachRecord, PublishedRecord
from shared.events import SECOND, Instant
from tests.factories import DUE, breach, silence
from tests.unit.test_hold import silenced

GROUPING: Final = Grouping(("customer",))
WARNING: Any = {"event_type": "sla.clock.warning.v1", "breach_id": None, "warning": "80%"}


def of(number: int, **changes: Any) -> BreachRecord:
    """A breach of an item of its own."""
    fields = {"item": f"default/ticket/{number}", "clock_id": f"clock-{number}", **changes}
    return breach(f"event-{number}-{fields.get('sequence', 1)}", **fields)


def waiting(record: PublishedRecord, *others: BreachRecord, grouping: Grouping | None = None, **notice: Any) -> Held:
    """*record*, held; *others* were published of its clock too."""
    asked = Notice("all", "team", "webhook", "it takes everything", state="held", due=DUE, **notice)
    if grouping is not None:
        asked = replace(asked, group=group_of(grouping, asked, record).key)
    alert: StandingAlert | None = None
    if isinstance(record, BreachRecord):
        for each in (record, *others):
            alert = fold(alert, each, DUE)
    return Held(delivery_id(record, asked), asked, record, alert, alert_id(record))


def released(*held: Held, now: Instant = DUE, **situation: Any) -> Release:
    rules = situation.pop("rules", Rules())
    return release(held, Situation(now, rules, **situation))


def test_one_of_a_group_goes_as_it_is_and_several_go_as_one() -> None:
    alone = waiting(of(1, attributes={"customer": "acme"}), grouping=GROUPING)
    two = [waiting(of(n, attributes={"customer": "globex"}), grouping=GROUPING) for n in (2, 3)]
    found = released(alone, *two)
    assert found.go == [alone]
    assert [{each.id for each in digest.members} for digest in found.digests] == [{each.id for each in two}]
    assert found.digests[0].reason == "2 notices, route all, grouped by customer globex"


def test_the_worst_of_a_digest_stands_first() -> None:
    order: list[PublishedRecord] = [
        of(1, severity="critical", elapsed_s=14_401.0),
        of(2, severity="high", elapsed_s=20_000.0),
        of(3, severity="high", elapsed_s=14_500.0),
        silence(severity="medium", quiet_s=700.0),
        of(4, severity="low", elapsed_s=90_000.0),
    ]
    (digest,) = released(*(waiting(each, grouping=Grouping()) for each in reversed(order))).digests
    assert [each.record for each in digest.members] == order


def test_the_same_notices_make_the_same_digest() -> None:
    held = [waiting(of(n), grouping=Grouping()) for n in range(5)]
    assert released(*held).digests[0].id == released(*reversed(held)).digests[0].id


def test_a_group_waits_from_one_message_to_the_next() -> None:
    one = waiting(of(1), grouping=GROUPING)
    rules = Rules(groupings={"all": GROUPING})
    told = {one.notice.group: DUE - 60 * SECOND}
    ((_, wait),) = released(one, rules=rules, told=told).waits
    assert wait.until == DUE - 60 * SECOND + GROUPING.interval
    assert released(one, rules=rules, told=told, now=wait.until).go == [one]


def test_of_one_promise_only_the_newest_is_told() -> None:
    warning, broken = of(1, **WARNING, sequence=1), of(1, sequence=2)
    early, late = waiting(warning, broken), waiting(broken, warning)
    found = released(early, late)
    assert found.go == [late]
    assert [(each.record.id, ending.state) for each, ending in found.ends] == [(warning.id, "superseded")]


@pytest.mark.parametrize(
    ("record", "later"),
    [
        (of(1, **WARNING), of(1, sequence=2)),  # a warning of what has broken, which another route tells
        (of(1), of(1, sequence=2, event_type="sla.breach.retracted.v1")),  # a breach that was taken back
    ],
)
def test_what_is_no_longer_so_is_not_told(record: BreachRecord, later: BreachRecord) -> None:
    ((_, ending),) = released(waiting(record, later)).ends
    assert ending.state == "superseded"


def test_what_was_taken_on_meanwhile_is_not_told() -> None:
    held = waiting(of(1))
    assert held.alert is not None
    ((_, ending),) = released(replace(held, alert=acknowledged(held.alert, "ana", "", DUE))).ends
    assert (ending.state, ending.why) == ("muted", "acknowledged by ana")


def test_what_was_snoozed_or_silenced_meanwhile_waits_or_is_hidden() -> None:
    held = waiting(of(1))
    assert held.alert is not None
    until = DUE + 3_600 * SECOND
    ((_, wait),) = released(replace(held, alert=snoozed(held.alert, "ana", "", until, DUE))).waits
    assert wait.until == until
    ((_, ending),) = released(held, rules=Rules(silences=(silenced(),))).ends
    assert (ending.state, ending.silence) == ("silenced", silenced().id)


def test_what_comes_due_at_night_waits_for_the_morning() -> None:
    office = QuietHours.model_validate({"zone": "Europe/Madrid", "open": {"mon-fri": "08:00-20:00"}})
    night = DUE + 10 * 3_600 * SECOND
    ((_, wait),) = released(waiting(of(1)), rules=Rules(quiet={"team": office}), now=night).waits
    assert wait.why == "quiet hours until 2026-01-06T07:00:00Z"


def test_a_step_of_an_escalation_is_told_unless_its_alert_is_over() -> None:
    broken, end = of(1), of(1, sequence=2, event_type="sla.breach.stopped.v1")
    assert len(released(waiting(broken, step="2")).go) == 1
    assert [ending.state for _, ending in released(waiting(broken, end, step="2")).ends] == ["superseded"]


PACED: Final = Rules(paces={"team": pace_of("10/min")})


def test_what_is_more_than_the_rate_limit_allows_is_told_as_one_the_least_urgent() -> None:
    held = [waiting(of(n, elapsed_s=14_400.0 + n)) for n in range(30)]
    found = released(*held, rules=PACED)
    assert found.go == held[:20:-1]  # the nine that are most overdue
    assert [len(digest.members) for digest in found.digests] == [21]
    assert found.digests[0].reason == "21 notices, rate limit 10/min"


def test_an_empty_bucket_lets_everything_wait_until_the_next_message_may_go() -> None:
    first = released(*(waiting(of(n)) for n in range(30)), rules=PACED)
    late = [waiting(of(n)) for n in range(30, 40)]
    waits = released(*late, rules=PACED, full_at=first.full_at, now=DUE + SECOND).waits
    assert {wait.until for _, wait in waits} == {DUE + 6 * SECOND}
    again = released(*late, rules=PACED, full_at=first.full_at, now=DUE + 6 * SECOND)
    assert [len(digest.members) for digest in again.digests] == [10]


_RECORDS = st.builds(
    of,
    st.integers(0, 6),
    sequence=st.integers(1, 4),
    severity=st.sampled_from(["low", "critical"]),
    event_type=st.sampled_from(["sla.clock.breached.v1", "sla.breach.stopped.v1", "sla.breach.retracted.v1"]),
    attributes=st.fixed_dictionaries({"customer": st.sampled_from(["acme", "globex"])}),
)


@given(
    records=st.lists(_RECORDS, max_size=25, unique_by=lambda record: record.id),
    grouping=st.sampled_from([None, Grouping(), GROUPING]),
    pace=st.sampled_from([None, pace_of("3/min"), pace_of("1/h")]),
    used=st.integers(0, 4),
)
def test_every_notice_ends_up_in_exactly_one_place(
    records: list[BreachRecord], grouping: Grouping | None, pace: Any, used: int
) -> None:
    held = [waiting(each, grouping=grouping) for each in records]
    rules = Rules(paces={} if pace is None else {"team": pace})
    full_at = None if pace is None else pace.taken(min(used, pace.count), None, DUE)
    found = released(*held, rules=rules, full_at=full_at)
    places = [
        *(each.id for each in found.told),
        *(each.id for each, _ in found.waits),
        *(each.id for each, _ in found.ends),
    ]
    assert sorted(places) == sorted(each.id for each in held)
    if pace is not None:
        assert len(found.go) + len(found.digests) <= pace.free(full_at, DUE)
