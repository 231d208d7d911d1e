"""Whether something published is what a route asks for, and which routes ask for less than others."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.notifier.matching import FIELDS, FIELDS_OF_SILENCE, Conditions, Match, Pattern, covers, exclude, values
from services.notifier.sample import FIELD_VALUES
from shared.breach_records import PublishedRecord
from shared.expression import Formula, check
from tests.factories import breach, silence


def match(**values: str | list[str]) -> Match:
    return {name: frozenset([value] if isinstance(value, str) else value) for name, value in values.items()}


def patterns(**texts: str) -> Conditions:
    return Conditions(patterns={name: Pattern(text) for name, text in texts.items()})


def when(text: str) -> Conditions:
    return Conditions(when=Formula(check(text, FIELD_VALUES)))


@pytest.mark.parametrize(
    ("wanted", "found", "expected"),
    [
        ({}, breach(), True),  # no condition takes everything
        (match(type="breached"), breach(), True),
        (match(type="warning"), breach(), False),
        (match(type=["warning", "breached"]), breach(), True),  # any of a list
        (match(severity="high", kind="ticket"), breach(), True),  # every key must match
        (match(severity="high", kind="call"), breach(), False),
        (match(priority="high"), breach(), True),  # what is no field is an attribute
        ({"attributes.priority": frozenset({"high"})}, breach(), True),  # the same, written in full
        ({"attributes.id": frozenset({"42"})}, breach(), False),  # an attribute named like a field
        (match(tags="billing"), breach(), True),  # any member of a list attribute
        (match(tags="sales"), breach(), False),
        (match(cycle="1"), breach(), True),  # numbers as they are written
        (match(target_s="14400"), breach(), True),
        (match(late_evidence_possible="false"), breach(), True),  # truth values too
        (match(assignee="null"), breach(), True),  # null is what is absent
        (match(assignee="ana"), breach(), False),
        (match(level="2"), breach(attributes={"level": 2.0}), True),
        (match(tags="null"), breach(attributes={"tags": []}), True),  # an empty list is absent
        (match(customer="acme"), breach(attributes={"customer": {"name": "acme"}}), False),  # nested values are nothing
        (match(breach_id="null"), breach(event_type="sla.clock.warning.v1", breach_id=None), True),
        (match(type="silent"), silence(), True),
        (match(type="silent"), breach(), False),
        (match(type="silent", source="/helpdesk", tenant="default"), silence(), True),
        (match(source="/telephone"), silence(), False),
        (match(severity=["high", "critical"]), silence(), True),  # a field that both have
        (match(kind="ticket"), silence(), False),  # a source is no item
        (match(customer="null"), silence(), True),  # and what is asked of one is absent
        ({"attributes.customer": frozenset({"acme"})}, silence(), False),
    ],
)
def test_a_match_holds_when_every_key_has_one_of_its_values(
    wanted: Match, found: PublishedRecord, expected: bool
) -> None:
    conditions = Conditions(wanted)
    assert conditions.hold(found) is expected
    assert (conditions.against(found) == []) is expected


@pytest.mark.parametrize(
    ("wanted", "found", "expected"),
    [
        (patterns(policy="standard-.*"), breach(), True),
        (patterns(policy="standard"), breach(), False),  # the whole text must match
        (patterns(policy=".*tickets", severity="high|critical"), breach(), True),  # every field must
        (patterns(policy=".*tickets", severity="low"), breach(), False),
        (patterns(tags="bill.*"), breach(), True),  # any member of a list
        (patterns(assignee=".*"), breach(), False),  # what is absent matches no pattern
        (patterns(cycle="[1-3]"), breach(), True),  # numbers as they are written
        (patterns(customer="(?i)acme.*"), breach(attributes={"customer": "ACME España"}), True),
        (patterns(source="/help.*"), silence(), True),
        (patterns(source="/help.*"), breach(), False),
    ],
)
def test_a_pattern_must_match_the_whole_text(wanted: Conditions, found: PublishedRecord, expected: bool) -> None:
    assert wanted.hold(found) is expected
    assert (wanted.against(found) == []) is expected


def test_a_pattern_takes_no_longer_for_a_text_that_almost_matches() -> None:
    # An engine that tries one way after the other would need 2 ** 40 steps for this.
    assert not Pattern("(a+)+b").fits("a" * 40)


@pytest.mark.parametrize(
    ("text", "found", "expected"),
    [
        ('severity == "high" && item.priority == "high"', breach(), True),
        ("elapsed_s > 2.0 * target_s", breach(elapsed_s=28_801.0), True),
        ("elapsed_s > 2.0 * target_s", breach(), False),
        ("'vip' in item.tags", breach(), True),
        ("warning == null", breach(), True),  # a field that says nothing
        ('type == "silent" && quiet_s > 300.0', silence(), True),
        ('type == "silent" && quiet_s > 300.0', breach(), False),
        ("has(item.customer)", silence(), False),  # a source is no item
        ("item.amount > 3.0", breach(), False),  # what cannot be evaluated does not hold
        ("item.amount > 3.0", breach(attributes={"amount": 4.5}), True),
    ],
)
def test_an_expression_sees_every_field_and_attribute(text: str, found: PublishedRecord, expected: bool) -> None:
    assert when(text).hold(found) is expected
    assert (when(text).against(found) == []) is expected


def test_an_expression_may_name_what_there_is_and_nothing_else() -> None:
    assert FIELD_VALUES.keys() == FIELDS | FIELDS_OF_SILENCE | {"type"}
    assert values(breach()).keys() == values(silence()).keys() == FIELD_VALUES.keys()


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        (Conditions(match(severity="low", kind="ticket")), ["severity is high, not low"]),
        (Conditions(match(assignee=["ana", "luis"])), ["assignee is null, not ana or luis"]),
        (Conditions(match(tags="sales")), ["tags is billing and vip, not sales"]),
        (patterns(policy="acme.*"), ["policy is standard-tickets, which does not match acme.*"]),
        (when("cycle > 1"), ["cycle > 1 is not so"]),
        (when("item.amount > 3.0"), ["item.amount > 3.0 is not known: the item has no 'amount'"]),
    ],
)
def test_what_does_not_hold_is_told_with_what_is_there(wanted: Conditions, said: list[str]) -> None:
    assert wanted.against(breach()) == said


def test_conditions_are_told_as_people_say_them() -> None:
    asked = Conditions(match(severity=["high", "critical"]), {"customer": Pattern("acme-.*")}, Formula("cycle > 1"))
    assert str(asked) == "severity is critical or high, customer matches acme-.*, cycle > 1"


@pytest.mark.parametrize(
    ("wider", "narrower", "expected"),
    [
        (Conditions(), [when("cycle > 1")], True),
        (Conditions(match(severity=["high", "low"])), [Conditions(match(severity="low", kind="call"))], True),
        (Conditions(match(severity="low")), [Conditions(match(severity=["high", "low"]))], False),
        # what several routes around it ask for counts together
        (
            Conditions(match(severity="low", kind="call")),
            [Conditions(match(kind="call")), Conditions(match(severity="low"))],
            True,
        ),
        (patterns(policy="a.*"), [patterns(policy="a.*", severity="low")], True),
        (patterns(policy="a.*"), [patterns(policy="a.+")], False),  # of two patterns only their texts are compared
        (patterns(policy="a.*"), [Conditions(match(policy=["ab", "ac"]))], True),
        (patterns(policy="a.*"), [Conditions(match(policy=["ab", "null"]))], False),
        (when("cycle > 1"), [when("cycle > 1")], True),
        (when("cycle > 1"), [Conditions(match(cycle="2"))], False),  # an expression is not computed
    ],
)
def test_what_asks_for_less_covers_what_asks_for_more(
    wider: Conditions, narrower: list[Conditions], expected: bool
) -> None:
    assert covers(wider, narrower) is expected


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        ([match(severity="high"), match(severity="low")], "severity"),
        ([match(severity=["high", "low"]), match(severity="low")], None),
        ([match(tags="vip"), match(tags="billing")], None),  # a list can have both
        ([match(type="warning"), match(type="breached", kind="call")], "type"),
    ],
)
def test_what_cannot_be_at_once_is_found(asked: list[Match], field: str | None) -> None:
    assert exclude(map(Conditions, asked)) == field


VALUES = st.sampled_from(["high", "low", "ticket", "vip", "null"])
MATCHES = st.dictionaries(
    st.sampled_from(["severity", "kind", "tags", "priority"]), st.frozensets(VALUES, min_size=1), max_size=3
)


@given(wider=MATCHES, narrower=MATCHES, severity=st.sampled_from(["high", "low"]), tags=st.lists(VALUES, max_size=3))
def test_what_a_match_covers_it_matches(wider: Match, narrower: Match, severity: str, tags: list[str]) -> None:
    found = breach(severity=severity, attributes={"tags": tags, "priority": "high"})
    if covers(Conditions(wider), [Conditions(narrower)]) and Conditions(narrower).hold(found):
        assert Conditions(wider).hold(found)


@given(st.text(max_size=40), st.text(max_size=40))
def test_any_text_matches_itself_as_a_pattern_of_plain_characters(text: str, other: str) -> None:
    quoted = Pattern("".join(f"\\x{{{ord(character):x}}}" for character in text))
    value: Any = [other, text]
    assert quoted.takes(value) or text in ("", "null")
    assert quoted.fits(other) is (other == text)
