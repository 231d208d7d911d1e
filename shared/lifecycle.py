"""How a process lives: it starts its parts, runs until a signal or the first error, and stops them in reverse.

Also the timed loop: do one round, then sleep as long as its result says.
"""

from __future__ import annotations

import asyncio
import gc
import signal
import sys
import time
from collections.abc import Awaitable, Callable, Collection, Coroutine, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any, Final, TypeVar

import structlog
import uvloop
from watchfiles import awatch

from shared.errors import BadDocument, PlazoError, TooManyDeadLetters
from shared.metrics import Metrics

log = structlog.get_logger(__name__)
LAG_PROBE_S: Final = 0.25
GARBAGE_S: Final = 5.0  # between two looks for garbage: at what is younger, some 10 ms under load
WHOLE_TURN: Final = 12  # of so many looks one is at everything
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Signals:
    """What the outside tells the process."""

    stop: asyncio.Event = field(default_factory=asyncio.Event)  # set once by SIGTERM or SIGINT
    hangup: asyncio.Event = field(default_factory=asyncio.Event)  # wakes its waiters at each SIGHUP

    def listen(self) -> None:
        """Turn the process's signals into these events."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.stop.set)
        loop.add_signal_handler(signal.SIGHUP, self._hang_up)

    def _hang_up(self) -> None:
        self.hangup.set()
        self.hangup.clear()


def run(main: Callable[[Signals], Coroutine[Any, Any, None]]) -> int:
    """Run *main* until it returns; SIGTERM and SIGINT ask it to stop, SIGHUP to read its files again.

    Returns:
        The exit status: 0 after a clean stop; after an expected error, told on standard error, 2 where it names
        mistakes in a file of the user's, 3 where too much of what is read cannot be used, else 1.
    """

    async def guarded() -> int:
        signals = Signals()
        signals.listen()
        status = 0
        try:
            await main(signals)
        except* PlazoError as group:
            errors = leaves(group)
            status = max(_status(error) for error in errors)
            for error in errors:
                print(error if isinstance(error, BadDocument) else f"plazo: {error}", file=sys.stderr)
        return status

    return uvloop.run(guarded())


def _status(error: BaseException) -> int:
    if isinstance(error, TooManyDeadLetters):
        return 3
    return 2 if isinstance(error, BadDocument) else 1


def leaves(group: BaseExceptionGroup[Any]) -> list[BaseException]:
    """The errors inside nested groups, in order."""
    found: list[BaseException] = []
    for error in group.exceptions:
        found += leaves(error) if isinstance(error, BaseExceptionGroup) else [error]
    return found


async def together(stop: asyncio.Event, *parts: Coroutine[Any, Any, None]) -> None:
    """Run *parts* at once; when one ends or fails, *stop* is set so that the others end too."""

    async def watched(part: Coroutine[Any, Any, None]) -> None:
        try:
            await part
        finally:
            stop.set()

    async with asyncio.TaskGroup() as group:
        for part in parts:
            group.create_task(watched(part))


async def every(
    round_: Callable[[], Awaitable[float]], stop: asyncio.Event, *, wake: asyncio.Event | None = None
) -> None:
    """The timed loop: run *round_* again and again, each time after the seconds that it returned.

    *wake* calls for the next round at once, also when it was set during a round; the loop clears it.
    """
    while not stop.is_set():
        if wake is not None:
            wake.clear()
        await pause(await round_(), stop, wake=wake)


async def unless(stop: asyncio.Event, work: Coroutine[Any, Any, Result]) -> Result | None:
    """The result of *work*, or None when *stop* came first; then *work* is cancelled, and has ended."""
    task, stopped = asyncio.create_task(work), asyncio.create_task(stop.wait())
    try:
        await asyncio.wait((task, stopped), return_when=asyncio.FIRST_COMPLETED)
        return await task if task.done() else None
    finally:
        for each in (task, stopped):
            each.cancel()
        await asyncio.wait((task, stopped))


async def pause(seconds: float, stop: asyncio.Event, *, wake: asyncio.Event | None = None) -> None:
    """Wait *seconds*, but not longer than until *stop* or *wake*."""
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await (stop.wait() if wake is None else _first(stop.wait(), wake.wait()))


async def reload_on_change(
    path: Path,
    reload: Callable[[], Awaitable[None]],
    signals: Signals,
    *,
    metrics: Metrics,
    beside: Callable[[], Iterable[Path]] = tuple,
) -> None:
    """Run *reload* at each SIGHUP and whenever *path* (a file or a folder) changes, or one of the files *beside* it.

    Which those are is asked again after every change. A file that is refused (BadDocument) changes nothing: the log
    says why, and a metric says that it is so.
    """
    ok = metrics.reload_ok.labels(file=path.name)
    ok.set(1)
    changed = asyncio.Event()
    watched = {path, *beside()}
    watchers = [
        asyncio.create_task(_hear(signals.hangup, changed)),
        asyncio.create_task(_watch(watched, changed)),
    ]
    try:
        while not signals.stop.is_set():
            await _first(changed.wait(), signals.stop.wait())
            changed.clear()
            if signals.stop.is_set():
                return
            ok.set(1 if await _reloaded(path, reload) else 0)
            if watched != (watched := {path, *beside()}):
                watchers.pop().cancel()
                watchers.append(asyncio.create_task(_watch(watched, changed)))
    finally:
        for watcher in watchers:
            watcher.cancel()
        await asyncio.wait(watchers)


async def _reloaded(path: Path, reload: Callable[[], Awaitable[None]]) -> bool:
    try:
        await reload()
    except (BadDocument, OSError) as exc:
        log.error(  # noqa: TRY400 # the message names the places in the file; a traceback would hide them
            "not reloaded, the old content stays in use", file=str(path), error=str(exc)
        )
        return False
    log.info("reloaded", file=str(path))
    return True


async def _hear(hangup: asyncio.Event, changed: asyncio.Event) -> None:
    # In a task of its own, so that one that comes in the middle of reading is not missed.
    while True:
        await hangup.wait()
        changed.set()


async def _watch(paths: Collection[Path], changed: asyncio.Event) -> None:
    # Folders are watched, because an editor replaces a file by another of the same name, and Kubernetes the link
    # `..data` through which a mounted file is reached.
    folders = {path.resolve() for path in paths if path.is_dir()}  # at the start and after a change
    files = {path.name for path in paths} | {"..data"}
    around = {path.parent.resolve() for path in paths if not path.is_dir()}  # as above
    try:
        # Without an event to stop it: the library would set that one when this task is cancelled.
        async for changes in awatch(*folders | around, recursive=False):
            places = [Path(name) for _, name in changes]
            if any(place.name in files or place.parent in folders for place in places):
                changed.set()
    except OSError as exc:  # a folder is gone, or the system has no watches left
        names = ", ".join(sorted(map(str, paths)))
        log.error("changes are not noticed any more, only SIGHUP is", file=names, error=str(exc))  # noqa: TRY400 # not a bug


async def _first(*waits: Coroutine[Any, Any, Any]) -> None:
    tasks = [asyncio.create_task(wait) for wait in waits]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()


async def watch_loop(metrics: Metrics, service: str, stop: asyncio.Event) -> None:
    """Measure how late the event loop runs what is due: the time that other work kept it busy."""
    histogram = metrics.event_loop_lag.labels(service=service)
    while not stop.is_set():
        asked = time.perf_counter()
        await asyncio.sleep(LAG_PROBE_S)
        histogram.observe(max(0.0, time.perf_counter() - asked - LAG_PROBE_S))


async def collect_garbage(stop: asyncio.Event, every_s: float = GARBAGE_S) -> None:
    """Look for objects that only hold each other, seldom, and never among those that were there at the start.

    Everything else goes when its last holder does. Python by itself looks whenever 700 more objects were made than
    went, which batches do all the time, and finds none: that took an eighth of the time, and pauses of 100 ms.
    """
    gc.collect()
    gc.freeze()
    gc.disable()
    try:
        for turn in count(1):
            await pause(every_s, stop)
            if stop.is_set():
                return
            gc.collect(1 if turn % WHOLE_TURN else 2)
    finally:
        gc.enable()
        gc.unfreeze()
