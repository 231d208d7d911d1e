"""What people and webhooks read of a breach."""

from __future__ import annotations

import re
from email.parser import BytesParser
from email.policy import default
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.notifier import message
from services.notifier.channels.mail import compose
from services.notifier.delivery import ANSWER_CHARACTERS, bucket_in, bucket_of, kept_answer
from services.notifier.endpoints.mail import Email, Smtp
from services.notifier.wording import words
from services.notifier.writing import BUILT_IN
from shared.breach_records import PublishedRecord
from shared.events import SECOND, CountedSpan
from tests.factories import BREACH_ID, CLOCK_ID, DUE, breach, delivery, silence

LATE = breach(
    "event-2",
    "sla.breach.stopped.v1",
    DUE + 5400 * SECOND,
    elapsed_s=19_800.0,
    stopped_at="2026-01-05T13:30:00Z",
    detected_at="2026-01-05T13:30:00.25Z",
)


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (
            breach(),
            "Breached: ticket 42, first response · standard-tickets (high) · due 12:00:00Z · detected +3 ms",
        ),
        (
            LATE,
            "Done late: ticket 42, first response · standard-tickets (high) · due 12:00:00Z · detected +250 ms"
            " · 1 h 30 min late",
        ),
        (
            breach("e", "sla.clock.warning.v1", DUE - 2880 * SECOND, warning="80%", breach_id=None, elapsed_s=11_520.0,
                   detected_at="2026-01-05T11:12:00.004Z"),
            "Warning 80%: ticket 42, first response · standard-tickets (high) · due 12:00:00Z · detected +4 ms"
            " · 48 min left",
        ),
        (
            breach("e", "sla.breach.retracted.v1", replaced_by="another"),
            "Retracted: ticket 42, first response · standard-tickets (high) · due 12:00:00Z · detected +3 ms"
            " · replaced by another breach",
        ),
        (
            breach("e", "sla.breach.retracted.v1"),
            "Retracted: ticket 42, first response · standard-tickets (high) · due 12:00:00Z · detected +3 ms"
            " · it did not happen",
        ),
        # another tenant, and a breach that is seen the day after it was due
        (
            breach(item="acme/chat/7", metric="pickup", due_at="2026-01-04T23:59:59.5Z"),
            "Breached: chat 7 of acme, pickup · standard-tickets (high) · due 2026-01-04 23:59:59Z · detected +3 ms",
        ),
        # cancelled while it was paused: there is no due time
        (
            breach("e", "sla.breach.cancelled.v1", due_at=None),
            "Cancelled: ticket 42, first response · standard-tickets (high) · detected +3 ms",
        ),
        # a source whose habits are learned
        (
            silence(),
            "Silent: source /helpdesk · nothing since 11:50:00Z · quiet for 10 min · usually an event every 1 min"
            " · high",
        ),
        # one whose silence is configured, of another tenant, since yesterday
        (
            silence(tenant="acme", last_event_at="2026-01-04T23:00:00Z", quiet_s=3_600.0, allowed_s=3_600.0,
                    usual_gap_s=None, severity="medium"),
            "Silent: source /helpdesk of acme · nothing since 2026-01-04 23:00:00Z · quiet for 1 h · 1 h allowed"
            " · medium",
        ),
    ],
)  # fmt: skip
def test_a_line_tells_what_a_person_needs(found: PublishedRecord, expected: str) -> None:
    assert message.line(found) == expected


def test_a_subject_names_breach_and_policy() -> None:
    assert message.subject(breach()) == "[Plazo] Breached: ticket 42, first response (standard-tickets)"


@given(st.text())
def test_nothing_in_an_item_or_policy_breaks_a_line(hostile: str) -> None:
    for found in (breach(id=hostile, policy=hostile), silence(source=hostile, tenant=hostile)):
        assert len(message.subject(found).splitlines()) == 1
        assert len(message.line(found).splitlines()) == 1


def test_the_longer_text_says_everything_and_why_it_was_sent() -> None:
    found = breach(
        explanation=[CountedSpan("2026-01-05T08:00:00Z", "2026-01-05T12:00:00Z", "running", 14_400.0)],
        late_evidence_possible=True,
    )
    assert message.text(delivery(found)) == "\n".join(
        [
            "Breached: ticket 42, first response",
            "",
            "Item:        default/ticket/42",
            "Promise:     first response within 4 h, cycle 1",
            "Policy:      standard-tickets (high), hours of madrid",
            "Started:     2026-01-05 08:00:00 UTC",
            "Due:         2026-01-05 12:00:00 UTC",
            "Breached:    2026-01-05 12:00:00 UTC",
            "Detected:    2026-01-05 12:00:00.003 UTC, 3 ms after it happened",
            "Used:        4 h of business time",
            "Evidence:    some of it was missing: this may be taken back",
            "",
            "priority: high",
            'tags: ["vip","billing"]',
            "",
            "2026-01-05 08:00:00 UTC – 2026-01-05 12:00:00 UTC  running, counted 4 h",
            "",
            f"Sent by route default takes everything. Breach {BREACH_ID}, clock {CLOCK_ID}.",
            "",
        ]
    )


