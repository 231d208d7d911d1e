"""Settings from environment variables: read once at the start, all errors at once, secrets also from files.

Every service's settings class extends `CommonSettings`; an environment variable has the field's name in capitals, and
`NAME_FILE` names a file that holds the value of `NAME`.
"""

from __future__ import annotations

import json
import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_settings import BaseSettings, NoDecode

from shared import failpoints
from shared.dlq_limit import DlqLimit
from shared.errors import Refused
from shared.events import Kind, Topics
from shared.http_settings import HttpSettings
from shared.kafka.connection import Connection
from shared.logs import LogFormat

Settings = TypeVar("Settings", bound=BaseSettings)


def _certificates(file: Path) -> Path:
    try:
        ssl.create_default_context(cafile=file)
    except OSError as exc:
        raise ValueError(f"expected a file of certificates (PEM), got {file}: {exc.strerror}") from exc
    return file


Certificates = Annotated[Path, AfterValidator(_certificates)]
"""A file of certificates (PEM); that it can be read is checked with the settings."""


class Upstream(BaseModel):
    """A topic that upstream systems write, the format of its records, and the kinds of item it can carry."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    topic: str
    format: str = "canonical"
    kinds: frozenset[Kind] = frozenset({"ticket", "chat", "call"})
    tenant: str = "default"
    trust_tenant: bool = False  # whether the event's own tenant attribute counts


class CommonSettings(HttpSettings):
    """What every service needs to know."""

    kafka_bootstrap: str = Field(description="Kafka brokers, `host:port,host:port`.")
    kafka_security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = Field(
        "PLAINTEXT", description="How to talk to the brokers."
    )
    kafka_sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = Field(
        "SCRAM-SHA-512", description="How to log in, with a SASL protocol."
    )
    kafka_sasl_username: str | None = Field(None, description="The user, with a SASL protocol.")
    kafka_sasl_password: SecretStr | None = Field(None, description="The password, with a SASL protocol.")
    kafka_ca_file: Certificates | None = Field(
        None, description="Certificates (PEM) that are trusted instead of the system's, with an SSL protocol."
    )
    kafka_cert_file: Path | None = Field(
        None, description="The client's own certificate (PEM), where brokers want one, with an SSL protocol."
    )
    kafka_key_file: Path | None = Field(None, description="Its private key (PEM); without it, in the same file.")
    kafka_key_password: SecretStr | None = Field(None, description="The password of that key, if it has one.")
    topic_prefix: str = Field("", description="Put before the names of Plazo's own topics.")
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="The least level logged.")
    log_format: LogFormat = Field("json", description="`json`, one object a line, or `console` for people.")
    fail_at: str = Field("", description="For tests of faults: `NAME:TIME`, the failpoint at which the process ends.")
    ingest_group: str = Field("plazo-ingest", description="Ingest's consumer group; the timer reads its offsets.")
    upstream_topics: Annotated[tuple[Upstream, ...], NoDecode] = Field(
        (), description='Upstream topics: `topic:format,…`, or JSON `[{"topic", "format", "kinds", "tenant"}]`.'
    )
    dlq_in_a_row: int = Field(
        1_000,
        ge=0,
        description="After how many unusable records of a topic in a row its reader stops, with status 3; 0 for never.",
    )
    dlq_share: float = Field(
        0.9,
        gt=0,
        le=1,
        description="It also stops when a larger share than this of its last records is unusable; 1 for never.",
    )
    dlq_window_records: int = Field(
        10_000, ge=100, le=10_000_000, description="Of how many records the share is, counted from an unusable one on."
    )

    @field_validator("upstream_topics", mode="before")
    @classmethod
    def _short_form(cls, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        if value.lstrip().startswith("["):
            return json.loads(value)
        parts = [part.strip().partition(":") for part in value.split(",") if part.strip()]
        return [{"topic": topic, "format": form or "canonical"} for topic, _, form in parts]

    @field_validator("fail_at")
    @classmethod
    def _failpoint(cls, value: str) -> str:
        if value:
            failpoints.parse(value)
        return value

    @model_validator(mode="after")
    def _can_log_in(self) -> CommonSettings:
        if self.kafka_security_protocol.startswith("SASL") and not (
            self.kafka_sasl_username and self.kafka_sasl_password
        ):
            raise ValueError(
                f"KAFKA_SASL_USERNAME, KAFKA_SASL_PASSWORD: are required with {self.kafka_security_protocol}"
            )
        return self

    @model_validator(mode="after")
    def _can_show_its_certificate(self) -> CommonSettings:
        if self.kafka_security_protocol.endswith("SSL"):
            self._tls()
        return self

    def _tls(self) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=self.kafka_ca_file)
        if self.kafka_cert_file is None:
            return context
        password = "" if self.kafka_key_password is None else self.kafka_key_password.get_secret_value()
        try:
            # A key that is encrypted would be asked for at the terminal, if no password was given.
            context.load_cert_chain(self.kafka_cert_file, self.kafka_key_file, password)
        except OSError as exc:
            names = "KAFKA_CERT_FILE, KAFKA_KEY_FILE, KAFKA_KEY_PASSWORD"
            raise ValueError(f"{names}: expected a certificate, its key (PEM) and password: {exc.strerror}") from exc
        return context

    @property
    def topics(self) -> Topics:
        """The names of Plazo's own topics."""
        return Topics(self.topic_prefix)

    @property
    def upstream(self) -> tuple[Upstream, ...]:
        """Every topic that ingest reads: the upstream systems', and the one that HTTP events are written to."""
        return (*self.upstream_topics, Upstream(topic=self.topics.intake, trust_tenant=True))

    @property
    def dlq_limit(self) -> DlqLimit:
        """How many records of a topic may be unusable."""
        return DlqLimit(self.dlq_in_a_row, self.dlq_share, self.dlq_window_records)

    @property
    def connection(self) -> Connection:
        """How to reach the brokers."""
        options: dict[str, Any] = {"security_protocol": self.kafka_security_protocol}
        if self.kafka_security_protocol.startswith("SASL"):
            options["sasl_mechanism"] = self.kafka_sasl_mechanism
            options["sasl_plain_username"] = self.kafka_sasl_username
            options["sasl_plain_password"] = self.kafka_sasl_password and self.kafka_sasl_password.get_secret_value()
        if self.kafka_security_protocol.endswith("SSL"):
            options["ssl_context"] = self._tls()
        return Connection(self.kafka_bootstrap, options)


