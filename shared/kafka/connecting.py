"""Opening a client, and finding out why that fails.

aiokafka says of every failure that it cannot reach the brokers, and tells the reason in its log alone. So when a client
does not start, each broker is asked once more, and what keeps it from answering is said with the setting that is to
blame.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from aiokafka import errors as kafka_errors
from aiokafka.conn import collect_hosts, create_conn
from aiokafka.protocol.metadata import MetadataRequest

from shared.errors import PlazoError, Refused, Unavailable
from shared.kafka.connection import Connection, limited

ASK_S: Final = 5.0  # for one broker; those that do not answer within it tell nothing

# An alert of the broker's, sent after our side of the handshake was done: the first read finds it.
_WANTS_CERTIFICATE: Final = ("CERTIFICATE_REQUIRED", "UNKNOWN_CA", "BAD_CERTIFICATE", "HANDSHAKE_FAILURE")


async def opened(connection: Connection, start: Callable[[], Awaitable[None]]) -> None:
    """Run a client's own *start*, bounded in time.

    Raises:
        Refused: no broker takes this client: its certificate, its login or the way it talks is wrong, and says which.
        Unavailable: no broker answers.
    """
    try:
        async with limited(f"connect to Kafka at {connection.bootstrap}"):
            await start()
    except Unavailable as exc:
        reason = await _reason(connection)
        if reason is None:
            raise
        raise reason from exc


async def _reason(connection: Connection) -> PlazoError | None:
    # What all brokers say alike is final; where one is only away, another try may find it.
    hosts = collect_hosts(connection.bootstrap, randomize=False)
    said = await asyncio.gather(*(_asked(connection, str(host), int(port)) for host, port, _ in hosts))
    known = [each for each in said if each is not None]
    if not known:
        return None
    kind = Refused if len(known) == len(said) and all(isinstance(each, Refused) for each in known) else Unavailable
    return kind("; ".join(dict.fromkeys(map(str, known))))


async def _asked(connection: Connection, host: str, port: int) -> PlazoError | None:
    options = {name: value for name, value in connection.arguments("reason").items() if name in _OF_A_CONNECTION}
    place = f"{host}:{port}"
    try:
        async with asyncio.timeout(ASK_S):
            broker = await create_conn(host, port, **options)
            try:
                await broker.send(MetadataRequest([]))
            finally:
                broker.close()
    except TimeoutError:
        return None
    except (kafka_errors.KafkaError, OSError) as exc:
        return _meaning(exc, place, options)
    return None


_OF_A_CONNECTION: Final = frozenset(
    {
        *("client_id", "request_timeout_ms", "security_protocol", "ssl_context"),
        *("sasl_mechanism", "sasl_plain_username", "sasl_plain_password"),
    }
)


def _meaning(exc: BaseException, place: str, options: Mapping[str, Any]) -> PlazoError | None:
    if isinstance(exc, kafka_errors.BrokerResponseError | kafka_errors.AuthenticationFailedError):
        return _not_logged_in(exc, place, options)
    protocol = str(options.get("security_protocol", "PLAINTEXT"))
    if isinstance(exc, kafka_errors.KafkaConnectionError):
        return _closed(exc.__cause__, place, protocol)
    if isinstance(exc, ConnectionResetError):
        return _closed(exc, place, protocol)
    if isinstance(exc, ssl.SSLError):
        return _untrusted(exc, place)
    if isinstance(exc, socket.gaierror):
        return Unavailable(f"KAFKA_BOOTSTRAP: {place} is not known: {exc.strerror}")
    return None


def _not_logged_in(exc: kafka_errors.KafkaError, place: str, options: Mapping[str, Any]) -> PlazoError | None:
    if isinstance(exc, kafka_errors.UnsupportedSaslMechanismError):
        return Refused(f"KAFKA_SASL_MECHANISM: {place} does not offer {options.get('sasl_mechanism')}")
    if isinstance(exc, kafka_errors.IllegalSaslStateError):
        return Refused(f"KAFKA_SECURITY_PROTOCOL: {place} takes no login")
    if isinstance(exc, kafka_errors.AuthenticationFailedError | kafka_errors.SaslAuthenticationFailed):
        return Refused(f"KAFKA_SASL_USERNAME, KAFKA_SASL_PASSWORD: {place} refuses the login")
    return None


def _untrusted(exc: ssl.SSLError, place: str) -> PlazoError:
    if isinstance(exc, ssl.SSLCertVerificationError):
        # 62 and 64 are OpenSSL's numbers for a certificate of another name and of another address.
        setting = "KAFKA_BOOTSTRAP" if exc.verify_code in (62, 64) else "KAFKA_CA_FILE"
        return Refused(f"{setting}: the certificate of {place} is not trusted: {exc.verify_message}")
    if any(name in (exc.reason or "") for name in _WANTS_CERTIFICATE):
        return Refused(f"KAFKA_CERT_FILE, KAFKA_KEY_FILE: {place} refuses the client's certificate, or wants one")
    return Refused(f"KAFKA_SECURITY_PROTOCOL: {place} does not speak TLS: {exc.reason}")


def _closed(cause: BaseException | None, place: str, protocol: str) -> PlazoError:
    if isinstance(cause, ssl.SSLError):
        return _untrusted(cause, place)
    # A broker that is going down does so too.
    return Unavailable(
        f"{place} closes connections by {protocol} at once: if it stays so, KAFKA_SECURITY_PROTOCOL is another there"
    )
