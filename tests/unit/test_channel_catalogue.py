"""Which channel each receiver gets, and where its secret comes from."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from services.notifier import routes_file
from services.notifier.channels import guard
from services.notifier.channels.catalogue import Outside, open_channels
from services.notifier.delivery import Channel
from services.notifier.reach import Reach
from shared.errors import BadDocument

SECRET = "whsec_" + base64.b64encode(bytes(range(24))).decode()
MAIL = "email: {to: a@example.com, from: p@example.com, smtp: {host: h, username: u, password_env: PASSWORD}}"


@pytest.fixture
async def outside() -> AsyncIterator[Outside]:
    environment = {"HOOK": SECRET, "PASSWORD": "pa55word!", "SHORT": "whsec_c2hvcnQ=", "EMPTY": ""}
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
