"""What is done with a batch of upstream records: events go on, keyed by item, the unusable to the dead letters."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

import structlog

from services.ingest.normalize import PART_HEADERS, Origin, Unusable, normalize
from services.ingest.passage import STRUCTURED, Passage, passage
from services.ingest.statuses import NO_STATUSES, StatusTable
from shared.cloudevents import encode_record
from shared.deadletters import Part, dead_letter
from shared.dlq_limit import USUAL, DlqMeter, Found, Standing
from shared.errors import BadRecord, TooManyDeadLetters
from shared.events import SECOND, Event, Instant, Span, Topics
from shared.failpoints import failpoint
from shared.kafka.connection import Outgoing, Record
from shared.metrics import Metrics

STAGE: Final = "ingest"
AGES_A_BATCH: Final = 16
"""Of how many events of a batch the age is measured, evenly spread: a histogram takes 2 µs for each."""

TOLD_MOST: Final = 1_000
"""Of so many status names that no table maps the log tells, each once: a source may make up ever new ones."""

log = structlog.get_logger(__name__)


class Writer(Protocol):
    """Writes records to a topic."""

    async def send(self, topic: str, records: Iterable[Outgoing]) -> None:
        """Write *records* and wait until the brokers have them all.

        Raises:
            Unavailable: some may not have been written; the same records may be sent again.
        """


@dataclass(slots=True)
class _Tally:
    """What became of a batch: the times of the events by format and kind, and what was refused with its format."""

    accepted: defaultdict[tuple[str, str], list[Instant]] = field(default_factory=lambda: defaultdict(list))
    refused: list[tuple[str, Record, Unusable]] = field(default_factory=list)
    unmapped: Counter[str] = field(default_factory=Counter)  # by system


@dataclass(frozen=True, slots=True)
class Ingest:
    """Takes upstream records to `sla.events.v1`."""

    writer: Writer
    topics: Topics
    origins: Mapping[str, Origin]  # by upstream topic
    future_skew: Span
    metrics: Metrics
    now: Callable[[], Instant]
    statuses: StatusTable = NO_STATUSES
    told: set[tuple[str, str]] = field(default_factory=set)  # (source, status) that the log has named
    meter: DlqMeter = field(default_factory=lambda: DlqMeter(USUAL))

    async def on_batch(self, records: Sequence[Record]) -> None:
        """Forward the events of *records*, in their order, and put what cannot be used on the dead letters.

        When it returns, the brokers have everything. Done again after a failure it repeats events, which their readers
        know by their identity.

        Raises:
            Unavailable: some may not have been written.
            TooManyDeadLetters: none of its dead letters was written: the batch stays unread.
        """
        now = self.now()
        tally = _Tally()
        failpoint("before_produce")
        await self.writer.send(self.topics.events, self._forwarded(records, tally, latest=now + self.future_skew))
        weighed = self._weighed(records, tally)
        if tally.refused:
            await self.writer.send(self.topics.deadletters, [_letter(record, why) for _, record, why in tally.refused])
        failpoint("after_produce")
        self.meter.keep(weighed)
        self._count(tally, now)

    def _forwarded(self, records: Sequence[Record], tally: _Tally, *, latest: Instant) -> Iterator[Outgoing]:
        # Made one by one, while the producer builds its batches: together they cost twice as much, because thousands of
        # small objects that live for the length of a batch leave the processor's caches and keep the collector busy.
        statuses = self.statuses
        for record in records:
            origin = self.origins[record.topic]
            passing = origin.passes and passage(record.headers, record.value, origin, latest=latest, statuses=statuses)
            if not passing:
                yield from self._normalized(record, tally, latest=latest)
                continue
            tally.accepted[origin.format, passing.kind].append(passing.time)
            if (system := statuses.unmapped(passing.source, passing.attributes)) is not None:
                self._note_unmapped(passing, system, tally)
            yield Outgoing(passing.key, passing.value, STRUCTURED)

    def _normalized(self, record: Record, tally: _Tally, *, latest: Instant) -> Iterator[Outgoing]:
        origin = self.origins[record.topic]
        for found in normalize(record.headers, record.value, origin, latest=latest):
            if isinstance(found, Unusable):
                tally.refused.append((origin.format, record, found))
                continue
            event = self.statuses.mapped(found)
            key, value, headers = encode_record(event)
            if len(value) > origin.largest:  # numbers such as 1e9 grow when they are written again
                tally.refused.append((origin.format, record, Unusable(_too_large(origin))))
                continue
            tally.accepted[origin.format, event.kind].append(event.time)
            if (system := self.statuses.unmapped(event.source, event.attributes)) is not None:
                self._note_unmapped(event, system, tally)
            yield Outgoing(key, value, headers)

    def _weighed(self, records: Sequence[Record], tally: _Tally) -> Mapping[str, Standing]:
        if not tally.refused and not self.meter.suspects:
            return {}
        try:
            return self.meter.weighed(_found(records, tally.refused))
        except TooManyDeadLetters:
            self.metrics.dlq_limit_used.labels(stage=STAGE).set(self.meter.used)
            self._tell(tally, "too many records cannot be used")
            raise

    def _note_unmapped(self, event: Event | Passage, system: str, tally: _Tally) -> None:
        tally.unmapped[system] += 1
        name = (event.source, str(event.attributes["status"]))
        if name not in self.told and len(self.told) < TOLD_MOST:
            self.told.add(name)
            log.warning("a status that no table maps passes through", source=name[0], status=name[1], system=system)

    def _count(self, tally: _Tally, now: Instant) -> None:
        for (source, kind), times in tally.accepted.items():
            self.metrics.ingest_events.labels(source=source, kind=kind, outcome="accepted").inc(len(times))
            age = self.metrics.ingest_event_age.labels(source=source)
            for time in times[:: len(times) // AGES_A_BATCH + 1]:
                age.observe(max(0, now - time) / SECOND)
        for system, count in tally.unmapped.items():
            self.metrics.unmapped_statuses.labels(system=system).inc(count)
        for source, _, _ in tally.refused:
            self.metrics.ingest_events.labels(source=source, kind="unknown", outcome="dead_letter").inc()
        for _, _, unusable in tally.refused:
            self.metrics.dead_letters.labels(stage=STAGE, reason=unusable.error.reason).inc()
        self.metrics.dlq_limit_used.labels(stage=STAGE).set(self.meter.used)
        self.metrics.heartbeat.labels(stage=STAGE).set(now / SECOND)
        if tally.refused:
            self._tell(tally, "records put on the dead letters")

    def _tell(self, tally: _Tally, what: str) -> None:
        _, record, unusable = tally.refused[0]
        log.warning(
            what,
            reasons=dict(Counter(unusable.error.reason for _, _, unusable in tally.refused)),
            first=f"{record.topic}/{record.partition}@{record.offset}",
            field=unusable.error.field,
            error=str(unusable.error),
        )


def _found(records: Sequence[Record], refused: Sequence[tuple[str, Record, Unusable]]) -> list[Found]:
    # Of a record with several events, one that can be used is enough.
    parts: defaultdict[int, set[int | None]] = defaultdict(set)
    for _, record, unusable in refused:
        parts[id(record)].add(unusable.position)
    lost = {id(record) for _, record, unusable in refused if len(parts[id(record)]) == unusable.of}
    return [Found(record.topic, id(record) not in lost) for record in records]


def _letter(record: Record, unusable: Unusable) -> Outgoing:
    part = None
    if unusable.part is not None and unusable.position is not None:
        part = Part(unusable.position, unusable.part, PART_HEADERS)
    return dead_letter(record, unusable.error, stage=STAGE, part=part)


def _too_large(origin: Origin) -> BadRecord:
    return BadRecord("too_large", f"expected data of at most {origin.largest} bytes in canonical form")
