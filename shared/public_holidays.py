"""The public holidays of a place. PURE."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from warnings import catch_warnings, simplefilter


@dataclass(frozen=True, slots=True)
class Region:
    """A place whose public holidays close a calendar."""

    country: str  # ISO 3166-1 alpha-2
    subdivision: str | None = None  # ISO 3166-2 without the country


@lru_cache(maxsize=4096)
def public_holidays(region: Region, year: int) -> frozenset[date]:
    """The public holidays of a region in a year, the days observed instead of them among them.

    Raises:
        NotImplementedError: the country or the subdivision is not known.
    """
    # Half of a short command's start would go into it, and most calendars name no country.
    from holidays import country_holidays  # noqa: PLC0415  # as said above

    with catch_warnings():
        # Of some countries it knows a few decades only, and says so at every other year: India's end in 2035.
        simplefilter("ignore", UserWarning)
        return frozenset(country_holidays(region.country, subdiv=region.subdivision, years=year))
