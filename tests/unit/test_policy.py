"""Which policy wins, with which target."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.timer.business_hours import BusinessHours
from services.timer.conditions import matches, texts
from services.timer.metric_file import built_in
from services.timer.opening_times import HoursSpec, Window
from services.timer.policy import LEVELS, CalendarChoice, Policy, Target, WarnAt
from services.timer.policy_set import PolicySet, Terms
from services.timer.rulebook import Rulebook
from shared.events import SECOND

HOUR = 3600 * SECOND
ALWAYS = BusinessHours(HoursSpec("UTC", ((Window(0, 86_400),),) * 7))


def policy(name: str, applies_to: Mapping[str, Any] | None = None, **others: Any) -> Policy:
    """A policy with a target of one hour for resolution; conditions are one text or a set of them."""
    found = {key: frozenset((value,) if isinstance(value, str) else value) for key, value in (applies_to or {}).items()}
    return Policy(name, found, CalendarChoice("always"), **{"targets": {"resolution": Target(HOUR)}, **others})


def policy_set(*policies: Policy) -> PolicySet:
    return PolicySet("v1", policies, {"always": ALWAYS}, metrics=built_in())


def names(policies: PolicySet, attributes: Mapping[str, Any], metric: str = "resolution") -> list[str]:
    return [terms.policy.name for terms in policies.terms("ticket", attributes, 0).get(metric, ())]


ITEM = {"contact": "ann", "customer": "acme", "service": "mail", "department": "it", "group": "g1", "priority": "high"}


class TestWhichPolicyWins:
    @pytest.mark.parametrize(
        ("stronger", "weaker"),
        [
            # Each level goes before the next one, however many attributes that one has.
            ({"contact": "ann"}, {"kind": "ticket", "customer": "acme", "service": "mail", "priority": "high"}),
            ({"customer": "acme"}, {"service": "mail", "group": "g1"}),
            ({"service": "mail"}, {"department": "it", "priority": "high"}),
            ({"department": "it"}, {"group": "g1", "priority": "high"}),
            ({"group": "g1"}, {"kind": "ticket", "priority": "high"}),
            ({"priority": "high"}, {"kind": "ticket"}),
            # Within a level the one with more conditions; the kind is one.
            ({"customer": "acme", "priority": "high"}, {"customer": "acme"}),
            ({"kind": "ticket", "customer": "acme"}, {"customer": "acme"}),
            ({"kind": "ticket"}, {}),
        ],
    )
    def test_the_most_specific_wins(self, stronger: dict[str, str], weaker: dict[str, str]) -> None:
        assert names(policy_set(policy("weak", weaker), policy("strong", stronger)), ITEM) == ["strong"]

    @pytest.mark.parametrize(
        ("first", "second", "winner"),
        [
            # A rank decides among equals, the lower one first,
            (2, 1, "second"),
            # any rank before none,
            (None, 9, "second"),
            # and the place in the file between equal ranks and where there is none.
            (1, 1, "first"),
            (None, None, "first"),
        ],
    )
    def test_rank_and_then_order_decide_between_equals(
        self, first: int | None, second: int | None, winner: str
    ) -> None:
        equals = (policy("first", {"group": "g1"}, rank=first), policy("second", {"group": "g1"}, rank=second, order=1))
        assert names(policy_set(*equals), ITEM) == [winner]

    def test_each_metric_has_its_own_winner(self) -> None:
        general = policy("general", targets={"resolution": Target(HOUR), "first_response": Target(HOUR)})
        special = policy("special", {"customer": "acme"})
        policies = policy_set(general, special)
        assert names(policies, ITEM) == ["special"]
        assert names(policies, ITEM, "first_response") == ["general"]

    def test_a_policy_without_a_target_for_this_item_does_not_compete(self) -> None:
        only_urgent = Target(None, by=(("priority", {"urgent": HOUR}),))
        special = policy("special", {"customer": "acme"}, targets={"resolution": only_urgent})
        policies = policy_set(policy("general"), special)
        assert names(policies, ITEM) == ["general"]
        assert names(policies, {**ITEM, "priority": "urgent"}) == ["special"]

    def test_combining_policies_stand_beside_the_winner(self) -> None:
        policies = policy_set(
            policy("team", {"group": "g1"}, combine_all=True), policy("corporate"), policy("acme", {"customer": "acme"})
        )
        assert names(policies, ITEM) == ["acme", "team"]

    def test_a_combining_policy_holds_where_nothing_wins(self) -> None:
        assert names(policy_set(policy("team", {"group": "g1"}, combine_all=True)), ITEM) == ["team"]

    def test_another_kind_of_item_is_not_covered(self) -> None:
        policies = policy_set(policy("chats", {"kind": "chat"}))
        assert policies.terms("ticket", {"kind": "chat"}, 0) == {}
        assert policies.terms("chat", {}, 0).keys() == {"resolution"}

    @settings(deadline=None)  # a busy machine is slow, not wrong
    @given(
        st.lists(
            st.dictionaries(
                st.sampled_from((*LEVELS, "priority", "tags", "kind")),
                st.sets(st.sampled_from(("a", "b", "ticket")), min_size=1, max_size=2),
                max_size=3,
            ),
            max_size=6,
        ),
        st.lists(
            st.dictionaries(
                st.sampled_from((*LEVELS, "priority", "tags", "other")),
                st.sampled_from(("a", "b", "c", None, 1)) | st.lists(st.sampled_from(("a", "b", "c")), max_size=3),
                max_size=6,
            ),
            min_size=1,
            max_size=6,
        ),
    )
    def test_what_is_remembered_is_what_a_look_at_every_policy_finds(
        self, conditions: list[dict[str, set[str]]], items: list[dict[str, Any]]
    ) -> None:
        all_policies = [policy(f"p{n}", each, order=n) for n, each in enumerate(conditions)]
        policies = policy_set(*all_policies)
        for item in items + items:
            covering = sorted((p.precedence, p.name) for p in all_policies if p.covers("ticket", item))
            assert names(policies, item) == [name for _, name in covering[:1]]


class TestTargets:
    BY = Target(
        8 * HOUR,
        by=(("priority", {"urgent": HOUR, "1": 2 * HOUR}), ("tags", {"vip": 3 * HOUR, "gold": 4 * HOUR})),
    )

    @pytest.mark.parametrize(
        ("attributes", "hours"),
        [
            # No attribute has an entry.
            ({}, 8),
            ({"priority": "low"}, 8),
            # The first attribute listed counts before the second.
            ({"priority": "urgent", "tags": ["vip"]}, 1),
            # A value without an entry leaves it to the next attribute.
            ({"priority": "low", "tags": ["vip"]}, 3),
            # Of several tags the one that the file names first.
            ({"tags": ["gold", "vip"]}, 3),
            # Keys of a mapping are texts, the source's priority may be a number.
            ({"priority": 1}, 2),
        ],
    )
    def test_the_first_attribute_with_an_entry_decides(self, attributes: dict[str, Any], hours: int) -> None:
        assert self.BY.span(attributes) == hours * HOUR

    def test_without_entry_and_without_within_there_is_none(self) -> None:
        assert Target(None, by=self.BY.by).span({"priority": "low"}) is None


class TestMatching:
    @pytest.mark.parametrize(
        ("conditions", "attributes", "expected"),
        [
            # Nothing asked matches everything.
            ({}, {}, True),
            # One of several values.
            ({"status": {"pending", "on_hold"}}, {"status": "on_hold"}, True),
            ({"status": {"pending", "on_hold"}}, {"status": "open"}, False),
            # All keys must match.
            ({"status": {"pending"}, "group": {"g1"}}, {"status": "pending"}, False),
            # Any member of a list.
            ({"tags": {"vip"}}, {"tags": ["new", "vip"]}, True),
            ({"tags": {"vip"}}, {"tags": []}, False),
            # Numbers and truth values as they are written.
            ({"tier": {"1"}}, {"tier": 1}, True),
            ({"tier": {"1"}}, {"tier": 1.0}, True),
            ({"tier": {"1"}}, {"tier": True}, False),
            ({"vip": {"true"}}, {"vip": True}, True),
            # Null and nested values are nothing.
            ({"tier": {"None"}}, {"tier": None}, False),
            ({"tier": {"x"}}, {"tier": {"x": 1}}, False),
            ({"tags": {"x"}}, {"tags": [["x"], None]}, False),
        ],
    )
    def test_conditions(self, conditions: dict[str, set[str]], attributes: dict[str, Any], expected: bool) -> None:
        assert matches({key: frozenset(values) for key, values in conditions.items()}, attributes) is expected

    def test_a_number_is_the_text_of_it(self) -> None:
        assert texts(2.5) == {"2.5"}


class TestTerms:
    def test_the_same_answer_is_the_same_object(self) -> None:
        policies = policy_set(policy("p", {"priority": {"high", "low"}}))
        assert (
            policies.terms("ticket", {"priority": "high"}, 0)["resolution"][0]
            is (policies.terms("ticket", {"priority": "low"}, 0)["resolution"][0])
        )

    def test_equal_promises_of_two_versions_are_equal(self) -> None:
        assert terms_of(policy("p", severity="high")) == terms_of(policy("p", severity="high", order=3))
        assert len({terms_of(policy("p")), terms_of(policy("p"))}) == 1

    @pytest.mark.parametrize(
        "other",
        [
            policy("q"),
            policy("p", targets={"resolution": Target(2 * HOUR)}),
            policy("p", targets={"resolution": Target(HOUR, warn_at=(WarnAt("50%", share=0.5),))}),
            policy("p", severity="low"),
            policy("p", pause_when={"status": frozenset({"pending"})}),
        ],
    )
    def test_another_promise_is_not(self, other: Policy) -> None:
        assert terms_of(policy("p")) != terms_of(other)

    def test_nor_is_one_in_other_hours(self) -> None:
        weekdays = BusinessHours(HoursSpec("UTC", ((Window(0, 86_400),),) * 5 + ((), ())))
        terms = PolicySet("v2", [policy("p")], {"always": weekdays}, metrics=built_in()).terms("ticket", {}, 0)[
            "resolution"
        ][0]
        assert terms != terms_of(policy("p"))

    def test_a_target_may_have_its_own_severity(self) -> None:
        own = policy("p", severity="low", targets={"resolution": Target(HOUR, severity="critical")})
        assert terms_of(own).severity == "critical"

    def test_a_flood_of_other_values_is_remembered_once(self) -> None:
        policies = policy_set(policy("p", {"customer": "acme"}))
        for n in range(1000):
            policies.terms("ticket", {"customer": f"c{n}", "note": [n]}, 0)
        assert len(policies._memo) == 1

    def test_only_the_attributes_that_it_reads_matter(self) -> None:
        target = Target(HOUR, by=(("priority", {"high": HOUR}),))
        policies = policy_set(policy("p", {"kind": "ticket", "customer": "acme"}, targets={"resolution": target}))
        assert policies.reads == frozenset({"customer", "priority"})

    def test_an_unknown_calendar_is_refused(self) -> None:
        with pytest.raises(KeyError, match="always"):
            PolicySet("v1", [policy("p")], {}, metrics=built_in())


def terms_of(one: Policy) -> Terms:
    return policy_set(one).terms("ticket", {}, 0)["resolution"][0]


class TestWarnings:
    @pytest.mark.parametrize(
        ("warning", "expected"),
        [
            (WarnAt("80%", share=0.8), 48 * 60 * SECOND),
            (WarnAt("15m_left", left=15 * 60 * SECOND), 45 * 60 * SECOND),
            # More to be left than there is: it would be before the start.
            (WarnAt("2h_left", left=2 * HOUR), -HOUR),
        ],
    )
    def test_a_warning_comes_after_that_much(self, warning: WarnAt, expected: int) -> None:
        assert warning.elapsed(HOUR) == expected


class TestRulebook:
    FIRST, SECOND, THIRD = (
        PolicySet(version, [policy("p")], {"always": ALWAYS}, metrics=built_in()) for version in ("a", "b", "c")
    )
    BOOK = Rulebook(((100, FIRST),)).adding(200, SECOND)

    @pytest.mark.parametrize(
        ("at", "version"),
        [
            # Before the first version, the first.
            (0, "a"),
            (199, "a"),
            # From its own instant on.
            (200, "b"),
            (10**18, "b"),
        ],
    )
    def test_the_version_in_force(self, at: int, version: str) -> None:
        assert self.BOOK.at(at).version == version

    def test_of_two_from_the_same_instant_the_later_one_is_in_force(self) -> None:
        assert self.BOOK.adding(200, self.THIRD).at(200) is self.THIRD

    def test_a_version_is_found_by_its_hash(self) -> None:
        assert self.BOOK.version("a") is self.FIRST
        with pytest.raises(KeyError):
            self.BOOK.version("c")
