"""What programs are sent: webhooks and CloudEvents, with how the alert stands and what a digest is about."""

from __future__ import annotations

import json
from dataclasses import replace
from uuid import UUID

from services.notifier.body import body, cloud_event, structured
from services.notifier.delivery import AlertView, Delivery
from shared.events import CountedSpan
from tests.factories import BREACH_ID, breach, delivery, silence
from tests.vendors import problems

ALERT = UUID("0d1b4a4e-6c7f-8a55-9d7c-2f0a54a9a001")
SPAN = CountedSpan("2026-01-05T08:00:00Z", "2026-01-05T09:00:00Z", "paused", 3600.0)


def standing(sent: Delivery) -> Delivery:
    """*sent*, whose alert Ana has acknowledged."""
    return replace(sent, alert=AlertView(ALERT, "acknowledged", "ana", "https://plazo.example.com/a"))


def digest(count: int, named: int) -> Delivery:
    """*count* breaches told together, of which *named* are named."""
    members = tuple(
        breach(f"event-{n}", id=str(n), item=f"default/ticket/{n}", explanation=[SPAN]) for n in range(named)
    )
    return replace(delivery(), members=members, count=count)


def test_a_webhooks_body_is_type_timestamp_and_the_whole_breach() -> None:
    told = json.loads(body(delivery()))
    assert list(told) == ["type", "timestamp", "data"]
    assert (told["type"], told["timestamp"]) == ("sla.clock.breached.v1", "2026-01-05T12:00:00Z")
    assert told["data"]["breach_id"] == BREACH_ID
    assert told["data"]["attributes"] == {"priority": "high", "tags": ["vip", "billing"]}


def test_a_webhook_tells_of_a_silence_as_the_topic_does() -> None:
    told = json.loads(body(delivery(silence())))
    assert (told["type"], told["timestamp"]) == ("sla.source.silent.v1", "2026-01-05T12:00:00Z")
    assert told["data"]["source"] == "/helpdesk"


def test_a_webhook_says_how_the_alert_stands() -> None:
    assert json.loads(body(standing(delivery())))["alert"] == {
        "id": str(ALERT),
        "standing": "acknowledged",
        "acknowledged_by": "ana",
        "url": "https://plazo.example.com/a",
    }


def test_a_digest_has_its_count_and_the_worst_without_their_explanations() -> None:
    told = json.loads(body(digest(250, 20)))
    assert (told["type"], told["data"]["count"]) == ("sla.digest.v1", 250)
    assert [each["data"]["id"] for each in told["data"]["worst"]] == [str(number) for number in range(20)]
    assert {tuple(each["data"]["explanation"]) for each in told["data"]["worst"]} == {()}


def test_a_digest_whose_members_are_not_known_names_the_one_it_stands_for() -> None:
    told = json.loads(body(digest(3, 0)))
    assert [each["data"]["id"] for each in told["data"]["worst"]] == ["42"]


def test_every_delivery_is_a_cloudevent_with_an_id_of_its_own() -> None:
    for sent in (delivery(), delivery(silence()), standing(delivery()), digest(3, 3)):
        told = json.loads(structured(cloud_event(sent)))
        assert problems("cloudevent", told) == []
        assert told["id"] == sent.message_id
    assert cloud_event(standing(delivery())).attributes["alertid"] == str(ALERT)
