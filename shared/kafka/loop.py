"""The Kafka loop: take a batch, handle it, commit the positions behind it.

Written once; ingest and notifier run it. A batch that cannot be handled now (Unavailable) is tried again with the
same records while the consumer stays in its group; any other error ends the loop, and nothing is committed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition
from aiokafka import errors as kafka_errors

from shared.errors import Refused, Unavailable
from shared.failpoints import failpoint
from shared.kafka.connecting import opened
from shared.kafka.connection import FETCH_BYTES, FETCH_WAIT_MS, Connection, Place, Record, limited, within
from shared.kafka.group import committed_offsets
from shared.kafka.header_names import HeaderNames
from shared.kafka.records import read_lean

Handle = Callable[[Sequence[Record]], Awaitable[None]]
log = structlog.get_logger(__name__)
POLL_MS: Final = 200  # how long an empty poll waits; records that come meanwhile end it at once
POLL_FAILED_S: Final = 0.5
RETRY_FIRST_S: Final = 0.1
RETRY_MAX_S: Final = 5.0
FEW: Final = 500  # records in a batch
GATHER_S: Final = 0.01
"""After a batch of no more than FEW so long nothing is read, while more come. A batch costs CPU time, however small it
is, and at thousands of events a second every poll brings some: of a trickle 7,500 a second are kept up with, without it
3,500 (`latency_busy`). One that comes alone is not delayed."""
UNANSWERED_MOST: Final = 2  # commits in a row without an answer, 15 s each, after which the client counts as lost


@dataclass(frozen=True, slots=True)
class Subscription:
    """Which topics a group reads, and how much at a time."""

    topics: tuple[str, ...]
    group: str
    max_records: int = 10_000
    session_timeout_ms: int = 10_000


class _Assignments(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka ships no types
    """Notes rebalances: the client swallows what a listener raises, so the loop acts, not the listener."""

    def __init__(self) -> None:
        self.fresh: set[TopicPartition] = set()

    async def on_partitions_revoked(self, revoked: set[TopicPartition]) -> None:
        self.fresh -= revoked

    async def on_partitions_assigned(self, assigned: set[TopicPartition]) -> None:
        self.fresh |= assigned


@dataclass(slots=True)
class _Reading:
    """A client in its group, and what is known of it."""

    consumer: AIOKafkaConsumer
    subscription: Subscription
    assignments: _Assignments
    names: HeaderNames = field(default_factory=HeaderNames)
    committed: dict[TopicPartition, int] = field(default_factory=dict)
    unanswered: int = 0  # commits in a row of which nothing was heard

    @property
    def is_lost(self) -> bool:
        """Whether the client waits for something that does not come, whatever the brokers do."""
        return self.unanswered >= UNANSWERED_MOST


async def consume(
    connection: Connection, subscription: Subscription, handle: Handle, *, stop: asyncio.Event, joined: asyncio.Event
) -> None:
    """Run *handle* on every batch of *subscription* until *stop* is set; sets *joined* once partitions are assigned.

    After a batch, and also when a poll returned nothing but moved it, the consumer's *position* is committed: commit
    markers and compaction leave ends that no record reaches, and who compares the group with the end must see it there.

    After a long outage the client may look for its group's coordinator for ever, while it goes on reading. Once commits
    stay without an answer it is opened anew.

    Raises:
        Unavailable: the brokers could not be reached at the start.
        Refused: the group may not read, or the log has lost what the group was to read next.
    """
    while not stop.is_set():
        reading = _reading(connection, subscription)
        try:
            await opened(connection, reading.consumer.start)
            await _read(reading, handle, stop=stop, joined=joined)
        except Unavailable as exc:
            if not joined.is_set():
                raise
            log.warning("reading waits", error=str(exc))
            await _pause(RETRY_MAX_S, stop)
        finally:
            await within(reading.consumer.stop(), seconds=5.0)


async def _read(reading: _Reading, handle: Handle, *, stop: asyncio.Event, joined: asyncio.Event) -> None:
    """Handle batch after batch until *stop* is set, or the client is lost."""
    assignments = reading.assignments
    while not stop.is_set():
        records = await _poll(reading.consumer, reading.subscription, assignments, reading.names)
        if assignments.fresh:
            reading.committed.clear()
            assignments.fresh.clear()
            joined.set()
        if records is None:
            await _pause(POLL_FAILED_S, stop)
            continue
        if records:
            failpoint("after_poll")
            if not await _handled(handle, records, stop):
                continue
        await _commit(reading)
        if reading.is_lost:
            log.error("the client has lost its group, another one is opened", group=reading.subscription.group)
            return
        if 0 < len(records) <= FEW:
            await _pause(GATHER_S, stop)


def _reading(connection: Connection, subscription: Subscription) -> _Reading:
    consumer, assignments = _consumer(connection, subscription), _Assignments()
    consumer.subscribe(list(subscription.topics), listener=assignments)
    return _Reading(consumer, subscription, assignments)


def _consumer(connection: Connection, subscription: Subscription) -> AIOKafkaConsumer:
    read_lean()
    return AIOKafkaConsumer(
        **connection.arguments(subscription.group),
        group_id=subscription.group,
        enable_auto_commit=False,
        auto_offset_reset="none",
        isolation_level="read_committed",
        fetch_max_wait_ms=FETCH_WAIT_MS,
        session_timeout_ms=subscription.session_timeout_ms,
        rebalance_timeout_ms=subscription.session_timeout_ms,
        heartbeat_interval_ms=subscription.session_timeout_ms // 5,
        max_poll_interval_ms=300_000,
        max_partition_fetch_bytes=FETCH_BYTES,
    )


async def _poll(
    consumer: AIOKafkaConsumer, subscription: Subscription, assignments: _Assignments, names: HeaderNames
) -> list[Record] | None:
    # A partition that the group has never read starts at its beginning. None: the brokers do not answer.
    while True:
        try:
            polled = await consumer.getmany(timeout_ms=POLL_MS, max_records=subscription.max_records)
        except kafka_errors.NoOffsetForPartitionError as exc:
            # One partition at a time is told, so a new group comes by here as often as there are partitions.
            if not await _begun(consumer, exc.args[0]):
                return None
            assignments.fresh.add(exc.args[0])
        except kafka_errors.OffsetOutOfRangeError as exc:
            raise Refused(
                f"the log does not hold what group {subscription.group} was to read next, {exc.args[0]}: records were "
                "lost unread; set the group's offsets to where it shall go on, and start again"
            ) from exc
        except UnicodeDecodeError as exc:
            names.unreadable(exc)
            await _read_again(consumer)
        except kafka_errors.KafkaError as exc:
            _refuse_what_stays(exc, subscription)
            return None
        else:
            names.polled(len(polled))
            return [record for records in polled.values() for record in records]


def _refuse_what_stays(exc: kafka_errors.KafkaError, subscription: Subscription) -> None:
    if not exc.retriable:
        raise Refused(f"read {', '.join(subscription.topics)}: {exc!r}") from exc
    log.warning("poll failed", error=repr(exc))


async def _read_again(consumer: AIOKafkaConsumer) -> None:
    # A decoder that fails takes with it what the same poll had of other partitions, whose positions have moved.
    places = [Place(tp.topic, tp.partition) for tp in consumer.assignment()]
    async with limited("read where the group is"):
        offsets = await committed_offsets(consumer._coordinator, places)
        for place, offset in offsets.items():
            if offset is None:
                await consumer.seek_to_beginning(TopicPartition(*place))
            else:
                consumer.seek(TopicPartition(*place), offset)


async def _begun(consumer: AIOKafkaConsumer, tp: TopicPartition) -> bool:
    # The client also says that nothing is committed where the coordinator could not tell: it is asked again.
    place = Place(tp.topic, tp.partition)
    try:
        async with limited(f"read where the group is in {place.topic}/{place.partition}"):
            offset = (await committed_offsets(consumer._coordinator, [place]))[place]
    except Unavailable as exc:
        log.warning("reading waits", error=str(exc))
        return False
    with suppress(kafka_errors.KafkaError):  # taken away meanwhile; what is left is told again
        if offset is None:
            await consumer.seek_to_beginning(tp)
        else:
            consumer.seek(tp, offset)
    return True


async def _handled(handle: Handle, records: list[Record], stop: asyncio.Event) -> bool:
    wait_s = RETRY_FIRST_S
    while not stop.is_set():
        try:
            await handle(records)
        except Unavailable as exc:
            log.warning("batch waits", records=len(records), error=str(exc))
            await _pause(wait_s, stop)
            wait_s = min(2 * wait_s, RETRY_MAX_S)
        else:
            return True
    return False


async def _pause(seconds: float, stop: asyncio.Event) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await stop.wait()


async def _commit(reading: _Reading) -> None:
    consumer, moved = reading.consumer, {}
    for tp in consumer.assignment():
        position = await _position(consumer, tp)
        if position is not None and reading.committed.get(tp) != position:
            moved[tp] = position
    if not moved:
        return
    failpoint("before_marking")
    try:
        async with limited("commit offsets"):
            await consumer.commit(moved)
    except Unavailable as exc:
        # A rebalance or an outage: whoever reads on starts at the last commit, and repeats do nothing.
        log.warning("commit failed", error=str(exc))
        reading.unanswered = reading.unanswered + 1 if isinstance(exc.__cause__, TimeoutError) else 0
        return
    reading.unanswered = 0
    reading.committed.update(moved)


async def _position(consumer: AIOKafkaConsumer, tp: TopicPartition) -> int | None:
    # A position that is known is given without waiting; for one that is not (just assigned, just revoked) nothing is
    # waited either, because the other partitions would wait along.
    try:
        async with asyncio.timeout(0):
            return int(await consumer.position(tp))
    except (TimeoutError, kafka_errors.KafkaError):
        return None
