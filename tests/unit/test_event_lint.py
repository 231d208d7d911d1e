"""What `./plazo lint --events` finds in recorded events."""

from __future__ import annotations

from msgspec.structs import replace

from services.timer.lint.event_lint import coverage
from services.timer.lint.finding import Finding
from services.timer.lint.recording import recording
from shared.events import Event, Kind
from tests.histories import event, policies

TARGET = "calendar: always, targets: {resolution: 4h}"


def found(text: str, *events: Event) -> list[Finding]:
    rules = policies(text)
    return coverage(rules, recording(rules, events))


def told(text: str, *events: Event) -> list[str]:
    return [str(each) for each in found(text, *events)]


def ticket(subject: str, *texts: str, kind: Kind = "ticket") -> list[Event]:
    events = [event(text, kind, number) for number, text in enumerate(texts)]
    return [replace(each, id=f"{subject}-{each.id}", subject=subject) for each in events]


def one(subject: str, attributes: str = "", kind: Kind = "ticket") -> Event:
    begin = {"ticket": "created", "chat": "started", "call": "queued"}[kind]
    return ticket(subject, f"09:00 {begin} {attributes}", kind=kind)[0]


class TestUncovered:
    POLICY = f"- {{name: a, applies_to: {{group: x}}, {TARGET}}}"

    def test_items_are_counted_by_kind(self) -> None:
        events = [one("1", "group=x"), one("2", "group=y"), one("3"), one("4", kind="call")]
        assert told(self.POLICY, *events) == [
            "policies: no policy covers 2 of 3 tickets",
            "policies: no policy covers 1 of 1 calls",
        ]

    def test_the_first_three_are_shown(self) -> None:
        events = [one(str(number), "group=y") for number in range(5)]
        assert [str(each) for each in found(self.POLICY, *events)[0].examples] == [
            f"default/ticket/{number}, a ticket with group=y" for number in range(3)
        ]

    def test_one_that_was_covered_for_a_time_is_covered(self) -> None:
        events = ticket("1", "09:00 created", "10:00 updated group=x", "11:00 updated group=none")
        assert not any("no policy covers" in message for message in told(self.POLICY, *events[:2]))

    def test_no_events_say_nothing(self) -> None:
        assert told(self.POLICY) == []


class TestSpelling:
    @staticmethod
    def policy(applies_to: str, more: str = "") -> str:
        return f"- {{name: a, applies_to: {applies_to}, {TARGET}{more}}}"

    def test_an_attribute_that_no_item_has_is_told_with_the_nearest(self) -> None:
        (finding,) = (each for each in found(self.policy("{custmer: x}"), one("1", "customer=x")) if each.name)
        assert str(finding) == "policy a: applies_to.custmer: no event has the attribute 'custmer'"
        assert finding.cure == "Write 'customer', if that is meant."
        assert str(finding.example) == "default/ticket/1, a ticket with customer=x"

    def test_a_value_that_no_item_has_is_told_where_one_is_like_it(self) -> None:
        messages = told(self.policy("{priority: [hihg, urgent]}"), one("1", "priority=high"))
        assert "policy a: applies_to.priority: no event has priority=hihg, but there is priority=high" in messages
        assert not any("urgent" in message for message in messages)

    def test_another_customer_of_a_similar_name_is_none(self) -> None:
        both = self.policy("{customer: acme-eu}") + "\n" + self.policy("{customer: acme-us}").replace("a,", "b,", 1)
        assert not any("but there is" in message for message in told(both, one("1", "customer=acme-us")))

    def test_an_attribute_is_told_once_for_each_policy(self) -> None:
        text = self.policy("{team: x}", ", pause_when: {team: y}")
        assert sum("'team'" in message for message in told(text, one("1"))) == 1


class TestPolicies:
    def test_one_that_covers_nobody_is_shown_with_the_nearest_item(self) -> None:
        text = f"- {{name: a, applies_to: {{group: x, status: open}}, {TARGET}}}"
        events = [one("1", "group=y status=new"), one("2", "group=x status=new")]
        (finding,) = (each for each in found(text, *events) if each.name == "a")
        assert finding.message == "covers none of 2 items"
        assert finding.example is not None
        assert finding.example.item == "default/ticket/2"

    def test_one_that_covered_an_item_for_a_time_covers_it(self) -> None:
        text = f"- {{name: a, applies_to: {{status: open}}, {TARGET}}}"
        events = ticket("1", "09:00 created status=open", "10:00 updated status=new")
        assert not any("covers none" in message for message in told(text, *events))

    def test_a_promise_that_nobody_can_keep_is_found_in_kinds_that_are_not_named(self) -> None:
        text = "- {name: a, applies_to: {}, calendar: always, targets: {first_response: 4h}}"
        assert told(text, one("1"), one("2", kind="call")) == [
            "policy a: targets.first_response: can never be met in a call"
        ]
        assert told(text, one("1")) == []

    def test_clocks_that_lose_their_policy_are_counted(self) -> None:
        text = f"- {{name: a, applies_to: {{status: open}}, {TARGET}}}"
        events = ticket("1", "09:00 created status=open", "10:00 updated status=new")
        message = "the resolution of 1 item was cancelled, because no policy covered it any more after a change"
        assert f"policy a: targets.resolution: {message}" in told(text, *events)

    def test_clocks_that_end_otherwise_are_not(self) -> None:
        text = "- {name: a, applies_to: {}, calendar: always, targets: {first_response: 4h, resolution: 4h}}"
        events = [
            *ticket("1", "09:00 created", "10:00 resolved"),
            *ticket("2", "09:00 created", "10:00 merged"),
            *ticket("3", "09:00 created", "10:00 deleted"),
        ]
        assert told(text, *events) == []


class TestPauses:
    TEXT = f"- {{name: a, applies_to: {{}}, {TARGET}, pause_when: {{status: vendor}}}}"
    STAYS = ("09:00 created", "10:00 updated status=vendor", "11:00 updated priority=low")

    def test_one_that_no_item_ever_left_is_found(self) -> None:
        events = [each for number in range(3) for each in ticket(str(number), *self.STAYS)]
        (finding,) = found(self.TEXT, *events)
        assert str(finding) == "policy a: pause_when: 3 items came to this pause, and none of them left it"

    def test_one_that_some_item_left_or_in_which_it_was_closed_is_not(self) -> None:
        stays = [each for number in range(3) for each in ticket(str(number), *self.STAYS)]
        for last in ("12:00 updated status=open", "12:00 resolved"):
            assert told(self.TEXT, *stays, *ticket("9", *self.STAYS, last)) == []

    def test_a_few_items_are_no_pattern(self) -> None:
        assert told(self.TEXT, *ticket("1", *self.STAYS), *ticket("2", *self.STAYS)) == []
