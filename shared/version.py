"""The version of this program, as `pyproject.toml` has it, and of the packages that know of clocks and holidays."""

from __future__ import annotations

from importlib.metadata import version
from typing import Final

import tzdata

VERSION: Final = "0.1.0"
TZDATA: Final[str] = tzdata.IANA_VERSION  # of the time zone database, like 2026f
HOLIDAYS: Final = version("holidays")
