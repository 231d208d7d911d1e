"""A real Kafka that wants TLS, certificates of clients, and logins, beside its open door."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import trustme
from confluent_kafka import KafkaException
from confluent_kafka.admin import (  # type: ignore[attr-defined] # its types hide the import
    AdminClient,
    ScramCredentialInfo,
    ScramMechanism,
    UserScramCredentialUpsertion,
)
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key

from deploy.local.ports import free_port
from deploy.local.real_kafka import RealKafka

USER = "plazo"
PASSWORD = "s3cret-of-kafka"
PROTOCOLS = ("SSL", "SASL_SSL", "SASL_PLAINTEXT")
_LOGIN = "org.apache.kafka.common.security"


@dataclass(frozen=True)
class SecureKafka:
    """What clients need to know of it; the files are PEM."""

    broker: RealKafka
    ca_file: Path
    client_file: Path  # a certificate of a client's and its key

    def settings(self, protocol: str, **changes: str) -> dict[str, str]:
        """The settings of a service that talks to it by *protocol*, with *changes*."""
        known = {
            "KAFKA_BOOTSTRAP": f"127.0.0.1:{self.broker.protected[protocol]}",
            "KAFKA_SECURITY_PROTOCOL": protocol,
        }
        if protocol.startswith("SASL"):
            known |= {"KAFKA_SASL_USERNAME": USER, "KAFKA_SASL_PASSWORD": PASSWORD}
        if protocol.endswith("SSL"):
            known["KAFKA_CA_FILE"] = str(self.ca_file)
        if protocol == "SSL":
            known["KAFKA_CERT_FILE"] = str(self.client_file)
        return {name: value for name, value in {**known, **changes}.items() if value}


@contextmanager
def secure_kafka(folder: Path) -> Iterator[SecureKafka]:
    """A started broker with its files under *folder*; it knows USER by SCRAM and by PLAIN."""
    authority = trustme.CA()
    ca_file, server_file, client_file = folder / "ca.pem", folder / "server.pem", folder / "client.pem"
    authority.cert_pem.write_to_path(str(ca_file))
    server_file.write_bytes(_as_java_reads_it(authority.issue_cert("127.0.0.1")))
    authority.issue_cert("plazo@example.com").private_key_and_cert_chain_pem.write_to_path(str(client_file))
    protected = {protocol: free_port() for protocol in PROTOCOLS}
    with RealKafka(folder / "kafka", settings=_settings(ca_file, server_file), protected=protected) as broker:
        _add_user(broker.bootstrap)
        yield SecureKafka(broker, ca_file, client_file)


def untrusted(folder: Path) -> Path:
    """Certificates of an authority that nobody knows."""
    file = folder / "other.pem"
    trustme.CA().cert_pem.write_to_path(str(file))
    return file


def _as_java_reads_it(issued: trustme.LeafCert) -> bytes:
    # The key in PKCS #8; trustme writes the form that names its kind, which Java does not know.
    key = load_pem_private_key(issued.private_key_pem.bytes(), None)
    written = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return b"".join([written, *(part.bytes() for part in issued.cert_chain_pems)])


def _settings(ca_file: Path, server_file: Path) -> dict[str, str]:
    files = {"keystore": server_file, "truststore": ca_file}
    stores = {f"ssl.{store}.{name}": value for store, file in files.items() for name, value in _store(file).items()}
    logins = {
        "scram-sha-256": f"{_LOGIN}.scram.ScramLoginModule required;",
        "scram-sha-512": f"{_LOGIN}.scram.ScramLoginModule required;",
        "plain": f'{_LOGIN}.plain.PlainLoginModule required user_{USER}="{PASSWORD}";',
    }
    jaas = {
        f"listener.name.{protocol.lower()}.{mechanism}.sasl.jaas.config": module
        for protocol in ("SASL_SSL", "SASL_PLAINTEXT")
        for mechanism, module in logins.items()
    }
    return {
        **stores,
        **jaas,
        "listener.name.ssl.ssl.client.auth": "required",
        "sasl.enabled.mechanisms": "SCRAM-SHA-512,SCRAM-SHA-256,PLAIN",
        "listener.name.sasl_plaintext.sasl.enabled.mechanisms": "SCRAM-SHA-512",
    }


def _store(file: Path) -> dict[str, str]:
    return {"type": "PEM", "location": str(file)}


def _add_user(bootstrap: str) -> None:
    admin = AdminClient({"bootstrap.servers": bootstrap, "log_level": 0})
    for mechanism in (ScramMechanism.SCRAM_SHA_256, ScramMechanism.SCRAM_SHA_512):  # a request takes a user once
        wanted = UserScramCredentialUpsertion(USER, ScramCredentialInfo(mechanism, 4096), PASSWORD.encode())
        admin.alter_user_scram_credentials([wanted])[USER].result(10.0)
    deadline = time.monotonic() + 10.0
    while len(_known(admin)) < 2:  # the broker learns of it from its controller
        assert time.monotonic() < deadline, "the broker does not know the user within 10 s"
        time.sleep(0.05)


def _known(admin: AdminClient) -> Sequence[Any]:
    try:
        futures: Any = admin.describe_user_scram_credentials([USER])
        described = futures[USER].result(10.0)
    except KafkaException:
        return ()  # nobody by that name yet
    return list(described.scram_credential_infos)