def test_the_longer_text_of_a_silence_says_what_it_means() -> None:
    assert message.text(delivery(silence())) == "\n".join(
        [
            "Silent: source /helpdesk",
            "",
            "Source:      /helpdesk",
            "Tenant:      default",
            "Last event:  2026-01-05 11:50:00 UTC",
            "Quiet for:   10 min",
            "Allowed:     10 min, ten times its usual gap of 1 min",
            "Severity:    high",
            "Detected:    2026-01-05 12:00:01 UTC",
            "",
            "Plazo computes from what this source tells. While it tells nothing, answers of agents are not seen, and a"
            " breach may be a missing message. Look at the connection from the source to Plazo first.",
            "",
            "Sent by route default takes everything.",
            "",
        ]
    )


def test_the_mails_about_a_source_are_one_thread_and_no_text_of_others_is_in_its_name() -> None:
    threads = {tuple(message.thread(silence(name, source="/a <b>\n"))) for name in ("one", "two")}
    assert len(threads) == 1
    assert re.fullmatch(r"source-[0-9a-f-]{36}", "".join(threads.pop()))


def test_a_long_explanation_is_cut_and_says_so() -> None:
    span = CountedSpan("2026-01-05T08:00:00Z", "2026-01-05T09:00:00Z", "paused", 3600.0)
    text = message.text(delivery(breach(explanation=[span] * 23)))
    assert text.count("paused, counted 1 h") == 20
    assert "and 3 more" in text


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (0, "0 ms"),
        (0.0034, "3 ms"),
        (1, "1 s"),
        (2.25, "2.2 s"),
        (45, "45 s"),
        (90, "1 min 30 s"),
        (5400, "1 h 30 min"),
        (3601, "1 h 1 s"),
        (187_200, "2 d 4 h"),
        (90_061, "1 d 1 h"),  # the two largest units
        (-90, "-1 min 30 s"),
    ],
)
def test_a_length_of_time_is_said_in_its_two_largest_units(seconds: float, expected: str) -> None:
    assert words(seconds) == expected


def test_an_answer_is_kept_short_in_one_line_and_without_secrets() -> None:
    assert kept_answer("401 key whsec_abc\r\n is\0 wrong", ["whsec_abc", ""]) == "401 key *** is wrong"
    assert len(kept_answer("x" * 1000)) == ANSWER_CHARACTERS


def test_a_deliverys_id_is_the_same_for_a_repeat_and_names_its_bucket() -> None:
    assert delivery(breach()).id == delivery(breach()).id
    assert delivery(breach("event-1")).id != delivery(breach("event-2")).id
    assert bucket_in(delivery(breach(item="acme/call/9")).id) == bucket_of("acme/call/9")
    assert "." not in delivery().message_id


HEADERS = ["From", "To", "Subject", "Date", "Message-ID", "In-Reply-To", "References", "Auto-Submitted"]
OF_THE_BODY = {"content-type", "content-transfer-encoding", "mime-version"}
HOSTILE = st.text(st.sampled_from('ab:@<>,;"\\ \r\n\t\0\x0b\x85\u2028é') | st.characters(), max_size=60)


@given(
    st.fixed_dictionaries(
        dict.fromkeys(("policy", "metric", "tenant", "id", "calendar", "clock_id", "breach_id"), HOSTILE)
    ),
    st.dictionaries(HOSTILE, HOSTILE, max_size=3),
)
def test_nothing_that_a_breach_holds_becomes_a_header_of_a_mail(
    fields: dict[str, Any], attributes: dict[str, str]
) -> None:
    smtp = Smtp(host="mail.example.com")
    settings = Email.model_validate({"to": "a@example.com", "from": "Plazo <p@example.com>", "smtp": smtp})
    made = delivery(breach(**fields, attributes=attributes))
    mail = compose(made, settings, BUILT_IN.letter(made), DUE)
    read = BytesParser(policy=default).parsebytes(mail.as_bytes())
    assert [name for name in read.keys() if name.lower() not in OF_THE_BODY] == HEADERS  # noqa: SIM118 # it repeats names
    assert (read["To"], read["From"]) == ("a@example.com", "Plazo <p@example.com>")
    assert not read.is_multipart()
