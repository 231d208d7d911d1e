"""Which notices are told together."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from services.notifier.delivery import Notice
from services.notifier.grouping import INTERVAL, WAIT, Grouping, GroupingOptions, group_in, group_of
from shared.breach_records import PublishedRecord
from shared.events import SECOND
from tests.factories import breach, silence

NOTHING = GroupingOptions()


def options(**given: Any) -> GroupingOptions:
    return GroupingOptions.model_validate(given)


def notice(receiver: str = "team", route: str = "all") -> Notice:
    return Notice(route, receiver, "webhook", "it takes everything")


@pytest.mark.parametrize(
    ("given", "defaults", "grouping"),
    [
        ({}, {}, None),  # nothing waits where nobody asked for it
        ({"group_by": ["customer"]}, {}, Grouping(("customer",), WAIT, INTERVAL, None)),
        ({"group_by": []}, {}, Grouping()),  # all that the route takes is one group
        ({"group_wait": "10s"}, {}, Grouping(wait=10 * SECOND)),  # as in Alertmanager
        ({"group_by": ["customer"], "group_wait": "0s"}, {}, Grouping(("customer",), 0)),
        ({}, {"group_by": ["customer"]}, Grouping(("customer",))),  # inherited
        ({"group_wait": "1m"}, {"group_by": ["customer"]}, Grouping(("customer",), 60 * SECOND)),
        ({"group_by": ["..."]}, {"group_wait": "10s"}, None),  # alone, whatever the defaults say
        (
            {"group_interval": "10m", "repeat_interval": "4h"},
            {},
            Grouping(interval=600 * SECOND, repeat=14_400 * SECOND),
        ),
    ],
)
def test_what_a_route_does_not_say_the_defaults_say(
    given: dict[str, Any], defaults: dict[str, Any], grouping: Grouping | None
) -> None:
    assert options(**given).grouping(options(**defaults)) == grouping


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"group_by": ["customer", "..."]}, "alone"),
        ({"group_wait": 30}, "expected a length of time like 45s"),
        ({"group_wait": "half an hour"}, "expected a length of time like 45s"),
        ({"repeat_interval": "1s"}, "expected at least 1m"),  # would be a flood by itself
        ({"group_every": "5m"}, "not permitted"),
    ],
)
def test_options_that_cannot_be_meant_are_refused(given: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        options(**given)


@pytest.mark.parametrize(
    ("found", "is_same"),
    [
        (breach(item="default/ticket/7", attributes={"customer": "acme"}), True),
        (breach(attributes={"customer": "globex"}), False),
        (breach(attributes={}), False),
        (silence(), False),  # a source has no customer
    ],
)
def test_a_group_is_what_is_equal_in_its_fields(found: PublishedRecord, is_same: bool) -> None:
    grouping = Grouping(("customer", "policy"))
    first = group_of(grouping, notice(), breach(attributes={"customer": "acme"}))
    assert (group_of(grouping, notice(), found).key == first.key) is is_same


def test_groups_of_two_receivers_or_routes_are_two() -> None:
    keys = {group_of(Grouping(), each, breach()).key for each in (notice(), notice("boss"), notice(route="calls"))}
    assert len(keys) == 3


def test_a_group_is_read_back_from_its_key_and_told_in_words() -> None:
    grouping = Grouping(("customer", "tags"))
    group = group_of(grouping, notice(), breach(attributes={"customer": "acme", "tags": ["vip", "billing"]}))
    assert group_in(group.key) == group
    assert group.words == "customer acme, tags billing vip"
