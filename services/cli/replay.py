"""`./plazo replay`: recorded events onto a topic again, at their own pace, faster, or at once."""

from __future__ import annotations

import os
import sys
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from itertools import tee
from pathlib import Path
from typing import Annotated, Any, Final, Protocol

import msgspec
import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from services.cli.files import decode_line, read_lines
from services.cli.instants import present
from services.cli.pacing import Recording, Speed, parse_speed, recording, schedule, shift
from services.cli.running import load_here
from shared.configuration import CommonSettings
from shared.errors import BadDocument, Problem, Refused
from shared.events import SECOND, Event, Instant, Span, rfc3339
from shared.kafka.connection import Connection, Outgoing
from shared.kafka.offsets import Offsets
from shared.kafka.producer import Producer
from shared.lifecycle import Signals, pause, run
from shared.logs import configure

_BATCH: Final = 1_000
_NAMED: Final = 20  # mistakes that are told; who has more of them needs no list
_HEADERS: Final = (("content-type", b"application/cloudevents+json"),)
_OBJECT: Final = msgspec.json.Decoder(dict[str, Any])
_ENCODER: Final = msgspec.json.Encoder()


class Clock(Protocol):
    """The time that paces a replay."""

    def now(self) -> Instant:
        """The present instant."""

    async def sleep(self, span: Span) -> bool:
        """Wait; False when waiting was ended, so that nothing more should be done."""


@dataclass(frozen=True, slots=True)
class Due:
    """A record, and when it is sent, counted from the start."""

    after: Span
    record: Outgoing


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("replay")(replay)


def replay(
    file: Annotated[Path, typer.Argument(help="JSON Lines of structured CloudEvents, gzip allowed.")],
    topic: Annotated[str, typer.Option(help="The upstream topic that gets them.")],
    speed: Annotated[str, typer.Option(help="realtime, max, or a factor like x60.")] = "realtime",
    shift_to_now: Annotated[
        bool, typer.Option("--shift-to-now", help="Move all times, so that the events happen now.")
    ] = False,
) -> None:
    """Send recorded events to an upstream topic again, keyed by item, in the order of the file.

    The whole file is checked before anything is sent. Events keep their ids, so an installation that knows them from
    an earlier replay counts them no second time. It needs KAFKA_BOOTSTRAP, or a `./plazo run` in the same folder.

    \b
    Example:
      ./plazo replay docs/examples/events.jsonl --topic helpdesk.events --speed x3600 --shift-to-now
    """
    configure("critical", "console", sys.stderr)
    try:
        pace = parse_speed(speed)
    except ValueError as exc:
        raise typer.BadParameter(str(exc), param_hint="--speed") from exc
    settings = load_here(CommonSettings, os.environ)
    recorded = _checked(file)
    sent = 0

    async def main(signals: Signals) -> None:
        nonlocal sent
        clock = _MachineClock(signals)
        moved = shift(recorded, pace, clock.now()) if shift_to_now else 0
        producer = Producer(settings.connection, "replay")
        with _Bar(recorded, pace) as bar:
            try:
                await _check(settings.connection, topic)
                await producer.start()
                async for batch in batches(_dues(file, pace, moved), clock):
                    if signals.stop.is_set():
                        return
                    await producer.send(topic, [due.record for due in batch])
                    sent += len(batch)
                    bar.show(sent, batch[-1].after)
            finally:
                await producer.stop()

    status = run(main)
    typer.echo(f"{sent} of {recorded.count} events sent to {topic}.", err=True)
    raise typer.Exit(status or (0 if sent == recorded.count else 130))


async def batches(dues: Iterator[Due], clock: Clock) -> AsyncIterator[Sequence[Due]]:
    """*dues* in their order, as soon as each is due, those that are due by then together."""
    start = clock.now()
    waiting: list[Due] = []
    for due in dues:
        if waiting and (len(waiting) == _BATCH or start + due.after > clock.now()):
            yield waiting
            waiting = []
        missing = start + due.after - clock.now()
        if missing > 0 and not await clock.sleep(missing):
            return
        waiting.append(due)
    if waiting:
        yield waiting


class _MachineClock:
    def __init__(self, signals: Signals) -> None:
        self._stop = signals.stop

    def now(self) -> Instant:
        return present()

    async def sleep(self, span: Span) -> bool:
        await pause(span / SECOND, self._stop)
        return not self._stop.is_set()


async def _check(connection: Connection, topic: str) -> None:
    # A producer would wait for a topic that does not exist, or make it with some number of partitions.
    offsets = Offsets(connection, "replay")
    try:
        if not await offsets.partitions(topic):
            raise Refused(f"there is no topic {topic}: create it first")
    finally:
        await offsets.stop()


def _checked(path: Path) -> Recording:
    """What the file holds.

    Raises:
        BadDocument: names each line that is no event, up to some number; or the file holds none.
    """
    problems: list[Problem] = []
    found = recording(_times(path, problems))
    if problems:
        raise BadDocument(problems[:_NAMED])
    if found is None:
        raise BadDocument([Problem(str(path), 1, "", "expected an event on each line, found none")])
    return found


def _times(path: Path, problems: list[Problem]) -> Iterator[Instant]:
    for number, line in read_lines(path):
        try:
            event = decode_line(line, path, number)
            if event.recount is not None:
                problems.append(
                    Problem(str(path), number, "type", f"{event.type} is written by Plazo alone: leave it out")
                )
            yield event.time
        except BadDocument as exc:
            problems += exc.problems


def _dues(path: Path, speed: Speed, moved: Span) -> Iterator[Due]:
    # Both copies are drawn in step, so that no more than one event is kept between them.
    events, again = tee((line, decode_line(line, path, number)) for number, line in read_lines(path))
    for after, (line, event) in zip(schedule((each.time for _, each in again), speed), events, strict=True):
        yield Due(after, Outgoing(event.item.encode(), _moved(line, event, moved), _HEADERS))


def _moved(line: bytes, event: Event, span: Span) -> bytes:
    if not span:
        return line.strip()
    return _ENCODER.encode({**_OBJECT.decode(line), "time": rfc3339(event.time + span)})


class _Bar:
    """How far it is: by time where the file has its pace, else by events."""

    def __init__(self, recorded: Recording, speed: Speed) -> None:
        self._count = recorded.count
        self._planned = speed.after(recorded.span)
        console = Console(stderr=True)
        columns = (TextColumn("{task.fields[sent]} of {task.fields[count]} events"), BarColumn(), TimeRemainingColumn())
        self._progress = Progress(*columns, console=console, disable=not console.is_terminal)
        self._task = self._progress.add_task("", total=self._planned or self._count, sent=0, count=self._count)

    def __enter__(self) -> _Bar:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def show(self, sent: int, after: Span) -> None:
        """Show that so many events are sent, the last of them due *after* the start."""
        self._progress.update(self._task, completed=after if self._planned else sent, sent=sent)
