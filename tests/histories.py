"""Histories of one item and what became of its clocks, as short texts that a test can show in full.

An event is written `[+DAYS ]HH:MM[:SS] TYPE [name=value …]`; the day is Monday 2026-01-05 in UTC, plus DAYS. `author`,
`public`, `sequence`, `id` and `source` are fields of the event, and on a snapshot `created_at` (`[+DAYS_]HH:MM`) and
`complete`; every other name is an attribute; `none` removes one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from services.timer import backtest
from services.timer.backtest import Row
from services.timer.ledger import Output
from services.timer.policy_file import load
from services.timer.policy_set import PolicySet
from services.timer.rulebook import Rulebook
from shared.events import SECOND, Event, Instant, Snapshot, Span, parse_instant

DAY: Final[Span] = 86_400 * SECOND
MONDAY: Final[Instant] = parse_instant("2026-01-05T00:00:00Z")
CALENDARS: Final = """
calendars:
  always: {time_zone: UTC, hours: {mon-sun: ["00:00-24:00"]}}
  office: {time_zone: UTC, hours: {mon-fri: ["09:00-17:00"]}}
  never: {time_zone: UTC, hours: {mon-sun: []}, exceptions: {"2026-01-05": ["00:00-01:00"]}}
"""


def policies(text: str, metrics: str = "") -> PolicySet:
    """The policies in a text, which may name the calendars `always`, `office` and `never`, and metrics in another."""
    return load({"policies.yaml": policy_file(text, metrics)})


def policy_file(text: str, metrics: str = "") -> str:
    """The policy file that a text of policies, one of metrics and the calendars make."""
    return f"{CALENDARS}policies:\n{_indented(text)}\nmetrics:\n{_indented(metrics or '{}')}\n"


def rulebook(text: str, metrics: str = "") -> Rulebook:
    """A rulebook with the policies in a text as its only version, and the metrics in another."""
    return Rulebook(((0, policies(text, metrics)),))


def _indented(text: str) -> str:
    return "\n".join(f"  {line}" for line in text.strip("\n").splitlines())


def at(text: str) -> Instant:
    """The instant of `[+DAYS ]HH:MM[:SS]`."""
    days, _, time = text.rpartition(" ")
    hours, minutes, seconds = (*time.split(":"), "0")[:3]
    return (
        MONDAY
        + int(days or 0) * DAY
        + (int(hours) * 3600 + int(minutes) * 60) * SECOND
        + round(float(seconds) * SECOND)
    )


def event(text: str, kind: str = "ticket", number: int = 0) -> Event:
    """The event in a text."""
    words = text.split()
    place = 2 if words[0].startswith("+") else 1
    named: dict[str, Any] = dict(word.split("=") for word in words[place + 1 :])
    fields: dict[str, Any] = {"id": f"{number:03}", "source": "/desk"}
    fields |= {name: named.pop(name) for name in ("author", "id", "source") if name in named}
    fields["public"] = named.pop("public", "true") == "true"
    fields["sequence"] = int(named.pop("sequence", 0))
    if words[place] == "snapshot":
        since = named.pop("created_at", None)
        created_at = None if since is None else at(since.replace("_", " "))
        fields["snapshot"] = Snapshot(created_at, named.pop("complete", "false") == "true")
    fields["attributes"] = {name: None if value == "none" else value for name, value in named.items()}
    time = at(" ".join(words[:place]))
    return Event(time=time, type=f"{kind}.{words[place]}", tenant="default", kind=kind, subject="1", **fields)  # type: ignore[arg-type]  # the tests name kinds that exist


def history(text: str, kind: str = "ticket") -> list[Event]:
    """The events in a text, one a line, with ids in the order of the lines."""
    lines = [line.strip() for line in text.strip().splitlines()]
    return [event(line, kind, number) for number, line in enumerate(lines, start=1)]


def clocks(events: Sequence[Event], rules: Rulebook, until: str = "+28 00:00") -> list[str]:
    """What became of each clock, one line each."""
    return [shown(row) for row in backtest.run(events, rules, at(until))]


def shown(row: Row) -> str:
    """A clock as a text: `metric cycle policy state start–stop due breached elapsed paused`, without what is not."""
    parts = [row.metric, str(row.cycle), row.policy, row.state, f"{time(row.started_at)}–{time(row.stopped_at)}"]
    parts += [f"due {time(row.due_at)}"] if row.due_at is not None else []
    parts += [f"breached {time(row.breached_at)}"] if row.breached_at not in (None, row.due_at) else []
    parts += [f"elapsed {span(row.elapsed)}"]
    parts += [f"paused {span(row.paused)}"] if row.paused else []
    return " ".join(parts)


def told(output: Output) -> str:
    """An output as a text: what, metric, when, and on which evidence."""
    name = output.type.split(".", 1)[1].removesuffix(".v1")
    warning = f" {output.event.warning}" if output.event.warning else ""
    return f"{name} {output.event.metric}{warning} {time(output.time)}"


def time(instant: Instant | None) -> str:
    """The inverse of `at`; nothing for None."""
    if instant is None:
        return ""
    days, rest = divmod(instant - MONDAY, DAY)
    return (f"+{days} " if days else "") + span(rest).rjust(5, "0")


def span(length: Span) -> str:
    """A span as `H:MM`, with `:SS` where there are seconds."""
    seconds, rest = divmod(length, SECOND)
    assert rest == 0
    text = f"{seconds // 3600}:{seconds // 60 % 60:02}"
    return f"{text}:{seconds % 60:02}" if seconds % 60 else text
