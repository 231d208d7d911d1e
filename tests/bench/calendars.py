"""Questions a second to a calendar, in integers and in aware datetimes, beside other libraries in the same run.

Every library gets the same calendar and the same questions. Where an answer differs from ours, one example is shown;
docs/performance.md says who is right, and why.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, timedelta
from datetime import time as of_day
from typing import Any, Final
from zoneinfo import ZoneInfo

from rich.console import Console
from rich.table import Table

from services.timer.aware_hours import AwareHours
from services.timer.business_hours import BusinessHours
from services.timer.opening_times import HoursSpec, Window
from shared.events import instant
from shared.public_holidays import Region, public_holidays
from tests.bench.calendar_peers import Add, Office, Peer, peers
from tests.bench.work import Work

ZONE: Final = "Europe/Madrid"
HOLIDAYS: Final = tuple(sorted(day for year in range(2019, 2046) for day in public_holidays(Region("ES"), year)))
OFFICE: Final = Office(
    "office",
    ZONE,
    ((of_day(9), of_day(14)), (of_day(15), of_day(18))),  # with a lunch break
    (0, 1, 2, 3, 4),
    HOLIDAYS,
)
# Open while clocks change, on Sundays too, with a break that begins in the hour that is skipped or comes twice.
NIGHT: Final = Office(
    "night", ZONE, ((of_day(1), of_day(2, 30)), (of_day(3, 30), of_day(8))), tuple(range(7)), HOLIDAYS
)
SPANS: Final = {"1 h": timedelta(hours=1), "5 years": timedelta(hours=10_000)}  # of the office's business time
QUESTIONS: Final = 2_000
BUDGET_S: Final = 1.0  # for one figure
ROUND_S: Final = 0.005  # short, so that some rounds have the machine for themselves
Question = tuple[datetime, timedelta]
Figure = tuple[str, float, str]  # name, value, unit


async def calendar(work: Work) -> None:
    """Questions a second to a calendar beside other libraries, the best of many rounds, and whose answers differ."""
    console = Console()
    for name, value, unit in (
        *_speeds(console),
        *_differences(console, OFFICE),
        *_differences(console, NIGHT),
    ):
        work.series.add(name, value, unit)


def hours_of(office: Office) -> BusinessHours:
    """Our calendar."""
    windows = tuple(Window(_seconds(start), _seconds(end)) for start, end in office.windows)
    week = tuple(windows if day in office.days else () for day in range(7))
    return BusinessHours(HoursSpec(office.zone, week, frozenset(office.holidays)))


def questions(span: timedelta) -> list[Question]:
    """Instants of four years to the second, in the calendar's zone, each with a span."""
    pick, begin = random.Random(1), datetime(2024, 1, 1, tzinfo=UTC)
    starts = [begin + timedelta(seconds=pick.randrange(4 * 365 * 86_400)) for _ in range(QUESTIONS)]
    return [(start.astimezone(ZoneInfo(ZONE)), span) for start in starts]


def _speeds(console: Console) -> list[Figure]:
    hours = hours_of(OFFICE)
    ours = AwareHours(hours)
    others = [Peer("plazo, datetimes", ours.add, ours.between), *peers(OFFICE, console.print)]
    rows = {"plazo, integers": _of_integers(hours)} | {peer.name: _of_datetimes(peer, ours.add) for peer in others}
    kinds = [f"{what}, {span}" for span in SPANS for what in ("add", "between")]
    table = Table("answers a second, in one process", *kinds)
    for name, row in rows.items():
        table.add_row(name, *(f"{rate:,.{0 if rate > 10 else 2}f}" if rate else "–" for rate in row))
    console.print(table)
    figures: list[Figure] = [
        (f"calendar_{name}_per_s", min(rows[f"plazo, {name}"]), "answers/s, the slowest kind")
        for name in ("integers", "datetimes")
    ]
    for peer in others[1:]:
        pairs = zip(rows["plazo, datetimes"], rows[peer.name], strict=True)
        least = min(own / theirs for own, theirs in pairs if theirs)
        name = f"calendar_times_{peer.name.split()[0]}"
        figures.append((name, least, "× as fast, at the kind where it is least"))
    return figures