def load(settings: type[Settings], environment: Mapping[str, str]) -> Settings:
    """Read *settings* from *environment*.

    Raises:
        Refused: names every variable that is missing or wrong, and what was expected.
    """
    problems: list[str] = []
    values: dict[str, Any] = {}
    for name in settings.model_fields:
        variable = name.upper()
        try:
            found = _value(environment, variable)
        except OSError as exc:
            problems.append(f"{variable}_FILE: {exc.strerror}: {exc.filename}")
            continue
        if found is not None:
            values[name] = found
    try:
        loaded = settings.model_validate(values)
    except ValidationError as exc:
        problems += [_sentence(error["loc"], error["msg"]) for error in exc.errors(include_input=False)]
    if problems:
        raise Refused("the settings are not complete:\n  " + "\n  ".join(problems))
    return loaded


def _value(environment: Mapping[str, str], variable: str) -> str | None:
    file = environment.get(f"{variable}_FILE")
    if file is not None and variable not in environment:
        return Path(file).read_text().strip()
    return environment.get(variable)


def _sentence(place: tuple[int | str, ...], message: str) -> str:
    if not place:  # about several variables, which the message names
        return message.removeprefix("Value error, ")
    variable, *rest = map(str, place)
    inner = "".join(f"[{part}]" if part.isdigit() else f".{part}" for part in rest)
    text = "is required" if message == "Field required" else message.removeprefix("Value error, ")
    return f"{variable.upper()}{inner}: {text}"
