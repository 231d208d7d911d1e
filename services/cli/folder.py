"""The folder of `./plazo run`: one owner at a time, and the log of the present run and of the one before."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TextIO

from shared.errors import Refused


@contextmanager
def claimed(folder: Path) -> Iterator[TextIO]:
    """Own *folder* until the end of the block; gives the stream of its `run.log`.

    Raises:
        Refused: it cannot be written, or another process owns it.
    """
    with ExitStack() as stack:
        try:
            log = _opened(folder, stack)
        except BlockingIOError as exc:
            raise Refused(f"{folder} is in use by another `./plazo run`: stop it, or give another --folder") from exc
        except OSError as exc:
            raise Refused(f"the folder {folder} cannot be used: {exc.strerror or exc}") from exc
        yield log


def _opened(folder: Path, stack: ExitStack) -> TextIO:
    folder.mkdir(parents=True, exist_ok=True)
    lock = stack.enter_context((folder / "run.lock").open("w"))
    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    log = folder / "run.log"
    if log.exists():
        log.replace(folder / "run.previous.log")
    return stack.enter_context(log.open("w", buffering=1))
