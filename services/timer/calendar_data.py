"""Calendar data: the rules of time zones and the public holidays that a version of the policies is computed with.

They change: governments move their clocks and their holidays, and the packages that tell of it are upgraded. A version
of the policies keeps what its calendars use, so that a clock that is pinned to it gets the same answers for ever.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import date
from hashlib import sha256
from typing import Any, Final

import msgspec

from services.timer.opening_times import KEPT_YEARS, HoursSpec, zone_rules
from shared.public_holidays import Region, public_holidays
from shared.version import HOLIDAYS, TZDATA

INSTALLED: Final = f"tzdata {TZDATA}, holidays {HOLIDAYS}"


class CalendarData(msgspec.Struct, frozen=True):
    """What decides about open hours beside what the user wrote."""

    name: str  # the packages that it was taken from: `tzdata 2026f, holidays 0.109`
    zones: dict[str, bytes] = {}  # name -> TZif (RFC 9636)
    public_holidays: dict[str, tuple[date, ...]] = {}  # `ES` or `ES/MD` -> those of KEPT_YEARS, sorted

    @property
    def fingerprint(self) -> dict[str, Any]:
        """Plain data that is equal where the answers are, whatever the packages' versions."""
        return {
            "zones": {name: sha256(rules).hexdigest() for name, rules in self.zones.items()},
            "public_holidays": {region: list(map(str, days)) for region, days in self.public_holidays.items()},
        }

    def given_to(self, spec: HoursSpec) -> HoursSpec:
        """The calendar, computed with this data; what is not in here, the installed packages answer."""
        kept = {region: self.public_holidays.get(_written(region)) for region in spec.regions}
        return replace(
            spec,
            zone_rules=self.zones.get(spec.time_zone),
            public_holidays={region: frozenset(days) for region, days in kept.items() if days is not None},
        )

    def has_region(self, country: str, subdivision: str | None) -> bool:
        """Whether the public holidays of the place are in here."""
        return _written(Region(country, subdivision)) in self.public_holidays


NO_DATA: Final = CalendarData(INSTALLED)  # nothing is kept: the installed packages answer


def installed_data(specs: Iterable[HoursSpec]) -> CalendarData:
    """What the calendars use, as the installed packages have it."""
    zones: set[str] = set()
    regions: set[Region] = set()
    for spec in specs:
        zones.add(spec.time_zone)
        regions |= spec.regions
    return CalendarData(
        INSTALLED,
        {name: zone_rules(name) for name in sorted(zones)},
        {_written(region): _holidays(region) for region in sorted(regions, key=_written)},
    )


def encode(data: CalendarData) -> str:
    """The data as JSON, as the database keeps it; bytes are base64."""
    return msgspec.json.encode(data).decode()


def decode(text: str) -> CalendarData:
    """What `encode` has written.

    Raises:
        msgspec.ValidationError: it has not.
    """
    return msgspec.json.decode(text, type=CalendarData)


def _holidays(region: Region) -> tuple[date, ...]:
    return tuple(sorted(day for year in KEPT_YEARS for day in public_holidays(region, year)))


def _written(region: Region) -> str:
    return region.country if region.subdivision is None else f"{region.country}/{region.subdivision}"
