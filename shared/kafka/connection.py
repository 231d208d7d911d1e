"""How to reach the brokers, what a record is, and what the client's errors mean.

`shared.kafka` is the one door to Kafka. What aiokafka does on its own is switched off where it would lose or skip
records: positions are ours (`auto_offset_reset="none"`, no automatic commits), values arrive as bytes, and every call
has a time limit.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol

from aiokafka import errors as kafka_errors

from shared.errors import Refused, TooLarge, Unavailable
from shared.events import Headers

if TYPE_CHECKING:
    from collections.abc import Iterator

CALL_TIMEOUT_S: Final = 15.0  # longer than the client's own request timeout, so that its error comes first
REQUEST_TIMEOUT_MS: Final = 10_000
FETCH_WAIT_MS: Final = 20  # how long a broker holds an empty fetch; a lone event must not wait behind it
FETCH_BYTES: Final = 256 * 1024
"""Of a partition at a time: of 32 partitions that is 8 MiB or 20,000 events, more than are worked on together. A larger
record comes alone."""

MAX_RECORD_BYTES: Final = 900_000  # below the broker's default limit of 1 MiB, with room for headers


class Record(Protocol):
    """A record as it was read."""

    topic: str
    partition: int
    offset: int
    timestamp: int  # ms since the epoch
    key: bytes | None
    value: bytes | None
    headers: Headers


class Outgoing(NamedTuple):
    """A record to be written; *partition* None means by the key's hash, as the Java client does it."""

    key: bytes
    value: bytes | None
    headers: Headers = ()
    partition: int | None = None


class Place(NamedTuple):
    """A partition of a topic."""

    topic: str
    partition: int


@dataclass(frozen=True, slots=True)
class Connection:
    """How to reach the brokers: `host:port,host:port`, and the client's security options by their own names."""

    bootstrap: str
    options: Mapping[str, Any] = field(default_factory=dict, repr=False)  # a password is among them

    def arguments(self, client: str) -> dict[str, Any]:
        """The keyword arguments that every client takes."""
        return {
            "bootstrap_servers": self.bootstrap,
            "client_id": f"plazo-{client}",
            "request_timeout_ms": REQUEST_TIMEOUT_MS,
            # A partition that is added upstream holds every deadline until ingest has looked at it: that must be well
            # within HOLD_MAX_S, or they fire without what it holds.
            "metadata_max_age_ms": 10_000,
            **self.options,
        }


_REFUSALS: Final = (
    kafka_errors.AuthenticationFailedError,
    kafka_errors.AuthenticationMethodNotSupported,
    kafka_errors.TopicAuthorizationFailedError,
    kafka_errors.GroupAuthorizationFailedError,
    kafka_errors.ClusterAuthorizationFailedError,
    kafka_errors.InvalidTopicError,
    kafka_errors.UnsupportedVersionError,
    kafka_errors.OffsetOutOfRangeError,
)


@contextmanager
def translated(what: str) -> Iterator[None]:
    """Raise the client's errors as Unavailable (try again) or Refused (do not)."""
    try:
        yield
    except kafka_errors.MessageSizeTooLargeError as exc:
        raise TooLarge(f"{what}: {exc!r}") from exc
    except _REFUSALS as exc:
        raise Refused(f"{what}: {exc!r}") from exc
    except kafka_errors.KafkaConnectionError as exc:
        raise Unavailable(f"{what}: no broker answers") from exc
    except (kafka_errors.KafkaError, kafka_errors.IllegalOperation, OSError, TimeoutError) as exc:
        raise Unavailable(f"{what}: {exc!r}") from exc


@asynccontextmanager
async def limited(what: str, seconds: float = CALL_TIMEOUT_S) -> AsyncIterator[None]:
    """Bound a call in time, and translate its errors."""
    with translated(what):
        async with asyncio.timeout(seconds):
            yield


async def within(call: Awaitable[None], *, seconds: float) -> None:
    """Await *call*, but no longer: stopping a client takes long when its topic was deleted or its broker is gone."""
    try:
        async with asyncio.timeout(seconds):
            await call
    except TimeoutError:
        return
    except asyncio.CancelledError:
        # A client that stops while its broker is away can run into the end of a task of its own.
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise
