"""Alerts over HTTP, by the command line and by links: shown, taken on, snoozed, assigned, and sent again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from itertools import count
from types import MappingProxyType
from typing import Any
from uuid import UUID

import httpx2
import pytest
from typer.testing import CliRunner

from services.__main__ import command_line
from services.notifier.alerts.deciding import Chosen, Decider
from services.notifier.alerts.escalation import Escalation, Step
from services.notifier.delivery import Attempt, ChannelName, Delivery, Notice, Outcome, alert_id
from services.notifier.escalation_store import EscalationStore
from services.notifier.http_side import router
from services.notifier.links import Links
from services.notifier.retry import Finished, Verdict
from services.notifier.store import Store
from shared.breach_records import BreachRecord
from shared.db import Database
from shared.events import DAY, SECOND, BreachType
from shared.metrics import Metrics
from shared.web import Health, application
from tests.factories import DUE, breach

MINUTE = 60 * SECOND
NUMBERS = count(1)
NOWHERE = "00000000-0000-8000-8000-000000000000"
LINKS = Links("http://plazo", "a secret of more than thirty-two characters")
BREACHED: BreachType = "sla.clock.breached.v1"
STOPPED: BreachType = "sla.breach.stopped.v1"


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    opened = Database(database_url)
    yield opened
    await opened.close()


@pytest.fixture
async def api(database: Database) -> AsyncIterator[httpx2.AsyncClient]:
    app = application("test", [router(database, lambda: DUE, LINKS)], Health(), Metrics("1", "2026"), None)
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app=app), base_url="http://plazo") as client:
        yield client


class Story:
    """An alert that no other test has: its team hears of it, and its boss by a step after 30 minutes."""

    def __init__(self, database: Database) -> None:
        self.name = f"story-{next(NUMBERS)}"
        self.boss = f"{self.name}-boss"
        self.item = f"default/ticket/{self.name}"
        self.store, self.steps = Store(database, "notifier-1", LINKS), EscalationStore(database)
        self.decider = Decider(
            escalations={"standard": Escalation("standard", (Step("+30m", (self.boss,), 30 * MINUTE),))},
            choose=lambda _record: Chosen("all", "standard"),
            channels={self.boss: "console"},
        )
        self.id = alert_id(self._event(BREACHED, 1))

    def _event(self, event_type: BreachType, number: int) -> BreachRecord:
        return breach(f"{self.name}-{number}", event_type, DUE, item=self.item, sequence=number)

    async def hears(
        self,
        event_type: BreachType = BREACHED,
        number: int = 1,
        channels: Mapping[str, ChannelName] = MappingProxyType({"": "console"}),
    ) -> None:
        """Let something be remembered, for a receiver of each of *channels*."""
        names = {f"{self.name}-{name}" if name else self.name: channel for name, channel in channels.items()}
        notices = [Notice("all", name, channel, "because") for name, channel in names.items()]
        await self.store.remember([(self._event(event_type, number), notices)], DUE, self.decider.on_event)

    async def claimed(self, receiver: str | None = None, now: int = DUE) -> list[Delivery]:
        return await self.store.claim({receiver or self.name: 10}, now, lease=60 * SECOND)

    async def finish(self, delivery: Delivery, *verdict: Any) -> None:
        made = Attempt(delivery.attempts + 1, DUE, 1, Outcome("delivered", "ok"))
        await self.store.record([Finished(delivery, made, Verdict(*verdict or ("delivered",)))])

    async def take(self, now: int) -> list[tuple[str, ...]]:
        taken = await self.steps.take(self.decider.on_step, now)
        return [each.steps for each in taken if each.alert == self.id]


@pytest.fixture
async def story(database: Database) -> Story:
    made = Story(database)
    await made.hears()
    return made


async def acknowledged(api: httpx2.AsyncClient, story: Story) -> Any:
    return (await api.post(f"/v1/alerts/{story.id}/acknowledgement", json={"by": "Ana", "comment": "on it"})).json()


async def test_an_alert_is_shown_with_its_history_and_its_deliveries(api: httpx2.AsyncClient, story: Story) -> None:
    await story.hears(STOPPED, 2)
    await acknowledged(api, story)
    answer = await api.get(f"/v1/alerts/{story.id}")
    shown = answer.json()
    assert (shown["standing"], shown["item"], shown["metric"]) == ("ended", story.item, "first_response")
    assert [each["what"] for each in shown["history"]] == ["breached", "stopped", "acknowledged"]
    assert [each["receiver"] for each in shown["deliveries"]] == [story.name, story.name]
    assert (shown["escalation"], answer.headers["etag"]) == ("standard", f'"{shown["version"]}"')


async def test_alerts_are_listed_newest_first_over_several_pages(api: httpx2.AsyncClient, database: Database) -> None:
    made = [Story(database) for _ in range(3)]
    for each in made:
        await each.hears()
    seen: list[str] = []
    cursor = None
    while True:
        query: dict[str, Any] = {"standing": "open", "limit": 2} | ({"cursor": cursor} if cursor else {})
        page = (await api.get("/v1/alerts", params=query)).json()
        seen += [each["id"] for each in page["alerts"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert len(seen) == len(set(seen))
    assert {str(each.id) for each in made} <= set(seen)


async def test_alerts_are_filtered_by_item_standing_and_assignee(api: httpx2.AsyncClient, story: Story) -> None:
    await api.post(f"/v1/alerts/{story.id}/assignment", json={"assignee": story.name})
    for query in ({"item": story.item}, {"assignee": story.name}, {"assignee": story.name, "standing": "open"}):
        found = (await api.get("/v1/alerts", params=query)).json()["alerts"]
        assert [each["id"] for each in found] == [str(story.id)]
    gone = await api.get("/v1/alerts", params={"assignee": story.name, "standing": "ended"})
    assert gone.json()["alerts"] == []


async def test_whoever_acknowledges_stops_the_escalation(api: httpx2.AsyncClient, story: Story) -> None:
    shown = await acknowledged(api, story)
    assert (shown["standing"], shown["acknowledged_by"]) == ("acknowledged", "Ana")
    assert shown["history"][-1]["comment"] == "on it"
    assert await story.take(DUE + DAY) == []
    assert (await api.get(f"/v1/alerts/{story.id}")).json()["next_step_at"] is None


async def test_a_step_that_was_not_sent_yet_is_not_sent_once_somebody_acknowledges(
    api: httpx2.AsyncClient, story: Story
) -> None:
    assert await story.take(DUE + 30 * MINUTE) == [("+30m",)]
    shown = await acknowledged(api, story)
    told = {each["receiver"]: (each["state"], each["why"]) for each in shown["deliveries"]}
    assert told == {story.name: ("pending", ""), story.boss: ("muted", "acknowledged by Ana")}
    # The tests share the tables: this story's escalation took the steps of others along.
    assert story.id not in {each.alert and each.alert.id for each in await story.claimed(story.boss, DUE + DAY)}


async def test_an_acknowledgement_is_shown_where_an_alert_is_one_message_that_was_sent(
    api: httpx2.AsyncClient, database: Database
) -> None:
    story = Story(database)
    await story.hears(channels={"slack": "slack", "mail": "email", "pager": "pagerduty"})
    for name in ("slack", "mail"):
        [sent] = await story.claimed(f"{story.name}-{name}")
        await story.finish(sent)
    shown = await acknowledged(api, story)
    [update] = [each for each in shown["deliveries"] if (each["step"] or "").startswith("acknowledged")]
    assert (update["receiver"], update["reason"]) == (f"{story.name}-slack", "acknowledged by Ana")
    [taken] = await story.claimed(f"{story.name}-slack")
    assert taken.alert is not None
    assert taken.alert.standing == "acknowledged"


async def test_whoever_does_something_without_a_name_is_named_by_the_credential(
    api: httpx2.AsyncClient, story: Story
) -> None:
    shown = (await api.post(f"/v1/alerts/{story.id}/acknowledgement", json={})).json()
    assert shown["acknowledged_by"] == "anybody"  # nobody is asked who they are here


async def test_nothing_is_told_of_a_snoozed_alert_until_it_wakes(api: httpx2.AsyncClient, story: Story) -> None:
    snoozed = f"/v1/alerts/{story.id}/snooze"
    shown = (await api.post(snoozed, json={"until": "2026-01-05T13:00:00Z"})).json()
    assert shown["snoozed_until"] == "2026-01-05T13:00:00Z"
    assert [(each["state"], each["why"]) for each in shown["deliveries"]] == [
        ("held", "snoozed until 2026-01-05T13:00:00Z")
    ]
    assert await story.claimed() == []
    assert await story.take(DUE + 59 * MINUTE) == []
    woken = (await api.post(snoozed, json={"until": "2026-01-05T11:00:00Z"})).json()
    assert woken["snoozed_until"] is None
    assert woken["deliveries"][0]["next_attempt_at"] == "2026-01-05T12:00:00Z"


async def test_an_assignment_can_be_taken_back(api: httpx2.AsyncClient, story: Story) -> None:
    place = f"/v1/alerts/{story.id}/assignment"
    assert (await api.post(place, json={"assignee": "Bea"})).json()["assignee"] == "Bea"
    assert (await api.post(place, json={"assignee": None})).json()["assignee"] is None


async def test_whoever_has_seen_an_older_version_changes_nothing(api: httpx2.AsyncClient, story: Story) -> None:
    place = f"/v1/alerts/{story.id}/acknowledgement"
    seen = (await api.get(f"/v1/alerts/{story.id}")).headers["etag"]
    await api.post(f"/v1/alerts/{story.id}/assignment", json={"assignee": "Bea"})
    for etag in (seen, '"nonsense"'):
        refused = await api.post(place, json={}, headers={"if-match": etag})
        assert (refused.status_code, refused.headers["content-type"]) == (412, "application/problem+json")
    current = (await api.get(f"/v1/alerts/{story.id}")).headers["etag"]
    assert (await api.post(place, json={}, headers={"if-match": current})).status_code == 200
    assert (await api.post(place, json={}, headers={"if-match": "*"})).status_code == 200


async def test_people_who_do_something_at_once_all_have_done_it(api: httpx2.AsyncClient, story: Story) -> None:
    await asyncio.gather(*(api.post(f"/v1/alerts/{story.id}/assignment", json={"assignee": f"a{n}"}) for n in range(8)))
    shown = (await api.get(f"/v1/alerts/{story.id}")).json()
    assert len([each for each in shown["history"] if each["what"] == "assigned"]) == 8


# --- sending again


async def test_a_delivery_that_has_failed_is_sent_again_with_a_fresh_schedule(
    api: httpx2.AsyncClient, story: Story
) -> None:
    [first] = await story.claimed()
    await story.finish(first, "failed")
    assert (await api.post(f"/v1/deliveries/{first.id}/resend")).status_code == 202
    [again] = await story.claimed()
    assert (again.id, again.message_id, again.attempts, again.spent) == (first.id, first.message_id, 1, 1)


async def test_a_delivery_that_is_being_sent_is_not_sent_again(api: httpx2.AsyncClient, story: Story) -> None:
    [first] = await story.claimed()
    assert (await api.post(f"/v1/deliveries/{first.id}/resend")).status_code == 409


async def test_the_deliveries_of_a_time_are_sent_again(api: httpx2.AsyncClient, story: Story) -> None:
    [first] = await story.claimed()
    await story.finish(first, "failed")
    wanted = {"created_from": "2026-01-05T12:00:00Z", "created_until": "2026-01-05T12:00:01Z", "receiver": story.name}
    earlier = wanted | {"created_from": "2026-01-05T11:00:00Z", "created_until": "2026-01-05T12:00:00Z"}
    assert (await api.post("/v1/deliveries/resend", json=earlier)).json()["count"] == 0
    assert (await api.post("/v1/deliveries/resend", json=wanted)).json()["count"] == 1
    assert (await api.post("/v1/deliveries/resend", json=wanted)).json()["count"] == 0  # it has failed no longer
    assert len(await story.claimed()) == 1


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("GET", f"/v1/alerts/{NOWHERE}", None, 404),
        ("GET", "/v1/alerts/ffffffff-0000-8000-8000-000000000000", None, 404),  # a bucket that there is none of
        ("GET", "/v1/alerts/nonsense", None, 422),
        ("GET", "/v1/alerts?cursor=nonsense", None, 422),
        ("GET", "/v1/alerts?standing=lost", None, 422),
        ("POST", f"/v1/alerts/{NOWHERE}/acknowledgement", {}, 404),
        ("POST", f"/v1/alerts/{NOWHERE}/acknowledgement", {"by": "\n"}, 422),  # no name
        ("POST", f"/v1/alerts/{NOWHERE}/acknowledgement", {"who": "Ana"}, 422),
        ("POST", f"/v1/alerts/{NOWHERE}/snooze", {"until": "2026-01-05T12:00:00"}, 422),  # of which zone?
        ("POST", f"/v1/alerts/{NOWHERE}/snooze", {"until": "9999-12-31T23:59:59Z"}, 422),
        ("POST", f"/v1/alerts/{NOWHERE}/assignment", {}, 422),
        ("POST", f"/v1/deliveries/{NOWHERE}/resend", None, 404),
        ("POST", "/v1/deliveries/resend", {"created_from": "2026-01-05T12:00:00Z"}, 422),
    ],
)
async def test_a_bad_request_is_answered_as_a_problem(
    api: httpx2.AsyncClient, method: str, path: str, body: Any, status: int
) -> None:
    answer = await api.request(method, path, json=body)
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")


# --- links


async def link(story: Story) -> str:
    [delivery] = await story.claimed()
    assert delivery.alert is not None
    assert delivery.alert.url is not None
    return delivery.alert.url


async def test_opening_a_link_changes_nothing_and_pressing_its_button_acknowledges(
    api: httpx2.AsyncClient, story: Story
) -> None:
    url = await link(story)
    page = await api.get(url)
    assert (page.status_code, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert story.item in page.text
    assert '<form method="post">' in page.text
    assert (await api.get(f"/v1/alerts/{story.id}")).json()["acknowledged_by"] is None
    done = await api.post(url, data={"by": "Ana", "comment": "on it"})
    assert "Ana" in done.text
    assert "<form" not in done.text
    assert (await api.get(f"/v1/alerts/{story.id}")).json()["acknowledged_by"] == "Ana"


async def test_without_a_name_the_receiver_of_the_link_has_acknowledged(api: httpx2.AsyncClient, story: Story) -> None:
    await api.post(await link(story))
    shown = (await api.get(f"/v1/alerts/{story.id}")).json()
    assert shown["acknowledged_by"] == f"receiver {story.name}"


async def test_what_people_write_is_text_on_the_page_and_kept_in_one_line(
    api: httpx2.AsyncClient, story: Story
) -> None:
    done = await api.post(await link(story), data={"by": "<script>alert(1)</script>\r\nX: y\x00", "comment": "é" * 600})
    assert "<script>" not in done.text
    assert "&lt;script&gt;" in done.text
    (act,) = [each for each in (await api.get(f"/v1/alerts/{story.id}")).json()["history"] if each["by"]]
    assert act["by"] == "<script>alert(1)</script> X: y"
    assert act["comment"] == "é" * 500


async def test_the_page_of_a_link_is_kept_by_nobody_and_framed_by_nobody(api: httpx2.AsyncClient, story: Story) -> None:
    headers = (await api.get(await link(story))).headers
    assert headers["cache-control"] == "no-store"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["x-frame-options"] == "DENY"
    assert "frame-ancestors 'none'" in headers["content-security-policy"]


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_a_link_that_is_none_of_ours_shows_nothing(api: httpx2.AsyncClient, story: Story, method: str) -> None:
    old = LINKS.to(story.id or UUID(int=0), story.name, DUE - 30 * DAY)
    gone = LINKS.to(UUID(NOWHERE), story.name, DUE)
    for url in (old, gone, "http://plazo/alerts/nonsense", (await link(story))[:-3]):
        answer = await api.request(method, url)
        assert answer.status_code == 404
        assert story.item not in answer.text


async def test_a_form_that_is_too_long_is_refused(api: httpx2.AsyncClient, story: Story) -> None:
    assert (await api.post(await link(story), data={"comment": "x" * 20_000})).status_code == 413


async def test_a_message_about_what_somebody_took_on_or_what_is_over_has_no_link(
    api: httpx2.AsyncClient, story: Story
) -> None:
    await acknowledged(api, story)
    [first] = await story.claimed()
    await story.finish(first)
    await story.hears(STOPPED, 2)
    [second] = await story.claimed()
    assert first.alert is not None
    assert second.alert is not None
    assert (first.alert.url, first.alert.acknowledged_by, second.alert.url) == (None, "Ana", None)


# --- the command line


def plazo(database_url: str, *arguments: str) -> str:
    """What `./plazo alerts ...` prints."""
    result = CliRunner().invoke(command_line(["alerts"]), ["alerts", *arguments], env={"DATABASE_URL": database_url})
    assert result.exit_code == 0, result.output + repr(result.exception)
    return result.stdout


async def test_the_command_line_shows_and_changes_the_same(
    database_url: str, api: httpx2.AsyncClient, story: Story
) -> None:
    async def said(*arguments: str) -> str:
        return await asyncio.to_thread(plazo, database_url, *arguments)

    identity = str(story.id)
    assert identity in await said("list", "--item", story.item)
    assert f'"id":"{identity}"' in await said("list", "--item", story.item, "--json")
    assert "is Bea's now" in await said("ack", identity, "--by", "Bea", "--comment", "on it")
    assert "is Ana's" in await said("assign", identity, "Ana")
    assert "is snoozed until" in await said("snooze", identity, "2h")
    assert "is awake" in await said("snooze", identity, "now")
    shown = await said("show", identity)
    assert [word in shown for word in ("acknowledged", "Bea", "on it", "Ana", story.name)] == [True] * 5
    delivery = (await api.get(f"/v1/alerts/{identity}")).json()["deliveries"][0]["id"]
    assert await said("resend", delivery) == "1 delivery is sent again.\n"
    assert await said("resend", "--from", "2026-01-05T11:00:00Z", "--receiver", story.name) == (
        "0 deliveries are sent again.\n"
    )


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["show", NOWHERE], "there is no alert"),
        (["ack", NOWHERE], "there is no alert"),
        (["snooze", NOWHERE, "tomorrow"], "UNTIL: expected a time like"),
        (["resend", NOWHERE], "there is no delivery"),
        (["resend"], "expected a delivery, or --from"),
        (["resend", "--from", "today"], "--from: expected a time like"),
    ],
)
async def test_the_command_line_says_what_it_cannot_do(database_url: str, arguments: list[str], expected: str) -> None:
    environment = {"DATABASE_URL": database_url, "COLUMNS": "200"}
    run = CliRunner().invoke
    result = await asyncio.to_thread(run, command_line(["alerts"]), ["alerts", *arguments], env=environment)
    assert result.exit_code != 0
    assert expected in f"{result.output} {result.exception}"
