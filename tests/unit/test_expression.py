"""Expressions: what they say of an item, what they read, and which mistakes are found before there is one."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.timer.explaining.policy_choice import Question, verdicts
from services.timer.expression import Expression, checked
from services.timer.lint.event_lint import coverage
from services.timer.lint.policy_lint import findings
from services.timer.lint.recording import recording
from services.timer.policy_file import load
from shared.errors import BadDocument
from shared.expression import FUNCTIONS, LENGTH
from shared.expression_text import attributes_read, bound
from tests.histories import CALENDARS, MONDAY, clocks, event, history, policies, rulebook

ITEM: dict[str, Any] = {"amount": 5, "vip": True, "tags": ["a", "b"], "customer": "acme", "gone": None}


class TestWhatItSays:
    @pytest.mark.parametrize(
        ("text", "outcome"),
        [
            ("item.amount > 3 && kind == 'ticket'", True),
            ("item.amount > 3.0", True),
            ("item.vip", True),
            ("item.tags.exists(t, t == 'c')", False),
            ("item['customer'].startsWith('ac')", True),
            # Types are not mixed up, as they are in `applies_to`,
            ("item.amount == '5'", False),
            # an attribute that was removed is not there,
            ("has(item.gone) || has(item.never)", False),
            # and what cannot be evaluated says why.
            ("item.never == 'x'", "the item has no 'never'"),
            ("item.amount + 'x' == '5x'", "the operands of some operation do not fit each other"),
            ("item.amount", "it gives 5, which is neither true nor false"),
            ("item.tags[7] == 'a'", "index out of bounds: 7"),
            ("item.amount / 0 == 1", "division by zero in CEL expression"),
            ("int(item.customer) == 1", "some function does not take what it is given"),
            # One side of an `or` is enough.
            ("item.never == 'x' || item.vip", True),
        ],
    )
    def test_of_an_item(self, text: str, outcome: bool | str) -> None:  # what it says is the point
        expression = checked(text)
        assert expression.outcome("ticket", ITEM) == outcome
        assert expression.holds("ticket", ITEM) is (outcome is True)

    @pytest.mark.parametrize("name", sorted(FUNCTIONS))
    def test_every_function_that_is_named_exists(self, name: str) -> None:
        arguments = {
            "duration": 'duration("90s")',
            "timestamp": 'timestamp("2026-01-05T08:00:00Z")',
            **{function: f'"abc".{function}("b")' for function in ("contains", "startsWith", "endsWith", "matches")},
            **{function: f'{function}("1")' for function in ("bytes", "double", "int", "uint", "size")},
        }
        of_time = f'timestamp("2026-01-05T08:00:00Z").{name}()'
        call = arguments.get(name, of_time if name.startswith("get") else f"{name}(1)")
        assert Expression(f"{call} == {call}").outcome("ticket", {}) is True


class TestWhatItReads:
    @pytest.mark.parametrize(
        ("text", "attributes"),
        [
            ("item.a == 1 && has(item.b) && item['c d'] == 2", {"a", "b", "c d"}),
            ("kind == 'call'", set()),
            # Members of members are parts of an attribute, whatever their names,
            ("item.a.item.b == 1", {"a"}),
            # strings and comments are none,
            ("item.a == 'item.b' // item.c", {"a"}),
            ("item.a == r'\\' && item.b == 'it\\'s' && item.c == '''item.d'''", {"a", "b", "c"}),
            # and where the text does not tell, all of them may be read.
            ("item[kind] == 1", None),
            ("size(item) > 1", None),
            ("item.size() > 1", None),
            ("item.exists(name, name == 'a')", None),
            ("item.tags.exists(item, item == 'a')", None),
            ("item['a' + 'b'] == 1", None),
            ("item['\\x61'] == 1", None),
        ],
    )
    def test_is_told_by_its_text(self, text: str, attributes: set[str] | None) -> None:
        assert checked(text).reads == (None if attributes is None else frozenset(attributes))

    def test_names_that_a_macro_binds_are_no_variables(self) -> None:
        assert bound("item.tags.exists(t, item.groups.all(g, g == t))") == {"t", "g"}

    @settings(deadline=None)  # a busy machine is slow, not wrong
    @given(st.text(alphabet="item.ab[]()'\"\\ x/=", max_size=30))
    def test_any_text_can_be_looked_at(self, text: str) -> None:
        found = attributes_read(text)
        assert found is None or all(name in text for name in found)


class TestMistakes:
    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("", "expected an expression like item.amount > 1000, got ''"),
            (5, "expected an expression like item.amount > 1000, got 5"),
            ("item.a ==", "line 1, column 10 of the expression: Syntax error"),
            ("kind == 'call' &&\n  item.a =", "line 2, column 10 of the expression: Syntax error"),
            ("amount > 5", "line 1, column 1 of the expression: expected `kind`, or an attribute like `item.amount`"),
            ("kind == 'call' &&\n  now() > 5", "line 2, column 3 of the expression: expected a function that exists"),
            ("kind", "expected what can be true or false, but it gives 'ticket'"),
            ("size(item)", "expected what can be true or false, but it gives 0"),
            ("item.a + 'x'", "expected what can be true or false, but it gives"),
            ("1 > 'a'", "expected what can be true or false, but the operands of some operation do not fit"),
            ("true" + " && true" * LENGTH, f"expected an expression of at most {LENGTH} characters"),
        ],
    )
    def test_are_found_without_an_item(self, text: object, expected: str) -> None:
        with pytest.raises(ValueError) as caught:  # noqa: PT011  # the message is what is compared
            checked(text)
        assert str(caught.value).startswith(expected)

    def test_are_told_with_file_and_line(self) -> None:
        policy = "- name: p\n  applies_to: {}\n  calendar: office\n  targets: {resolution: 1h}\n  when: item.a =="
        with pytest.raises(BadDocument) as caught:
            load({"f.yaml": f"{CALENDARS}policies:\n{policy}"})
        (problem,) = caught.value.problems
        assert str(problem).startswith("f.yaml:11: policies[0].when: line 1, column 10 of the expression")

    @pytest.mark.parametrize("text", ["item.vip", "item.a.b.c == 1", "timestamp(item.a) > timestamp(item.b)"])
    def test_what_depends_on_the_item_is_no_mistake(self, text: str) -> None:
        assert checked(text) == Expression(text)


POLICIES = """
- {name: plain, applies_to: {kind: ticket}, calendar: always, targets: {resolution: 8h}}
- {name: large, applies_to: {kind: ticket}, calendar: always, targets: {resolution: 4h}, when: "item.amount > 10"}
- {name: group, applies_to: {group: g1}, calendar: always, targets: {resolution: 2h}}
"""


class TestInAPolicy:
    @pytest.mark.parametrize(
        ("attributes", "taken"),
        [
            ("amount=9", "plain"),
            # It is one condition more than the kind alone, and an attribute like any other:
            ("group=g2", "plain"),
            # a level before it wins.
            ("group=g1", "group"),
        ],
    )
    def test_a_text_is_no_number(self, attributes: str, taken: str) -> None:
        (line,) = clocks([event(f"09:00 created {attributes}")], rulebook(POLICIES), "10:00")
        assert line.split()[2] == taken

    def test_it_must_hold_beside_the_other_conditions(self) -> None:
        rules = policies(POLICIES)
        found = [
            rules.terms(kind, {"amount": amount}, 0).get("resolution", ())
            for kind, amount in (("ticket", 11), ("ticket", 10), ("chat", 11))
        ]
        assert [[terms.policy.name for terms in each] for each in found] == [["large"], ["plain"], []]

    def test_a_change_of_what_it_reads_is_a_change_of_terms(self) -> None:
        rules = rulebook(POLICIES.replace("item.amount > 10", "item.size == 'xl'"))
        events = history("""
            09:00 created
            10:00 updated size=xl
        """)
        assert clocks(events, rules, "11:00") == ["resolution 1 large running 09:00– due 13:00 elapsed 2:00"]

    def test_a_change_of_any_attribute_counts_where_it_may_read_all(self) -> None:
        rules = rulebook(POLICIES.replace("item.amount > 10", "item.exists(name, name == 'x')"))
        events = history("""
            09:00 created
            10:00 updated x=1
        """)
        assert clocks(events, rules, "11:00") == ["resolution 1 large running 09:00– due 13:00 elapsed 2:00"]

    @settings(deadline=None)  # a busy machine is slow, not wrong
    @given(
        st.lists(
            st.dictionaries(
                st.sampled_from(("amount", "other")),
                st.sampled_from((None, 11, 11.0, 9, "11", True, [11], {"a": 11})),
            ),
            min_size=1,
            max_size=8,
        ),
        st.sampled_from(("item.amount > 10", "item.exists(name, item[name] == 11)", "type(item.amount) == int")),
    )
    def test_what_is_remembered_is_what_it_says(self, items: list[dict[str, Any]], text: str) -> None:
        rules = policies(POLICIES.replace("item.amount > 10", text))
        for item in items + items:
            (terms,) = rules.terms("ticket", item, 0)["resolution"]
            assert terms.policy.name == ("large" if Expression(text).holds("ticket", item) else "plain")

    def test_the_version_covers_it(self) -> None:
        assert policies(POLICIES).version != policies(POLICIES.replace("> 10", "> 11")).version

    @pytest.mark.parametrize(
        ("attributes", "because"),
        [({"amount": 5}, "item.amount > 10 is false"), ({}, "item.amount > 10 fails: the item has no 'amount'")],
    )
    def test_an_explanation_says_why_it_does_not_hold(self, attributes: dict[str, Any], because: str) -> None:
        found = verdicts(policies(POLICIES), Question("ticket", attributes, "resolution", MONDAY))
        (told,) = [verdict.because for verdict in found if verdict.policy == "large"]
        assert because in told

    def test_an_explanation_counts_it_among_the_conditions(self) -> None:
        first, second, _ = verdicts(policies(POLICIES), Question("ticket", {"amount": 11}, "resolution", MONDAY))
        assert first.because == "a policy by an expression, 2 conditions"
        assert (
            second.because
            == "matches, but large is before it: a policy by an expression comes before a policy by kind only"
        )


class TestFindings:
    def messages(self, when: str, applies_to: str = "{}") -> list[str]:
        text = f"- {{name: p, applies_to: {applies_to}, calendar: always, targets: {{resolution: 1h}}, when: {when!r}}}"
        return [str(each) for each in findings(policies(text), MONDAY) if each.subject == "policy p"]

    def test_a_negation_of_what_may_be_absent_is_found(self) -> None:
        (message,) = self.messages('item.priority != "low"')
        assert message.startswith("policy p: when: does not hold for items without 'priority'")

    @pytest.mark.parametrize(
        ("when", "applies_to"),
        [
            # Asked for,
            ('!has(item.priority) || item.priority != "low"', "{}"),
            # always there,
            ('item.priority != "low"', "{priority: [low, high]}"),
            # or not negated.
            ('item.priority == "low"', "{}"),
        ],
    )
    def test_otherwise_it_is_not(self, when: str, applies_to: str) -> None:
        assert self.messages(when, applies_to) == []

    def test_items_of_which_it_cannot_say_anything_are_counted(self) -> None:
        rules, events = policies(POLICIES), [event("09:00 created amount=5", number=1)]
        found = [str(each) for each in coverage(rules, recording(rules, events)) if each.path == ("when",)]
        assert found == [
            "policy large: when: cannot be evaluated for 1 of 1 items: "
            "the operands of some operation do not fit each other"
        ]

    def test_an_attribute_that_only_it_names_is_looked_for(self) -> None:
        rules = policies(POLICIES)
        found = [str(each) for each in coverage(rules, recording(rules, [event("09:00 created")]))]
        assert "policy large: when: no event has the attribute 'amount'" in found

    def test_a_policy_with_one_shadows_only_those_with_the_same(self) -> None:
        text = """
- {name: first, applies_to: {group: g}, calendar: always, targets: {resolution: 1h}, when: item.a == 1}
- {name: second, applies_to: {group: g}, calendar: always, targets: {resolution: 1h}, when: item.a == %s}
"""
        assert any("never wins" in str(each) for each in findings(policies(text % 1), MONDAY))
        assert not any("never wins" in str(each) for each in findings(policies(text % 2), MONDAY))
