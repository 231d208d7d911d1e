"""Exclusions: which items they cover, what stands in files about them, and what cannot be meant."""

from __future__ import annotations

import pytest

from services.timer.business_hours import BusinessHours
from services.timer.exclusion import NO_EXCLUSIONS, Exclusion, Exclusions
from services.timer.expression import checked
from services.timer.lint.event_lint import coverage
from services.timer.lint.policy_lint import findings
from services.timer.lint.recording import recording
from services.timer.net_hours import NetHours
from services.timer.opening_times import HoursSpec, Window
from services.timer.policy_file import load
from services.timer.rulebook import Rulebook
from shared.errors import BadDocument
from tests.histories import CALENDARS, MONDAY, at, event, policies

ALWAYS = BusinessHours(HoursSpec("UTC", ((Window(0, 86_400),),) * 7))


def exclusion(name: str, start: str, end: str, **conditions: str) -> Exclusion:
    when = conditions.pop("when", None)
    asked = {key: frozenset({value}) for key, value in conditions.items()}
    return Exclusion(name, at(start), at(end), f"why {name}", asked, None if when is None else checked(when))


def spans(exclusions: Exclusions, **attributes: object) -> list[tuple[str, int, int]]:
    return [(each.name, each.start, each.end) for each in exclusions.closures("ticket", attributes)]


class TestWhatIsCovered:
    def test_without_conditions_every_item(self) -> None:
        assert spans(Exclusions([exclusion("a", "10:00", "12:00")])) == [("a", at("10:00"), at("12:00"))]

    @pytest.mark.parametrize(
        ("attributes", "covered"),
        [
            # All conditions must hold,
            ({"group": "g1", "amount": 11}, True),
            ({"group": "g2", "amount": 11}, False),
            # the expression among them.
            ({"group": "g1", "amount": 9}, False),
            ({"group": "g1"}, False),
        ],
    )
    def test_with_conditions_those_that_meet_them(
        self, attributes: dict[str, object], covered: bool
    ) -> None:  # whether is the point
        exclusions = Exclusions([exclusion("a", "10:00", "12:00", group="g1", kind="ticket", when="item.amount > 10")])
        for _ in range(2):  # the second answer is remembered
            assert bool(spans(exclusions, **attributes)) is covered

    @pytest.mark.parametrize(
        ("others", "expected"),
        [
            # Of several that cover an instant the one that began first is told,
            ([("b", "11:00", "13:00")], [("a", "10:00", "12:00"), ("b", "12:00", "13:00")]),
            ([("b", "09:00", "11:00")], [("b", "09:00", "11:00"), ("a", "11:00", "12:00")]),
            # what lies in another tells nothing,
            ([("b", "11:00", "11:30")], [("a", "10:00", "12:00")]),
            # and those that touch are two.
            ([("b", "12:00", "13:00")], [("a", "10:00", "12:00"), ("b", "12:00", "13:00")]),
        ],
    )
    def test_spans_that_overlap_are_cut_apart(
        self, others: list[tuple[str, str, str]], expected: list[tuple[str, str, str]]
    ) -> None:
        exclusions = Exclusions([exclusion("a", "10:00", "12:00"), *(exclusion(*each) for each in others)])
        assert spans(exclusions) == [(name, at(start), at(end)) for name, start, end in expected]

    def test_hours_are_the_calendars_own_where_nothing_is_excluded(self) -> None:
        exclusions = Exclusions([exclusion("a", "10:00", "12:00", group="g1")])
        assert exclusions.net(ALWAYS, "ticket", {}) is ALWAYS
        net = exclusions.net(ALWAYS, "ticket", {"group": "g1", "other": 1})
        assert isinstance(net, NetHours)
        assert exclusions.net(ALWAYS, "ticket", {"group": "g1"}) is net

    def test_only_what_is_read_concerns_them(self) -> None:
        exclusions = Exclusions([exclusion("a", "10:00", "12:00", group="g1", kind="ticket")])
        assert exclusions.concern(frozenset({"group", "other"}))
        assert not exclusions.concern(frozenset({"kind", "other"}))
        anything = Exclusions([exclusion("a", "10:00", "12:00", when="item.size() > 1")])
        assert anything.concern(frozenset({"other"}))
        assert not anything.concern(frozenset())


class TestRevision:
    A, B = exclusion("a", "10:00", "12:00"), exclusion("b", "10:00", "12:00", group="g1")

    def test_is_that_of_the_content(self) -> None:
        assert NO_EXCLUSIONS.revision == Exclusions([]).revision == ""
        assert Exclusions([self.A, self.B]).revision == Exclusions([self.B, self.A]).revision
        assert len({Exclusions(each).revision for each in ([self.A], [self.B], [self.A, self.B])}) == 3

    def test_of_a_rulebook_is_the_newest_files(self) -> None:
        plain = policies("- {name: p, applies_to: {}, calendar: always, targets: {resolution: 1h}}")
        first = plain.named("1").excluding([self.A])
        book = Rulebook(((0, first),)).adding(100, plain.named("2").excluding([self.B]))
        assert book.exclusions_revision == Exclusions([self.B]).revision
        assert book.adding(200, plain.named("3")).exclusions_revision == ""


