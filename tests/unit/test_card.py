"""How a delivery stands, what it is known by, and how its words fit into what other programs take."""

from __future__ import annotations

from dataclasses import replace
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.notifier.card import card, key_of, standing_of
from services.notifier.channels.fitting import fitted, utf8, utf16
from services.notifier.delivery import AlertStanding, AlertView, Delivery, alert_id
from services.notifier.writing import BUILT_IN, BuiltInWriter
from shared.breach_records import BREACH_TYPES
from shared.events import BreachType
from tests.factories import breach, delivery, silence

ALERT = UUID("0d1b4a4e-6c7f-8a55-9d7c-2f0a54a9a001")
LINK = "https://plazo.example.com/a"


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("sla.clock.warning.v1", "warning"),
        ("sla.clock.breached.v1", "open"),
        ("sla.breach.stopped.v1", "ended"),
        ("sla.breach.cancelled.v1", "ended"),
        ("sla.breach.retracted.v1", "retracted"),
    ],
)
def test_without_an_alert_it_stands_as_it_was_published(kind: BreachType, expected: str) -> None:
    assert standing_of(delivery(breach("event-1", kind))) == expected


def test_a_silence_is_open() -> None:
    assert standing_of(delivery(silence())) == "open"


def test_it_stands_as_its_alert_does_now_whatever_was_published() -> None:
    assert standing_of(replace(delivery(), alert=AlertView(ALERT, "ended"))) == "ended"


def test_what_is_told_of_a_clock_is_known_by_one_key_before_and_after_it_has_an_alert() -> None:
    found = breach()
    before, later = delivery(found), delivery(breach("event-2", "sla.breach.stopped.v1"))
    known = alert_id(found)
    assert known is not None
    assert {key_of(each) for each in (before, later, replace(before, alert=AlertView(known, "open")))} == {str(known)}


def test_a_silence_is_known_by_its_source() -> None:
    here, there = delivery(silence("one")), delivery(silence("two", source="/pbx"))
    assert key_of(here) == key_of(delivery(silence("three")))
    assert key_of(here) != key_of(there)


def test_a_digest_is_known_by_itself() -> None:
    told = replace(delivery(), alert=AlertView(ALERT, "open"), count=2)
    assert key_of(told) == f"digest-{told.id}"


@pytest.mark.parametrize(
    ("standing", "link"),
    [
        ("warning", LINK),
        ("open", LINK),
        ("acknowledged", None),  # somebody has
        ("ended", None),  # nothing is left to do
        ("retracted", None),
    ],
)
def test_only_what_waits_for_somebody_can_be_acknowledged(standing: AlertStanding, link: str | None) -> None:
    told = replace(delivery(), alert=AlertView(ALERT, standing, None, LINK))
    shown = card(told, BUILT_IN)
    assert (shown.url, shown.is_loud) == (link, link is not None)


def test_the_link_stands_in_its_own_place_and_not_in_the_words() -> None:
    said: list[str | None] = []

    class Telling(BuiltInWriter):
        def chat(self, delivery: Delivery) -> str:
            said.append(None if delivery.alert is None else delivery.alert.url)
            return "title"

    told = replace(delivery(), alert=AlertView(ALERT, "open", None, LINK))
    assert (card(told, Telling()).url, said) == (LINK, [None])
    assert card(replace(told, count=2), Telling()).url is None  # a digest is about many


def test_the_button_says_what_the_writer_says_in_one_short_line() -> None:
    class Telling(BuiltInWriter):
        def button(self, _delivery: Delivery) -> str:
            return "Hacerse\ncargo" + "!" * 50

    told = replace(delivery(), alert=AlertView(ALERT, "open", None, LINK))
    assert card(told, BUILT_IN).button == "Acknowledge"
    assert card(told, Telling()).button == "Hacerse cargo" + "!" * 27
    assert not card(replace(told, count=2), Telling()).button


def test_who_acknowledged_is_said() -> None:
    told = replace(delivery(), alert=AlertView(ALERT, "acknowledged", "ana"))
    assert card(told, BUILT_IN).lines[-1] == "Acknowledged by ana"


def test_every_type_that_is_published_has_a_standing() -> None:
    for kind in BREACH_TYPES:
        assert standing_of(delivery(breach("event-1", kind)))


ESCAPES = {"&": "&amp;", "<": "&lt;", "🔴": ":red_circle:"}


@given(st.text(max_size=60), st.integers(min_value=1, max_value=70), st.sampled_from([len, utf8, utf16]))
def test_a_text_is_cut_between_characters_and_never_within_an_escape(text: str, most: int, size: object) -> None:
    assert callable(size)
    if size is utf8:
        text, most = text.encode(errors="ignore").decode(), most + 3  # its ellipsis has three bytes
    made = fitted(text, most, lambda each: ESCAPES.get(each, each), size=size)
    whole = "".join(ESCAPES.get(each, each) for each in text)
    assert size(made) <= most
    if made != whole:
        assert made.endswith("…")
        beginnings = {"".join(ESCAPES.get(each, each) for each in text[:count]) for count in range(len(text) + 1)}
        assert made[:-1] in beginnings