def _of_integers(hours: BusinessHours) -> list[float]:
    rates = []
    for span in SPANS.values():
        asked = [(instant(start), round(span.total_seconds() * 1_000_000)) for start, span in questions(span)]
        pairs = [(start, hours.add(start, each)) for start, each in asked]
        rates += [_rate(hours.add, asked), _rate(hours.between, pairs)]
    return rates


def _of_datetimes(peer: Peer, add: Add) -> list[float]:
    rates = []
    for span in SPANS.values():
        asked = questions(span)
        pairs = [(start, add(start, each)) for start, each in asked]
        rates += [_rate(peer.add, asked), _rate(peer.between, pairs) if peer.between else 0.0]
    return rates


def _rate(ask: Callable[[Any, Any], object], asked: Sequence[tuple[Any, Any]]) -> float:
    # The best of as many short rounds as fit into the budget: whatever else the machine does can only take time away.
    ask(*asked[0])  # the first answer compiles years
    some, taken = asked[:1], _timed(ask, asked[:1])
    while taken < ROUND_S and len(some) < len(asked):  # so many that a round is worth its stopwatch
        some = asked[: 2 * len(some)]
        taken = _timed(ask, some)
    best, until = taken, time.perf_counter() + BUDGET_S
    while time.perf_counter() < until:
        best = min(best, _timed(ask, some))
    return len(some) / best


def _timed(ask: Callable[[Any, Any], object], asked: Sequence[tuple[Any, Any]]) -> float:
    begun = time.perf_counter()
    for one, other in asked:
        ask(one, other)
    return time.perf_counter() - begun


def _differences(console: Console, office: Office) -> list[Figure]:
    ours = AwareHours(hours_of(office))
    figures: list[Figure] = []
    for peer in peers(office, lambda _text: None):
        later, wrong, count = _compared(peer, ours)
        for what, found in (("name the next opening instead of the close", later), ("differ", wrong)):
            if found:
                console.print(f"{peer.name}, {office.name}: {len(found)} of {count} answers {what}, as\n  {found[0]}")
        name = f"calendar_{office.name}_differ_{peer.name.split()[0]}"
        figures.append((name, len(wrong) + len(later), f"of {count:,} answers"))
    return figures


def _compared(peer: Peer, ours: AwareHours) -> tuple[list[str], list[str], int]:
    # (answers that are later by closed time only, other ones that differ, how many were compared)
    later, wrong, count = list[str](), list[str](), 0
    until = time.perf_counter() + 5 * BUDGET_S
    for start, span in _near_changes(random.Random(2024)):
        if time.perf_counter() > until:
            break
        count += 1
        got, right = _answer(peer.add, start, span), ours.add(start, span)
        if got != right:
            is_opening = isinstance(got, datetime) and not ours.between(right, got)
            (later if is_opening else wrong).append(f"add({start}, {span}): {got}, ours {right}")
    return later, wrong, count


def _answer(add: Add, start: datetime, span: timedelta) -> datetime | str:
    try:
        return add(start, span).astimezone(start.tzinfo)
    except Exception as exc:  # noqa: BLE001 # whatever another library fails with is its answer
        return f"{type(exc).__name__}: {exc}"


def _near_changes(pick: random.Random) -> list[Question]:
    # Half anywhere, half in the days around the changes of clocks; spans of whole hours, as pandas wants them.
    zone, changes = ZoneInfo(ZONE), [date(2026, 3, 29), date(2026, 10, 25), date(2027, 3, 28), date(2027, 10, 31)]
    found = []
    for number in range(QUESTIONS):
        near = datetime.combine(pick.choice(changes), of_day(), tzinfo=UTC) - timedelta(days=3)
        far = datetime(2024, 1, 1, tzinfo=UTC)
        begin, seconds = (near, 5 * 86_400) if number % 2 else (far, 4 * 365 * 86_400)
        start = begin + timedelta(seconds=pick.randrange(seconds))
        found.append((start.astimezone(zone), timedelta(hours=pick.randint(1, 30))))
    return found


def _seconds(at: of_day) -> int:
    return at.hour * 3600 + at.minute * 60
