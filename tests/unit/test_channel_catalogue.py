"""Which channel each receiver gets, and where its secret comes from."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from services.notifier import routes_file
from services.notifier.channels import guard
from services.notifier.channels.catalogue import Outside, fingerprints, open_channels
from services.notifier.delivery import Channel
from services.notifier.reach import Reach
from shared.errors import BadDocument

SECRET = "whsec_" + base64.b64encode(bytes(range(24))).decode()
OLD = "whsec_" + base64.b64encode(bytes(range(100, 124))).decode()
MAIL = "email: {to: a@example.com, from: p@example.com, smtp: {host: h, username: u, password_env: PASSWORD}}"


@pytest.fixture
async def outside() -> AsyncIterator[Outside]:
    environment = {
        "HOOK": SECRET,
        "OLD": OLD,
        "PASSWORD": "pa55word!",
        "SHORT": "whsec_c2hvcnQ=",
        "EMPTY": "",
        "ROOM": "https://example.com/pa55word",
        "BOT": "pa55word!",
        "TELEGRAM": "1:pa55word",
        "ROUTING": "a" * 32,
        "APPRISE": "json://pa55word.example.com",
    }
    tls = guard.trusting(None)
    async with guard.Client(Reach(), tls) as client:
        yield Outside(environment, client, tls, lambda _line: None, "1")


def opened(settings: str, outside: Outside) -> Channel:
    text = f"receivers:\n  a:\n    {settings}\nroutes: [{{receivers: [a]}}]"
    return open_channels(routes_file.parse(text, "notify.yaml"), outside)["a"]


@pytest.mark.parametrize(
    ("settings", "name", "concurrency"),
    [
        ("console: {}", "console", 64),
        ("webhook: {url: 'https://example.com', secret_env: HOOK}", "webhook", 4),
        (f"webhook: {{url: 'https://example.com', secret: {SECRET}}}\n    concurrency: 9", "webhook", 9),
        (MAIL, "email", 2),
        ("webhook: {url: 'https://example.com', secret_env: [HOOK, OLD]}", "webhook", 4),
        ("slack: {url_env: ROOM}", "slack", 1),
        ("slack: {token_env: BOT, channel: C1}", "slack", 1),
        ("teams: {url_env: ROOM}", "teams", 1),
        ("mattermost: {url_env: ROOM, channel: desk}", "mattermost", 2),
        ("telegram: {token_env: TELEGRAM, chat: -1001, topic: 4}", "telegram", 1),
        ("pagerduty: {key_env: ROUTING, region: eu}", "pagerduty", 4),
        ("opsgenie: {key_env: BOT, team: desk}", "opsgenie", 4),
        ("alertmanager: {url_env: ROOM, token_env: BOT}", "alertmanager", 4),
        ("kafka: {topic: alerts}", "kafka", 16),
        ("apprise: {url_env: APPRISE}", "apprise", 2),
    ],
)
async def test_each_receiver_gets_its_channel(settings: str, name: str, concurrency: int, outside: Outside) -> None:
    channel = opened(settings, outside)
    assert (channel.name, channel.concurrency) == (name, concurrency)


async def test_a_secret_is_read_from_its_file_without_the_line_end(outside: Outside, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text(SECRET + "\n")
    opened(f"webhook: {{url: 'https://example.com', secret_file: {tmp_path}/secret}}", outside)


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ("secret_env: NONE", "notify.yaml:2: receivers.a.webhook: expected a secret in the environment variable NONE"),
        ("secret_env: EMPTY", "expected a secret in the environment variable EMPTY, found none"),
        ("secret_env: SHORT", "expected a secret of 24 to 64 bytes, got 5"),
        ("secret_env: PASSWORD", "expected a secret of whsec_ and base64"),
        ("secret_file: /nowhere/secret", "cannot read the secret in /nowhere/secret: No such file or directory"),
    ],
)
async def test_a_secret_that_is_missing_or_no_good_is_named_but_not_shown(
    settings: str, expected: str, outside: Outside
) -> None:
    with pytest.raises(BadDocument) as caught:
        opened(f"webhook: {{url: 'https://example.com', {settings}}}", outside)
    assert expected in str(caught.value)
    assert "pa55word" not in str(caught.value)


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        # not a URL, in a variable or in the file
        ("teams: {url_env: PASSWORD}", "receivers.a.teams: expected a URL like https://example.com/hook"),
        ("mattermost: {url: pa55word}", "receivers.a.mattermost.url: expected a URL like https://example.com/hook"),
        # not a secret of its kind
        ("telegram: {token_env: PASSWORD, chat: 1}", "expected a token like 123456:ABC-DEF"),
        ("telegram: {token: pa55word, chat: 1}", "expected a token like 123456:ABC-DEF"),
        ("telegram: {token_env: TELEGRAM, chat: pa 55}", "receivers.a.telegram.chat: "),
        ("pagerduty: {key_env: PASSWORD}", "expected an integration key of 32 letters and digits"),
        ("pagerduty: {key: pa55word}", "expected an integration key of 32 letters and digits"),
        ("apprise: {url_env: PASSWORD}", "expected a URL of a kind that Apprise knows"),
        # a bot without a place, and a place without a bot
        ("slack: {token_env: BOT}", "expected a channel together with a bot's token"),
        ("slack: {url_env: ROOM, channel: C1}", "expected a channel together with a bot's token"),
        (
            "slack: {url_env: ROOM, token_env: BOT, channel: C1}",
            "expected exactly one of url, url_env, url_file, token",
        ),
        # where a secret is found must be said, and once
        ("opsgenie: {}", "expected exactly one of key, key_env, key_file"),
        (
            "alertmanager: {url_env: ROOM, token_env: BOT, token: pa55word}",
            "expected one of token, token_env, token_file",
        ),
        ("kafka: {topic: 'a b'}", "receivers.a.kafka.topic: "),
        ("webhook: {url: 'https://example.com', secret_env: []}", "expected at least one"),
        ("webhook: {url: 'https://example.com', secret_env: [HOOK, NONE]}", "the environment variable NONE"),
    ],
)
async def test_settings_that_cannot_be_meant_are_named_but_no_secret_is_shown(
    settings: str, expected: str, outside: Outside
) -> None:
    with pytest.raises(BadDocument) as caught:
        opened(settings, outside)
    assert expected in str(caught.value)
    assert "pa55word" not in str(caught.value)


def read(settings: str, outside: Outside, **changes: str) -> str:
    text = f"receivers:\n  a:\n    {settings}\nroutes: [{{receivers: [a]}}]"
    around = replace(outside, environment={**outside.environment, **changes})
    return fingerprints(routes_file.parse(text, "notify.yaml"), around)["a"]


async def test_a_fingerprint_changes_with_the_place_and_with_nothing_else(outside: Outside) -> None:
    hook = "webhook: {url: 'https://example.com/%s', secret_env: HOOK, timeout: %s}"
    assert read(hook % ("a", "5s"), outside) == read(hook % ("a", "9s"), outside, HOOK=OLD)
    assert read(hook % ("a", "5s"), outside) != read(hook % ("b", "5s"), outside)
    assert read("teams: {url_env: ROOM}", outside) != read(
        "teams: {url_env: ROOM}", outside, ROOM="https://example.com/b"
    )
    assert read("telegram: {token_env: TELEGRAM, chat: 1}", outside) != read(
        "telegram: {token_env: TELEGRAM, chat: 2}", outside
    )


async def test_a_fingerprint_tells_nobody_where(outside: Outside) -> None:
    assert "pa55word" not in read("teams: {url_env: ROOM}", outside)
