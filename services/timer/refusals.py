"""Records that the timer cannot use: each becomes a dead letter, and too many of them are the end of reading."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Final

from services.timer.draft import Draft
from services.timer.holdings import Holding
from shared.deadletters import dead_letter
from shared.dlq_limit import DlqLimit, DlqMeter, Found
from shared.errors import BadRecord
from shared.kafka.connection import Record
from shared.metrics import Metrics

STAGE: Final = "timer"
_Place = tuple[int, int]  # partition, offset


class Refusals:
    """Buries what cannot be used, and weighs it against what can.

    Two kinds count on neither side, because they say nothing of the stream: events from before a cut or a deletion,
    and those of an item that was quarantined before, however many of them come.
    """

    def __init__(self, topic: str, limit: DlqLimit, metrics: Metrics, *, draft: Callable[[], Draft]) -> None:
        self._draft = draft  # the one that is open
        self._topic = topic  # of the dead letters
        self._meter = DlqMeter(limit)
        self._metrics = metrics
        self._bad: set[_Place] = set()  # what was refused since records were weighed last
        self._neither: set[_Place] = set()

    @property
    def stopped(self) -> str | None:
        """Why nothing more is read; None as long as it is."""
        return self._meter.stopped

    def bury(self, holding: Holding, record: Record, error: BadRecord) -> None:
        """Draft the dead letter of a record that cannot be used."""
        (self._neither if error.reason == "too_late" else self._bad).add(_place(record))
        letter = dead_letter(record, error, stage=STAGE)
        self._draft().send(holding, self._topic, letter.key, letter.headers, letter.value)
        self._metrics.dead_letters.labels(stage=STAGE, reason=error.reason).inc()

    def follows(self, record: Record) -> None:
        """Note that a record's item was quarantined before: what is buried of it is no news."""
        self._neither.add(_place(record))

    def weigh(self, records: Sequence[Record], *, but: Collection[Record] = ()) -> None:
        """Weigh *records*, which were all buried or folded, but for those that are weighed later.

        Raises:
            TooManyDeadLetters: nothing of the open write set must be written, so that the records stay unread.
        """
        bad, self._bad = self._bad - self._neither, set()
        neither, self._neither = self._neither, set()
        if not bad and not self._meter.suspects:
            return
        left_out = neither | {_place(record) for record in but}
        weighed = [record for record in records if _place(record) not in left_out]
        try:
            found = (Found(record.topic, _place(record) not in bad) for record in weighed)
            self._meter.keep(self._meter.weighed(found))
        finally:
            self._metrics.dlq_limit_used.labels(stage=STAGE).set(self._meter.used)


def _place(record: Record) -> _Place:
    return record.partition, record.offset
