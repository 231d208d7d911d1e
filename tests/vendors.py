"""Stand-ins of chats, pagers and other programs: each answers as the real one does, and takes what its schema takes.

The schemas in `tests/contract/schemas` are written from what the vendors publish; each names its source.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import jsonschema

from tests.receivers import Answer, Posted

SCHEMAS: Final = Path(__file__).parent / "contract" / "schemas"
Answering = Callable[[Posted], Answer]


def schema(name: str) -> Any:
    """A schema by its name."""
    return json.loads((SCHEMAS / f"{name}.json").read_text())


def problems(name: str, value: Any) -> list[str]:
    """What keeps *value* from being what a schema describes."""
    validator = jsonschema.Draft202012Validator(schema(name), format_checker=jsonschema.FormatChecker())
    return [f"{error.json_path}: {error.message}"[:300] for error in validator.iter_errors(value)]


def _told(status: int, value: Any, **headers: str) -> Answer:
    return Answer(status, {"content-type": "application/json", **headers}, json.dumps(value).encode())


def webhook(posted: Posted) -> Answer:
    """A receiver of Standard Webhooks."""
    wrong = problems("webhook", json.loads(posted.body))
    return _told(400, wrong) if wrong else Answer(204)


def slack_hook(posted: Posted) -> Answer:
    """An incoming webhook of Slack."""
    wrong = problems("slack-message", json.loads(posted.body))
    return Answer(400, body=b"invalid_blocks " + "; ".join(wrong).encode()) if wrong else Answer(200, body=b"ok")


def slack_bot(posted: Posted) -> Answer:
    """Slack's Web API, which answers 200 whatever it says."""
    arguments = json.loads(posted.body)
    method = posted.path.rpartition("/")[2]
    if not posted.headers.get("authorization", "").startswith("Bearer xoxb-"):
        return _told(200, {"ok": False, "error": "not_authed"})
    if wrong := problems("slack-message", arguments):
        return _told(200, {"ok": False, "error": "invalid_blocks", "errors": wrong})
    if method == "chat.update" and "ts" not in arguments:
        return _told(200, {"ok": False, "error": "message_not_found"})
    stamp = arguments.get("ts", "1503435956.000247")
    return _told(200, {"ok": True, "channel": "C024BE91L", "ts": stamp, "message": arguments})


def teams(posted: Posted) -> Answer:
    """A workflow of Microsoft Teams, which takes 28 KB."""
    wrong = problems("teams-message", json.loads(posted.body))
    if wrong or len(posted.body) > 28 * 1024:
        return _told(400, {"error": {"code": "TriggerInputSchemaMismatch", "message": "; ".join(wrong)}})
    return Answer(202)


def mattermost(posted: Posted) -> Answer:
    """An incoming webhook of Mattermost."""
    wrong = problems("mattermost-post", json.loads(posted.body))
    if wrong:
        return _told(400, {"id": "web.incoming_webhook.parse.app_error", "message": "; ".join(wrong)})
    return Answer(200, body=b"ok")


def telegram(posted: Posted) -> Answer:
    """The API of Telegram's bots."""
    method = posted.path.rpartition("/")[2]
    arguments = json.loads(posted.body)
    wrong = problems(f"telegram-{method}", arguments)
    if wrong:
        said = f"Bad Request: can't parse entities: {'; '.join(wrong)}"
        return _told(400, {"ok": False, "error_code": 400, "description": said})
    return _told(
        200, {"ok": True, "result": {"message_id": arguments.get("message_id", 77), "text": arguments["text"]}}
    )


def pagerduty(posted: Posted) -> Answer:
    """PagerDuty's Events API v2."""
    event = json.loads(posted.body)
    wrong = problems("pagerduty-event", event)
    if wrong:
        return _told(400, {"status": "invalid event", "message": "Event object is invalid", "errors": wrong})
    return _told(202, {"status": "success", "message": "Event processed", "dedup_key": event["dedup_key"]})


def opsgenie(posted: Posted) -> Answer:
    """Opsgenie's Alert API."""
    path = posted.path.partition("?")[0]
    name = "opsgenie-alert" if path.endswith("/v2/alerts") else "opsgenie-step"
    wrong = problems(name, json.loads(posted.body))
    if not posted.headers.get("authorization", "").startswith("GenieKey "):
        return _told(401, {"message": "Could not authenticate", "took": 0.0, "requestId": "r"})
    if wrong:
        return _told(422, {"message": "Request body is not processable", "errors": {"body": wrong}, "took": 0.0})
    return _told(202, {"result": "Request will be processed", "took": 0.302, "requestId": "43a29c5c"})


def alertmanager(posted: Posted) -> Answer:
    """A Prometheus Alertmanager."""
    told = json.loads(posted.body)
    wrong = problems("alertmanager-alerts", told)
    wrong += [each["labels"]["alertname"] for each in told if not wrong and each["endsAt"] <= each["startsAt"]]
    return _told(400, "; ".join(wrong)) if wrong else Answer(200)


ANSWERING: Final[Mapping[str, Answering]] = {
    "webhook": webhook,
    "slack": slack_hook,
    "slack-bot": slack_bot,
    "teams": teams,
    "mattermost": mattermost,
    "telegram": telegram,
    "pagerduty": pagerduty,
    "opsgenie": opsgenie,
    "alertmanager": alertmanager,
}
"""By the kind of receiver, how the real one answers."""
