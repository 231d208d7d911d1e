"""An explanation as a person reads it in a terminal of any width; nothing of it is said by colour alone. PURE."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Final, TypeVar

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from services.cli.story import Chapter, chapters, event_name, name_of, outcome
from services.timer.clock import Clock
from services.timer.explaining import wording
from services.timer.explaining.accounting import STANDING, Counted, total
from services.timer.explaining.explanation import ClockStory, Decision, Explanation
from services.timer.explaining.policy_choice import Verdict, printable, shown
from services.timer.explaining.wording import stamp
from services.timer.policy_values import written

SPANS: Final = 24  # of a clock
DAYS: Final = 6  # spans between two pauses; a year of daily closings is 700
CHAPTERS: Final = 60
CLOCKS: Final = 12
UNMATCHED: Final = 5  # policies that do not match; the nearest come first
_STYLES: Final = {"breached": "bold red", "met": "green", "running": "cyan", "paused": "yellow"}
Entry = TypeVar("Entry")


def explained(found: Explanation) -> Group:
    """The whole explanation: the item, what happened, then each clock."""
    return Group(*_parts(found))


def _parts(found: Explanation) -> Iterator[RenderableType]:
    yield Text.assemble(
        (printable(found.item), "bold"), f" · {found.state.stage} · as of {stamp(found.at)}, all times UTC"
    )
    attributes = [f"{name}: {shown(value)}" for name, value in sorted(found.state.attributes.items())]
    count = len(found.happenings)
    known = f"{count} {'event' if count == 1 else 'events'} with a time up to then; when they arrived is not kept"
    yield _fields([("Has", Text(", ".join(attributes) or "no attributes")), ("Known", Text(known))])
    yield Text("\nWhat happened", "bold")
    yield _timeline(chapters(found))
    chosen = _most_telling(found.clocks)
    for story in chosen:
        yield _heading(story.clock)
        yield _fields(list(_of_clock(story)))
    if left_out := len(found.clocks) - len(chosen):
        yield Text(
            f"\n{left_out} more clocks, that ended in time or long ago; --clock METRIC or METRIC#CYCLE shows one"
        )
    for open_cycle in found.unmeasured:
        cycle = open_cycle.cycle
        yield Text.assemble(
            "\n", (cycle.metric, "bold"), f" · open since {stamp(cycle.started_at)}, measured by nothing"
        )
        yield _fields([("Policy", _verdicts(open_cycle.decision.verdicts))])


def _most_telling(found: Sequence[ClockStory]) -> list[ClockStory]:
    """The clocks that are shown: all, or of many those that are open, then those that breached, then the latest."""
    if len(found) <= CLOCKS:
        return list(found)
    order = sorted(found, key=lambda story: (story.clock.stopped_at is None, story.clock.breached_at is not None))
    chosen = {id(story) for story in order[-CLOCKS:]}
    return [story for story in found if id(story) in chosen]


def _heading(clock: Clock) -> Text:
    return Text.assemble("\n", (name_of(clock), "bold"), " · ", (outcome(clock), _STYLES.get(clock.state, "")))


def _of_clock(story: ClockStory) -> Iterator[tuple[str, RenderableType]]:
    clock, decision = story.clock, story.decisions[-1]
    beside = ", beside the policy that wins" if clock.beside else ""
    terms = f"{written(clock.target)} in {clock.calendar} ({story.derivation.time_zone}), {clock.severity}{beside}"
    yield "Promise", Text(f"{terms}, by {clock.policy} of version {clock.version}")
    yield "Metric", Text(wording.definition(decision.policies.metrics[clock.metric]))
    yield "Policy", Group(*_decided(decision, len(story.decisions)), _verdicts(decision.verdicts))
    yield "Time", _spans(story)
    elapsed, paused = written(story.elapsed), written(story.paused)
    yield (
        "Counted",
        Text(f"{elapsed} elapsed + {paused} paused = {written(story.elapsed + story.paused)} of open time"),
    )
    yield "Due", Text(wording.derivation(story.derivation))
    if warnings := list(_warnings(clock)):
        yield "Warnings", Text("\n".join(warnings))


def _decided(decision: Decision, count: int) -> Iterator[Text]:
    if count > 1:
        yield Text(f"decided {count} times, last at {stamp(decision.at)} by {event_name(decision.event)}:")


def _verdicts(found: Sequence[Verdict]) -> RenderableType:
    met = [each for each in found if each.outcome != "no match"]
    unmet = [each for each in found if each.outcome == "no match" and not _is_for_another_kind(each)]
    lines = [f"{verdict.policy} {_WORDS[verdict.outcome]}: {_because(verdict)}" for verdict in met + unmet[:UNMATCHED]]
    if len(unmet) > UNMATCHED:
        lines.append(f"{len(unmet) - UNMATCHED} more do not match")
    if others := len(found) - len(met) - len(unmet):
        lines.append(f"{others} more for other kinds of items")
    return _listed(lines)


def _is_for_another_kind(verdict: Verdict) -> bool:
    return verdict.outcome == "no match" and any(
        each.attribute == "kind" and not each.holds for each in verdict.conditions
    )


_WORDS: Final = {
    "won": "wins",
    "beside": "applies too",
    "outranked": "loses",
    "no target": "is silent",
    "no match": "does not match",
}


def _because(verdict: Verdict) -> str:
    if verdict.outcome not in ("won", "beside"):
        return verdict.because
    conditions = [*map(str, verdict.conditions), *([] if verdict.when is None else [verdict.when])]
    held = ", ".join(conditions) or "it covers every item"
    chosen = [(verdict.target_by, written(verdict.target or 0)), (verdict.calendar_by, verdict.calendar)]
    by = [f"; {what} because {condition}" for condition, what in chosen if condition is not None]
    return f"{held} ({verdict.because}){''.join(by)}"


def _spans(story: ClockStory) -> RenderableType:
    rows: list[tuple[str, str]] = []
    for each in _shortened(list(_without_days(story.spans)), SPANS):
        if isinstance(each, list):
            rows.append(("…", _summary(each)))
        else:
            because = f": {each.because}" if each.because else ""
            amount = "" if each.state == "closed" else f" {written(each.business)}"
            rows.append((stamp(each.start), f"{each.state}{amount}{because}"))
    clock = story.clock
    end = story.spans[-1].end if story.spans else clock.started_at
    rows.append((stamp(end), "now" if clock.stopped_at is None else clock.phase))
    return _pairs(rows)


def _without_days(spans: Sequence[Counted]) -> Iterator[Counted | list[Counted]]:
    """The spans, where many in a row only say that the calendar opened and closed the middle of them as a list."""
    for pauses, group in groupby(spans, key=lambda each: each.state in ("paused", "excluded")):
        some = list(group)
        yield from some if pauses else _shortened(some, DAYS)


def _summary(entries: Sequence[Counted | list[Counted]]) -> str:
    spans = [one for each in entries for one in (each if isinstance(each, list) else [each])]
    closed = sum(each.state == "closed" for each in spans)
    ran = written(total(spans, "running"))
    stood = [(state, total(spans, state)) for state in STANDING]
    standing = "".join(f", {state} {written(time)}" for state, time in stood if time)
    return f"{len(spans)} more: running {ran}{standing}, closed {closed} times"


def _warnings(clock: Clock) -> Iterator[str]:
    for warned in clock.warned:
        yield f"{warned.label} given {stamp(warned.at)}, after {written(warned.elapsed)}"
    if clock.phase == "running" and clock.breached_at is None:
        for at, elapsed, label in clock.pending:
            yield f"{label} to come {stamp(at)}, after {written(elapsed)}"


def _timeline(found: Sequence[Chapter]) -> RenderableType:
    rows = []
    for each in _shortened(found, CHAPTERS):
        if isinstance(each, list):
            rows.append(("…", f"{len(each)} more, from {stamp(each[0].at)} to {stamp(each[-1].at)}"))
        else:
            rows.append((stamp(each.at), "\n".join(each.lines)))
    return Padding(_pairs(rows), (0, 0, 0, 2))


def _shortened(entries: Sequence[Entry], most: int) -> Iterator[Entry | list[Entry]]:
    """The first and the last of *entries*, and between them, as a list, what would be too much to read."""
    if len(entries) <= most:
        yield from entries
    else:
        yield from entries[: most // 2]
        yield list(entries[most // 2 : 1 - most // 2])
        yield from entries[1 - most // 2 :]


def _fields(rows: Sequence[tuple[str, RenderableType]]) -> RenderableType:
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim", no_wrap=True, min_width=8)
    table.add_column(overflow="fold")
    for name, value in rows:
        table.add_row(name, value)
    return Padding(table, (0, 0, 0, 2))


def _pairs(rows: Sequence[tuple[str, str]]) -> RenderableType:
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for first, second in rows:
        table.add_row(Text(first), Text(second))
    return table


def _listed(lines: Sequence[str]) -> RenderableType:
    table = Table.grid(padding=(0, 1))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for line in lines:
        table.add_row("-", Text(line))
    return table
