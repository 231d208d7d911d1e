"""Who reads a message: the language and the time zone, and how times and lengths of time are written there. PURE."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from babel import Locale, UnknownLocaleError
from babel.dates import format_skeleton
from babel.lists import format_list
from babel.units import format_unit

from services.notifier.wording import words
from shared.events import moment, parse_instant

FALLBACK: Final = "en"  # every message exists in this language
_UNITS: Final = (("day", 86_400), ("hour", 3_600), ("minute", 60), ("second", 1))


@dataclass(frozen=True, slots=True)
class Reader:
    """A language, as `es` or `es-MX`, and a time zone, as `Europe/Madrid`.

    Raises:
        ValueError: no such language or zone is known.
    """

    language: str = FALLBACK
    zone: str = "UTC"
    _locale: Locale = field(init=False, compare=False, repr=False)
    _zone: ZoneInfo = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_locale", locale_of(self.language))
        object.__setattr__(self, "_zone", zone_of(self.zone))

    @property
    def languages(self) -> tuple[str, ...]:
        """The languages to look for a template in, the reader's own first."""
        own = self.language.partition("-")[0]
        return tuple(dict.fromkeys((self.language, own, FALLBACK)))

    def time(self, at: str | None) -> str:
        """An RFC 3339 instant with its day, to the second, and the zone: `Mon, Jan 5, 2026, 13:00:00 CET`."""
        if not at:
            return ""
        local = self._local(at)
        day, clock = format_skeleton("yMMMEd", local, locale=self._locale), self._clock(local)
        return f"{day}, {clock} {self._name(local)}"

    def clock(self, at: str | None, beside: str | None = None) -> str:
        """An RFC 3339 instant in short: the day stands in front unless it is that of *beside*: `13:00:00 CET`."""
        if not at:
            return ""
        local = self._local(at)
        same = beside and self._local(beside).date() == local.date()
        day = "" if same else f"{format_skeleton('MMMd', local, locale=self._locale)}, "
        return f"{day}{self._clock(local)} {self._name(local)}"

    def duration(self, seconds: float) -> str:
        """A length of time in words, in its two largest units, without a sign: `1 hour and 30 minutes`."""
        return _duration(abs(seconds), str(self._locale))

    def _local(self, at: str) -> datetime:
        return moment(parse_instant(at)).astimezone(self._zone)

    def _clock(self, local: datetime) -> str:
        return format_skeleton("Hms", local, locale=self._locale)

    def _name(self, local: datetime) -> str:
        # Some zones have no letters of their own: São Paulo's is `-03`.
        name = local.tzname() or ""
        return f"UTC{name}" if name[:1] in "+-" else name


def locale_of(language: str) -> Locale:
    """The locale of a language.

    Raises:
        ValueError: there is none.
    """
    try:
        return Locale.parse(language, sep="-")
    except (UnknownLocaleError, ValueError) as exc:
        raise ValueError(f"expected a language like en, es or pt-BR, got {language!r:.40}") from exc


def zone_of(name: str) -> ZoneInfo:
    """The time zone of a name.

    Raises:
        ValueError: there is none.
    """
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as exc:  # a folder of zones is an OSError
        raise ValueError(f"expected a time zone like Europe/Madrid, got {name!r:.40}") from exc


@lru_cache(maxsize=1024)  # a length takes 100 µs to put into words, and most are the targets of a few policies
def _duration(seconds: float, locale: str) -> str:
    if seconds < 10 and seconds != int(seconds):
        return words(seconds)  # `3 ms` and `2.5 s` are written alike everywhere
    left = round(seconds)
    parts: list[str] = []
    for unit, size in _UNITS:
        count, left = divmod(left, size)
        if count or (unit == "second" and not parts):
            parts.append(format_unit(count, f"duration-{unit}", length="long", locale=locale))
    return format_list(parts[:2], style="standard", locale=locale)
