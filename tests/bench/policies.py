"""The policies of the benchmarks: the sample ones, and some whose clocks fall due when a benchmark wants it.

The sample calendars close at night; the clocks that are to fall due now need one that is open now. So it is open all
week but for an hour that is far from now, has holidays, and is open on these days whether they are holidays or not.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo

import yaml

from deploy.local import __file__ as local
from shared.events import SECOND, Instant, Span, moment

SAMPLE: Final = Path(local).with_name("policies.yaml")
ZONE: Final = "Europe/Madrid"
PROBE: Final[Span] = 3_600 * SECOND  # the first response that a probe is promised
FAR_H: Final = 12  # hours until the calendar closes


def write(folder: Path, now: Instant) -> None:
    """Write the sample policies and those of the benchmarks to *folder*."""
    folder.mkdir()
    (folder / SAMPLE.name).write_text(SAMPLE.read_text())
    (folder / "bench.yaml").write_text(yaml.safe_dump(_document(now), sort_keys=False))


def _document(now: Instant) -> dict[str, object]:
    local_now = moment(now).astimezone(ZoneInfo(ZONE))
    windows = _windows((local_now.hour + FAR_H) % 24)
    days = [local_now.date() + timedelta(days=away) for away in (-1, 0, 1)]
    desk = {
        "time_zone": ZONE,
        "hours": {"mon-sun": windows},
        "holidays": {"country": "ES", "subdivision": "MD"},
        "exceptions": {day.isoformat(): windows for day in days},
    }
    probes = {"first_response": "1h", "resolution": {"within": "8h", "warn_at": ["75%"]}}
    # Business time of the sample calendar, which is open for 41 hours a week: due in some months.
    idle = {
        "first_response": {"within": "300h", "warn_at": ["50%", "80%"]},
        "resolution": {"within": "900h", "warn_at": ["75%"]},
    }
    return {
        "calendars": {"desk": desk},
        "policies": [_policy("probe", "desk", probes), _policy("idle", "madrid", idle)],
    }


def _windows(closed: int) -> list[str]:
    # The hour that begins at *closed* is left out; a window without an end before midnight ends with the day.
    before = [f"00:00-{closed:02}:00"] if closed else []
    after = [f"{closed + 1:02}:00-24:00"] if closed < 23 else []
    return before + after


def _policy(group: str, calendar: str, targets: Mapping[str, object]) -> dict[str, object]:
    return {
        "name": f"{group}-tickets",
        "applies_to": {"kind": "ticket", "group": group},
        "calendar": calendar,
        "targets": targets,
        "pause_when": {"status": ["pending", "on_hold"]},
    }
