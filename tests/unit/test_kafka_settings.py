"""How to reach the brokers, from environment variables."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest
import trustme
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

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


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A client's certificate, with its key, which is encrypted with `of-the-key`."""
    issued = trustme.CA().issue_cert("plazo@example.com")
    key = load_pem_private_key(issued.private_key_pem.bytes(), None)
    encrypted = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"of-the-key"))
    file = tmp_path_factory.mktemp("client") / "client.pem"
    file.write_bytes(encrypted + issued.cert_chain_pems[0].bytes())
    return file


def test_a_certificate_of_the_clients_own_is_read_with_its_key(certificate: Path) -> None:
    given = {"KAFKA_SECURITY_PROTOCOL": "SSL", "KAFKA_CERT_FILE": str(certificate), "KAFKA_KEY_PASSWORD": "of-the-key"}
    context = load(CommonSettings, {**LEAST, **given}).connection.options["ssl_context"]
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)


@pytest.mark.parametrize(
    "given",
    [
        {"KAFKA_KEY_PASSWORD": "another"},
        {},  # a key that is encrypted: nobody is asked for its password
        {"KAFKA_KEY_FILE": "/nowhere.pem", "KAFKA_KEY_PASSWORD": "of-the-key"},
        {"KAFKA_CERT_FILE": "/nowhere.pem"},
    ],
)
def test_a_certificate_that_cannot_be_used_is_told_at_the_start(given: dict[str, str], certificate: Path) -> None:
    known = {**LEAST, "KAFKA_SECURITY_PROTOCOL": "SSL", "KAFKA_CERT_FILE": str(certificate)}
    with pytest.raises(Refused, match="KAFKA_CERT_FILE, KAFKA_KEY_FILE, KAFKA_KEY_PASSWORD: expected") as caught:
        load(CommonSettings, {**known, **given})
    assert not [secret for secret in ("another", "of-the-key") if secret in str(caught.value)]


def test_the_password_is_not_shown_with_the_connection() -> None:
    connection = load(CommonSettings, {**LEAST, **USER, "KAFKA_SECURITY_PROTOCOL": "SASL_SSL"}).connection
    assert "secret" not in repr(connection)
