"""Rooms of chats as `notify.yaml` describes them: Slack, Microsoft Teams, Mattermost, Telegram. PURE."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Final

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, model_validator

from services.notifier.endpoints.values import SecretWebAddress, Strict, Timeout, WebAddress, expect_one, given

SLACK: Final = "https://slack.com/api"
TELEGRAM: Final = "https://api.telegram.org"
_BOT_TOKEN: Final = re.compile(r"^\d+:[A-Za-z0-9_-]+$")


def bot_token(text: str) -> str:
    """*text*, the token of a Telegram bot.

    Raises:
        ValueError: it is none; the token is not repeated.
    """
    if not _BOT_TOKEN.match(text):
        raise ValueError("expected a token like 123456:ABC-DEF, as BotFather gives it")
    return text


def _chat(value: object) -> object:
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _bot_token(value: SecretStr) -> SecretStr:
    bot_token(value.get_secret_value())
    return value


class Slack(Strict):
    """A channel of Slack: by a bot, whose messages are edited and have buttons, or by an incoming webhook."""

    url: SecretWebAddress | None = None  # of an incoming webhook
    url_env: str | None = None
    url_file: Path | None = None
    token: SecretStr | None = None  # of a bot
    token_env: str | None = None
    token_file: Path | None = None
    channel: str | None = Field(None, min_length=1, max_length=80)  # the id of a bot's channel
    api: WebAddress = SLACK
    timeout: Timeout = 15.0

    @model_validator(mode="after")
    def _webhook_or_bot(self) -> Slack:
        if len([*given(self, "url"), *given(self, "token")]) != 1:
            raise ValueError("expected exactly one of url, url_env, url_file, token, token_env, token_file")
        if bool(given(self, "token")) != (self.channel is not None):
            raise ValueError("expected a channel together with a bot's token, and none with a webhook's url")
        return self


class Teams(Strict):
    """A channel or chat of Microsoft Teams, by a workflow that posts the cards that it is sent."""

    url: SecretWebAddress | None = None
    url_env: str | None = None
    url_file: Path | None = None
    timeout: Timeout = 15.0

    @model_validator(mode="after")
    def _given_once(self) -> Teams:
        expect_one(self, "url")
        return self


class Mattermost(Strict):
    """A channel of Mattermost, by an incoming webhook."""

    url: SecretWebAddress | None = None
    url_env: str | None = None
    url_file: Path | None = None
    channel: str | None = Field(None, min_length=1, max_length=64)  # another than the webhook's own
    timeout: Timeout = 15.0

    @model_validator(mode="after")
    def _given_once(self) -> Mattermost:
        expect_one(self, "url")
        return self


class Telegram(Strict):
    """A chat of Telegram, by a bot."""

    token: Annotated[SecretStr, AfterValidator(_bot_token)] | None = None
    token_env: str | None = None
    token_file: Path | None = None
    chat: Annotated[str, BeforeValidator(_chat, json_schema_input_type=int | str), Field(pattern=r"^(-?\d+|@\w+)$")]
    topic: int | None = Field(None, ge=1)  # of a group with topics
    api: WebAddress = TELEGRAM
    timeout: Timeout = 15.0

    @model_validator(mode="after")
    def _given_once(self) -> Telegram:
        expect_one(self, "token")
        return self
