"""The heartbeat: what is made up, by whose policy its clock runs, and who hears of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import get_args

import pytest

from services.notifier import message, routes_file
from services.notifier.delivery import alert_id
from services.notifier.heart import Heart
from services.notifier.heartbeat import LATE, ROUTE, TARGET, Heartbeat, due
from services.notifier.routing import Routes, route
from services.notifier.templates.view import kind_of
from services.timer import fold
from services.timer.heartbeat import is_heartbeat, rulebook_of
from services.timer.policy_file import load
from services.timer.rulebook import Rulebook
from shared.cloudevents import decode_record
from shared.errors import BadDocument, Unavailable
from shared.events import HEARTBEAT_TENANT, SECOND, BreachType, Instant, instant
from shared.kafka.connection import Outgoing
from tests.factories import DUE, breach, delivery, silence

FILE = """
receivers:
  team: {{console: {{}}}}
  dead-man: {{console: {{}}}}
routes: [{{receivers: [team]}}]
heartbeat: {{receiver: {receiver}, every: {every}}}
"""
ITEM = f"{HEARTBEAT_TENANT}/chat/{DUE // SECOND}"
EVERY = 60 * SECOND


def routes(receiver: str = "dead-man", every: str = "60s") -> Routes:
    return routes_file.parse(FILE.format(receiver=receiver, every=every), "notify.yaml")


@dataclass
class Door:
    """Where events are taken in, unless it is closed."""

    taken: list[Outgoing] = field(default_factory=list)
    is_closed: bool = False

    async def __call__(self, events: Sequence[Outgoing]) -> None:
        if self.is_closed:
            raise Unavailable("the topic is away")
        self.taken += events


@dataclass
class Wanted:
    heartbeat: Heartbeat | None = field(default_factory=lambda: Heartbeat("dead-man", EVERY))


class Time:
    def __init__(self, at: Instant) -> None:
        self.at = at

    def __call__(self) -> Instant:
        return self.at


def heart(door: Door, time: Time, wanted: Wanted | None = None) -> Heart:
    found = wanted or Wanted()
    return Heart(lambda: found, door, time)


async def test_a_beat_starts_a_chat_that_nobody_picks_up_and_ends_the_one_before() -> None:
    door = Door()
    await heart(door, Time(DUE + 3_000)).round()
    ended, started = (decode_record(event.headers, event.value) for event in door.taken)
    assert (ended.type, ended.subject, ended.time) == ("chat.ended", str((DUE - EVERY) // SECOND), DUE)
    assert (started.type, started.item, started.time) == ("chat.started", ITEM, DUE)


async def test_all_notifiers_make_up_the_same_events() -> None:
    one, two = Door(), Door()
    await heart(one, Time(DUE + 1_000)).round()
    await heart(two, Time(DUE + 900_000)).round()
    assert one.taken == two.taken


async def test_a_beat_is_made_up_once_and_the_next_one_in_its_time() -> None:
    door, time = Door(), Time(DUE)
    beating = heart(door, time)
    for _ in range(3):
        await beating.round()
    assert len(door.taken) == 2
    time.at = DUE + EVERY - SECOND // 2
    assert await beating.round() == pytest.approx(0.5)
    time.at = DUE + EVERY
    await beating.round()
    assert len(door.taken) == 4


async def test_a_beat_whose_time_has_passed_is_left_out() -> None:
    """It would be seen late, and look as if the timer had been."""
    door = Door()
    await heart(door, Time(DUE + LATE)).round()
    assert door.taken == []


async def test_the_heart_goes_on_when_nothing_takes_its_events() -> None:
    door, time = Door(is_closed=True), Time(DUE)
    beating = heart(door, time)
    await beating.round()
    door.is_closed, time.at = False, DUE + EVERY
    await beating.round()
    assert len(door.taken) == 2


async def test_without_a_heartbeat_in_the_file_nothing_is_made_up_until_there_is_one() -> None:
    door, wanted = Door(), Wanted(None)
    beating = heart(door, Time(DUE), wanted)
    assert await beating.round() == pytest.approx(1.0)
    assert door.taken == []
    wanted.heartbeat = Heartbeat("dead-man", EVERY)
    await beating.round()
    assert len(door.taken) == 2


def test_its_clock_runs_by_a_policy_that_no_file_of_the_users_has() -> None:
    users = Rulebook(((0, load({"ours.yaml": OURS})),))
    ended, started = Heartbeat("dead-man", EVERY).events(DUE)
    state = fold.refold([started], rulebook_of(started.item, users))
    (clock,) = state.clocks
    assert (clock.policy, clock.metric, clock.due_at) == ("heartbeat", "pickup", DUE + TARGET)
    after = fold.refold(
        [started, Heartbeat("dead-man", EVERY).events(DUE + EVERY)[0]], rulebook_of(started.item, users)
    )
    assert (after.clocks[0].breached_at, after.stage) == (DUE + TARGET, "over")
    assert fold.refold([ended], rulebook_of(ended.item, users)).clocks == ()


def test_items_of_others_are_folded_by_the_users_policies() -> None:
    users = Rulebook(((0, load({"ours.yaml": OURS})),))
    for key in ("default/chat/1", "plazo/chat/1", f"{HEARTBEAT_TENANT}s/chat/1", f"default/chat/{HEARTBEAT_TENANT}/"):
        assert rulebook_of(key, users) is users
        assert not is_heartbeat(key)


OURS = """
calendars: {office: {time_zone: Europe/Madrid, hours: {mon-fri: "09:00-17:00"}}}
policies:
  - {name: ours, applies_to: {}, calendar: office, targets: {pickup: 5m, first_response: 5m, resolution: 1h}}
  - {name: all, applies_to: {}, calendar: office, combine: all, targets: {pickup: 1m}}
