"""How to reach the brokers, from environment variables."""

from __future__ import annotations

from pathlib import Path

import pytest

from shared.configuration import CommonSettings, load
from shared.errors import Refused

LEAST = {"KAFKA_BOOTSTRAP": "localhost:9092"}
USER = {"KAFKA_SASL_USERNAME": "plazo", "KAFKA_SASL_PASSWORD": "secret"}


def test_a_login_goes_to_the_client_under_its_own_names() -> None:
    connection = load(CommonSettings, {**LEAST, **USER, "KAFKA_SECURITY_PROTOCOL": "SASL_PLAINTEXT"}).connection
    assert connection.options == {
        "security_protocol": "SASL_PLAINTEXT",
        "sasl_mechanism": "SCRAM-SHA-512",
        "sasl_plain_username": "plazo",
        "sasl_plain_password": "secret",
    }


@pytest.mark.parametrize("lacking", ["KAFKA_SASL_USERNAME", "KAFKA_SASL_PASSWORD"])
def test_a_login_needs_a_user_and_a_password(lacking: str) -> None:
    known = {name: value for name, value in USER.items() if name != lacking}
    with pytest.raises(Refused, match=f"{lacking}.*required with SASL_SSL"):
        load(CommonSettings, {**LEAST, **known, "KAFKA_SECURITY_PROTOCOL": "SASL_SSL"})


@pytest.mark.parametrize("content", [None, "no certificate"])
def test_certificates_that_cannot_be_read_are_told_at_the_start(content: str | None, tmp_path: Path) -> None:
    file = tmp_path / "ca.pem"
    if content is not None:
        file.write_text(content)
    with pytest.raises(Refused, match=r"KAFKA_CA_FILE: expected a file of certificates \(PEM\)"):
        load(CommonSettings, {**LEAST, "KAFKA_SECURITY_PROTOCOL": "SSL", "KAFKA_CA_FILE": str(file)})
