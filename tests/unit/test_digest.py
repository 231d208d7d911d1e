"""Several notices in the words of one."""

from __future__ import annotations

from dataclasses import replace

from services.notifier.delivery import MEMBERS_SHOWN, Delivery
from services.notifier.writing import BUILT_IN
from tests.factories import breach, delivery, silence


def told(number: int, count: int | None = None) -> Delivery:
    members = tuple(breach(f"event-{n}", item=f"default/ticket/{n}", elapsed_s=14_400.0 + n) for n in range(number))
    return delivery(members[0], members=members, count=count or number, reason=f"{count or number} notices, grouped")


def test_a_line_says_how_many_and_the_worst() -> None:
    assert BUILT_IN.line(told(3)).startswith("3 alerts · Breached: ticket 0, first response · ")
    assert BUILT_IN.line(told(3)).endswith(" · and 2 more")


def test_a_mail_lists_the_worst_and_says_how_many_more_there_are() -> None:
    letter = BUILT_IN.letter(told(MEMBERS_SHOWN, 4_000))
    assert letter.subject == "[Plazo] 4000 alerts, the worst: Breached: ticket 0, first response"
    assert "\n20. Breached: ticket 19, " in letter.text
    assert "\nand 3980 more\n" in letter.text
    assert "Told together: 4000 notices, grouped." in letter.text


def test_a_mail_says_where_all_are_listed() -> None:
    found = replace(told(3), listed_at="https://alerts.example.com/digests/abc")
    assert "\n\nAll of them: https://alerts.example.com/digests/abc\n\n" in BUILT_IN.letter(found).text
    assert "All of them" not in BUILT_IN.letter(told(3)).text


def test_a_mail_that_lists_all_speaks_of_no_more() -> None:
    assert " more" not in BUILT_IN.letter(told(2)).text


def test_a_digest_can_tell_of_a_silent_source() -> None:
    members = (breach(), silence())
    found = delivery(members[0], members=members, count=2)
    assert "2. Silent: source /helpdesk" in BUILT_IN.letter(found).text