"""


def test_the_receiver_alone_hears_of_it_and_of_nothing_but_the_breach() -> None:
    (notice,) = route(routes(), breach(item=ITEM), DUE)
    assert (notice.route, notice.receiver, notice.channel) == (ROUTE, "dead-man", "console")
    for name in get_args(BreachType):
        assert (route(routes(), breach("e", name, item=ITEM), DUE) == []) is (name != "sla.clock.breached.v1")
    assert route(routes(), silence(tenant=HEARTBEAT_TENANT), DUE) == []


def test_without_a_heartbeat_in_the_file_nobody_hears_of_one() -> None:
    """As when another installation's, or that of before, is still on the topic."""
    without = routes_file.parse("receivers: {a: {console: {}}}\nroutes: [{receivers: [a]}]", "notify.yaml")
    assert route(without, breach(item=ITEM), DUE) == []


def test_what_is_no_heartbeat_takes_its_routes_as_ever() -> None:
    assert [notice.receiver for notice in route(routes(), breach(), DUE)] == ["team"]


def test_it_asks_nobody_to_do_anything() -> None:
    found = delivery(breach(item=ITEM))
    assert alert_id(found.record) is None
    assert kind_of(found) == "heartbeat"
    assert message.headline(found.record) == "Heartbeat of 2026-01-05 12:00:00 UTC: alerts arrive"
    assert message.thread(found.record) == ["heartbeat"]
    assert due(found.record) == DUE == instant(found.record.time)
    assert due(breach()) is None


def test_its_receiver_is_in_use_though_no_route_names_it() -> None:
    assert routes_file.findings(routes()) == []


@pytest.mark.parametrize(
    ("receiver", "every", "what"),
    [
        ("nobody", "60s", "heartbeat.receiver: expected one of the receivers team, dead-man, got 'nobody'"),
        ("team", "1s", "heartbeat.every"),  # the next beat would end a chat that may still be picked up in time
        ("team", "2h", "heartbeat.every"),
        ("team", "often", "heartbeat.every"),
    ],
)
def test_a_heartbeat_that_cannot_be_meant_is_refused(receiver: str, every: str, what: str) -> None:
    with pytest.raises(BadDocument, match=r"notify\.yaml:6: ") as caught:
        routes(receiver, every)
    assert what in str(caught.value)