POLICY = "- {name: p, applies_to: {kind: ticket, group: [g1, g2]}, calendar: office, targets: {resolution: 1h}}"


def text(*exclusions: str) -> str:
    listed = "\n".join(f"  - {each}" for each in exclusions)
    return f"{CALENDARS}policies:\n{POLICY}\nexclusions:\n{listed}\n"


GOOD = "{name: a, from: '2026-01-05T10:00:00Z', until: '2026-01-05T13:00:00+01:00', reason: power cut%s}"


class TestFiles:
    def test_an_exclusion_is_read(self) -> None:
        (found,) = load({"f.yaml": text(GOOD % ", applies_to: {group: g1}, when: item.vip")}).exclusions.all
        expected = Exclusion(
            "a", at("10:00"), at("12:00"), "power cut", {"group": frozenset({"g1"})}, checked("item.vip")
        )
        assert found == expected

    def test_those_of_all_files_hold_together(self) -> None:
        other = "exclusions: [" + GOOD.replace("name: a", "name: b") % "" + "]"
        found = load({"1.yaml": text(GOOD % ""), "2.yaml": other}).exclusions
        assert [each.name for each in found.all] == ["a", "b"]

    def test_the_version_covers_them(self) -> None:
        assert load({"f": text(GOOD % "")}).version != load({"f": text(GOOD % ", applies_to: {group: g1}")}).version

    @pytest.mark.parametrize(
        ("written", "expected"),
        [
            ("{name: a}", "exclusions[0].from: is required"),
            (GOOD.replace(", reason: power cut", "") % "", "exclusions[0].reason: is required"),
            (GOOD.replace("power cut", "''") % "", "exclusions[0].reason: "),
            (GOOD.replace("'2026-01-05T10:00:00Z'", "2026-01-05") % "", "exclusions[0].from: expected an instant like"),
            # Without an offset, and a leap second.
            (GOOD.replace("10:00:00Z", "10:00:00") % "", "exclusions[0].from: expected an instant like"),
            (GOOD.replace("10:00:00Z", "10:00:60Z") % "", "exclusions[0].from: expected an instant like"),
            (GOOD.replace("T10:", "T12:") % "", "exclusions[0]: expected `from` before `until`"),
            (GOOD % ", applies_to: {kind: mail}", "exclusions[0].applies_to: expected kinds of ticket, chat, call"),
            (GOOD % ", when: item.a ==", "exclusions[0].when: line 1, column 10 of the expression"),
            (GOOD % ", to: x", "exclusions[0].to: is not known here"),
        ],
    )
    def test_a_mistake_is_named_with_its_place(self, written: str, expected: str) -> None:
        with pytest.raises(BadDocument) as caught:
            load({"f.yaml": text(written)})
        assert str(caught.value.problems[0]).startswith("f.yaml:9: ")
        assert expected in "\n".join(map(str, caught.value.problems))

    def test_a_name_stands_once(self) -> None:
        with pytest.raises(BadDocument) as caught:
            load({"f.yaml": text(GOOD % "", GOOD % "")})
        assert "exclusions[1].name: expected a name of its own" in str(caught.value.problems[0])


class TestFindings:
    def messages(self, written: str) -> list[str]:
        return [str(each) for each in findings(load({"f": text(written)}), MONDAY) if "exclusion" in each.subject]

    @pytest.mark.parametrize("conditions", [", applies_to: {kind: call}", ", applies_to: {group: g3, priority: high}"])
    def test_one_that_covers_nothing_possible_is_found(self, conditions: str) -> None:
        assert self.messages(GOOD % conditions) == [
            "exclusion a: stops no clock: no policy covers an item that it applies to"
        ]

    @pytest.mark.parametrize("conditions", ["", ", applies_to: {group: [g2, g3]}", ", applies_to: {tags: x}"])
    def test_others_are_not(self, conditions: str) -> None:
        assert self.messages(GOOD % conditions) == []

    def test_attributes_that_no_event_has_are_found(self) -> None:
        rules = load({"f": text(GOOD % ", applies_to: {group: g1, site: mad}, when: item.vip")})
        found = [str(each) for each in coverage(rules, recording(rules, [event("09:00 created group=g1")]))]
        assert found == [
            "exclusion a: applies_to.site: no event has the attribute 'site'",
            "exclusion a: when: no event has the attribute 'vip'",
        ]
