"""Which notices are told together: the options of routes, and the group that they put a notice into. PURE.

The options mean what they mean in Prometheus's Alertmanager: the first notice of a group waits `group_wait` for others,
those after it until `group_interval` has passed since the group was last told, and what is still open is told again
after `repeat_interval`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import msgspec
from pydantic import field_validator

from services.notifier.delivery import Notice
from services.notifier.endpoints.values import Strict
from services.notifier.lengths import Length
from services.notifier.matching import NOTHING, texts, value_of
from shared.breach_records import PublishedRecord
from shared.events import SECOND, Span

WAIT: Final[Span] = 30 * SECOND
INTERVAL: Final[Span] = 300 * SECOND
SHORTEST_REPEAT: Final[Span] = 60 * SECOND
ALONE: Final = "..."  # in `group_by`: every notice is a group of its own
VALUE_CHARACTERS: Final = 200  # of a field that a group is made by; longer values are one group


@dataclass(frozen=True, slots=True)
class Grouping:
    """How a route groups."""

    by: tuple[str, ...] = ()  # fields of the breach or attributes of the item; none: all that the route takes is one
    wait: Span = WAIT
    interval: Span = INTERVAL
    repeat: Span | None = None


class GroupingOptions(Strict):
    """The options as `defaults` and routes have them; what is not given is inherited, and without any nothing waits."""

    group_by: tuple[str, ...] | None = None
    group_wait: Length | None = None
    group_interval: Length | None = None
    repeat_interval: Length | None = None

    @field_validator("group_by")
    @classmethod
    def _alone(cls, group_by: tuple[str, ...] | None) -> tuple[str, ...] | None:
        if group_by and ALONE in group_by and group_by != (ALONE,):
            raise ValueError(f"expected fields, or {ALONE!r} alone: nothing is told together then")
        return group_by

    @field_validator("repeat_interval")
    @classmethod
    def _seldom(cls, repeat_interval: Span | None) -> Span | None:
        if repeat_interval is not None and repeat_interval < SHORTEST_REPEAT:
            raise ValueError("expected at least 1m: what is open would be told again and again")
        return repeat_interval

    def grouping(self, defaults: GroupingOptions) -> Grouping | None:
        """How that groups, with *defaults* where it says nothing; None where nothing waits for others."""
        by, wait, interval, repeat = (
            getattr(defaults, name) if getattr(self, name) is None else getattr(self, name)
            for name in GroupingOptions.model_fields
        )
        if by == (ALONE,) or by is wait is interval is repeat is None:
            return None
        return Grouping(by or (), WAIT if wait is None else wait, INTERVAL if interval is None else interval, repeat)


class Group(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What the key of a group says: whose it is, which route's (None: no route's), and what its members share."""

    receiver: str
    route: str | None
    shared: tuple[tuple[str, str], ...] = ()  # name and value
    label: str = ""  # for people, of a group that is no route's

    @property
    def key(self) -> str:
        """The group as a text; the same for every member."""
        return _encoder.encode(self).decode()

    @property
    def words(self) -> str:
        """What its members share, for people: `customer acme, policy gold`; empty where that is nothing."""
        return self.label or ", ".join(f"{name} {value}" for name, value in self.shared)


_encoder: Final = msgspec.json.Encoder()
_decoder: Final = msgspec.json.Decoder(Group)


def group_of(grouping: Grouping, notice: Notice, record: PublishedRecord) -> Group:
    """The group into which *grouping* puts *notice* of *record*."""
    return Group(notice.receiver, notice.route, tuple((name, _value(record, name)) for name in grouping.by))


def group_in(key: str) -> Group:
    """The group that *key* names."""
    return _decoder.decode(key)


def _value(record: PublishedRecord, name: str) -> str:
    return " ".join(sorted(texts(value_of(record, name)) - {NOTHING}))[:VALUE_CHARACTERS]
