"""Watches over the sources: which one has gone quiet is told once a silence, by the owner of the first partition.

Each process notes with its write sets when it heard which source. The owner of the first partition reads that together,
learns what is usual, and writes silences into that partition's outbox, through the write lane like all that is
published. A crash in between repeats nothing: what was told is written in the same transaction.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import Final, NamedTuple, Protocol
from uuid import UUID, uuid5

import msgspec
import structlog

from services.timer.draft import Draft
from services.timer.held import Held
from services.timer.holdings import SOURCES_MOST, Holding, Holdings, SourceName
from services.timer.rulebook import Rulebook
from services.timer.silence import KEPT, Habit, Hearing, Silence, heard_through, rule_of, silence, spoke
from services.timer.source_store import Heard
from services.timer.write_set import HearingRow, SourceRow, WriteSet
from shared.errors import Unavailable
from shared.events import HEARTBEAT_TENANT, SECOND, Instant, Severity, SourceSilence, Span, rfc3339
from shared.metrics import Metrics
from shared.published import silence_headers

log = structlog.get_logger(__name__)
SPEAKER: Final = 0  # the partition whose owner watches, and in whose outbox silences go
ROUND_S: Final = 2.0
LOOKS: Final = 100  # quiet sources looked at in a round: one look takes 0.2 ms, and what is due must not wait for it
KEEP: Final[Span] = 10 * SECOND  # until the hearing is stored again: in less than BREAK, so that a takeover is no break
KEEP_HABITS: Final[Span] = 60 * SECOND  # the same for habits: what a crash forgets makes a source look slower
FORGET: Final[Span] = 3_600 * SECOND
_EVENTS: Final = UUID("6f1c9a52-7c0e-5d38-9a4b-31b7c8e5d204")
_BREAKS: Final = msgspec.msgpack.Decoder(tuple[tuple[int, int], ...])


class Rows(Protocol):
    """What is read of the tables of sources."""

    async def heard(self) -> Sequence[Heard]:
        """When each source was last heard."""

    async def sources(self, partition: int) -> Sequence[SourceRow]:
        """The habits that were stored."""

    async def hearing(self, partition: int) -> HearingRow | None:
        """When everything could be heard."""

    async def forget(self, before: Instant) -> None:
        """Remove what was last heard before."""


class Proof(Protocol):
    """Who proves that everything has been read."""

    async def proved(self, stop: asyncio.Event) -> Instant | None:
        """The instant of which it has."""


class Lane(Protocol):
    """Where frozen write sets go."""

    async def put(self, write_set: WriteSet, held: list[Held]) -> None:
        """Queue a write set."""


Between = Callable[[Callable[[], Awaitable[None]]], Awaitable[None]]


@dataclass(slots=True)
class _Known:
    """What is known of a source."""

    habit: Habit
    reported: Instant | None = None  # the last event before the silence that was told last
    stored: bool = False

    @property
    def is_silent(self) -> bool:
        """Whether it was told that nothing came since its last event."""
        return self.reported == self.habit.latest


class _Gone(NamedTuple):
    """A source that has gone quiet."""

    name: SourceName
    severity: Severity
    silence: Silence


class Sources:
    """Learns the habits of sources, and tells of silences."""

    def __init__(  # noqa: PLR0913 # one argument for each thing that it connects
        self,
        *,
        holdings: Holdings,
        rows: Rows,
        proof: Proof,
        between: Between,
        lane: Lane,
        rulebook: Callable[[], Rulebook],
        topic: str,
        now: Callable[[], Instant],
        metrics: Metrics,
    ) -> None:
        self._holdings = holdings
        self._rows = rows
        self._proof = proof
        self._between = between
        self._lane = lane
        self._rulebook = rulebook
        self._topic = topic
        self._now = now
        self._metrics = metrics
        self._begin_anew()

    def _begin_anew(self) -> None:
        self._holding: Holding | None = None
        self._known: dict[SourceName, _Known] = {}
        self._hearing: Hearing | None = None
        self._turn = 0  # of the quiet sources, the first to be looked at next
        self._kept_at: Instant = 0
        self._habits_kept_at: Instant = 0
        self._forgot_at: Instant = 0
        self._metrics.show_sources({})

    async def round(self, stop: asyncio.Event) -> float:
        """Listen once, and tell of who has gone quiet; the seconds until the next round."""
        holding = self._holdings.partitions.get(SPEAKER)
        if self._holding is not None and holding is not self._holding:  # somebody else watches, or did meanwhile
            self._begin_anew()
        if holding is None:
            return ROUND_S
        try:
            if self._holding is None:
                await self._begin(holding)
            proved = await self._proof.proved(stop)
            self._listen(await self._rows.heard())
            if proved is not None:
                self._hearing = heard_through(self._hearing, proved)
                await self._write(holding, self._hearing, await self._gone_quiet(self._hearing))
            await self._forget_old()
        except Unavailable as exc:
            log.warning("sources are not watched", error=str(exc))
        self._show()
        return ROUND_S

    async def _begin(self, holding: Holding) -> None:
        rows = await self._rows.sources(SPEAKER)
        hearing = await self._rows.hearing(SPEAKER)
        self._known = {(row.tenant, row.source): _known_of(row) for row in rows}
        self._hearing = None if hearing is None else Hearing(hearing.through, _BREAKS.decode(hearing.breaks))
        self._holding = holding

    def _listen(self, heard: Iterable[Heard]) -> None:
        for tenant, source, at in heard:
            if tenant == HEARTBEAT_TENANT:  # its silence is told by the alert that does not come
                continue
            known = self._known.get((tenant, source))
            if known is None and len(self._known) < SOURCES_MOST:
                self._known[tenant, source] = _Known(spoke(None, at))
            elif known is not None and at > known.habit.latest:
                if known.is_silent:
                    log.info("the source speaks again", tenant=tenant, source=source)
                known.habit, known.stored = spoke(known.habit, at), False

    async def _gone_quiet(self, hearing: Hearing) -> list[_Gone]:
        rules = self._rulebook().at(hearing.through).sources
        found: list[_Gone] = []
        for name in self._next_quiet(hearing.through):
            rule = rule_of(rules, name[1])
            quiet = silence(self._known[name].habit, hearing, rule)
            if quiet is not None:
                found.append(_Gone(name, rule.severity, quiet))
            await asyncio.sleep(0)  # let what is due have its turn
        return found

    def _next_quiet(self, through: Instant) -> list[SourceName]:
        # Each round the next ones, so that every one has its turn.
        quiet = [name for name, known in self._known.items() if not known.is_silent and known.habit.latest < through]
        start = self._turn if self._turn < len(quiet) else 0
        self._turn = start + LOOKS
        return list(islice(quiet, start, self._turn))

    async def _write(self, holding: Holding, hearing: Hearing, gone_quiet: Sequence[_Gone]) -> None:
        """Have silences told, and now and then what is known stored."""
        if gone_quiet or self._now() - self._kept_at >= KEEP:
            await self._between(partial(self._put, holding, hearing, gone_quiet))

    async def _put(self, holding: Holding, hearing: Hearing, gone_quiet: Sequence[_Gone]) -> None:
        if holding.lost:  # its next owner finds the same
            return
        draft = Draft(self._topic)
        for gone in gone_quiet:
            self._tell(draft, holding, hearing, gone)
        self._keep(draft, holding, hearing)
        write_set, held = draft.freeze()
        await self._lane.put(write_set, held)

    def _tell(self, draft: Draft, holding: Holding, hearing: Hearing, gone: _Gone) -> None:
        known = self._known[gone.name]
        event = _event(gone, known.habit.latest, hearing.through, self._now())
        headers = silence_headers(event_id=event_id(gone.name, known.habit.latest), silence=event, time=hearing.through)
        draft.send(holding, self._topic, event.key.encode(), headers, msgspec.json.encode(event))
        known.reported = known.habit.latest
        self._keep_habit(draft, holding, gone.name)
        log.warning("a source is silent", tenant=event.tenant, source=event.source, last_event_at=event.last_event_at)

    def _keep(self, draft: Draft, holding: Holding, hearing: Hearing) -> None:
        draft.keep(holding, HearingRow(SPEAKER, hearing.through, msgspec.msgpack.encode(hearing.breaks)))
        self._kept_at = self._now()
        if self._kept_at - self._habits_kept_at >= KEEP_HABITS:
            for name in [name for name, known in self._known.items() if not known.stored]:
                self._keep_habit(draft, holding, name)
            self._habits_kept_at = self._kept_at

    def _keep_habit(self, draft: Draft, holding: Holding, name: SourceName) -> None:
        draft.keep(holding, _row_of(name, self._known[name]))
        self._known[name].stored = True

    async def _forget_old(self) -> None:
        now = self._now()
        if now - self._forgot_at >= FORGET:
            self._known = {name: known for name, known in self._known.items() if known.habit.latest >= now - KEPT}
            await self._rows.forget(now - KEPT)
            self._forgot_at = now

    def _show(self) -> None:
        first = sorted(self._known.items(), key=lambda pair: pair[1].habit.since)
        self._metrics.show_sources({name: (known.habit.latest / SECOND, known.is_silent) for name, known in first})


def event_id(name: SourceName, last_event_at: Instant) -> str:
    """The CloudEvent's id of the silence of a source after an event: the same whichever process tells of it."""
    return str(uuid5(_EVENTS, "\n".join((*name, str(last_event_at)))))


def _event(gone: _Gone, last_event_at: Instant, through: Instant, now: Instant) -> SourceSilence:
    tenant, source = gone.name
    gap = gone.silence.usual_gap
    return SourceSilence(
        tenant=tenant,
        source=source,
        severity=gone.severity,
        last_event_at=rfc3339(last_event_at),
        quiet_s=gone.silence.quiet / SECOND,
        allowed_s=gone.silence.allowed / SECOND,
        usual_gap_s=None if gap is None else gap / SECOND,
        detected_at=rfc3339(now),
        evidence_through=rfc3339(through),
    )


def _row_of(name: SourceName, known: _Known) -> SourceRow:
    since, latest, minutes = known.habit
    packed = minutes.to_bytes((minutes.bit_length() + 7) // 8, "little")
    return SourceRow(SPEAKER, *name, since, latest, packed, known.reported)


def _known_of(row: SourceRow) -> _Known:
    habit = Habit(row.since, row.latest, int.from_bytes(row.minutes, "little"))
    return _Known(habit, row.reported, stored=True)
