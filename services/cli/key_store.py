"""The file of API keys as the command line changes it: one change at a time, and never half of a file."""

from __future__ import annotations

import fcntl
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from shared.api_keys import ApiKey, KeyFile, read, write
from shared.errors import Refused


def kept(file: Path) -> KeyFile:
    """The keys in *file*.

    Raises:
        Refused: it cannot be read.
        BadDocument: it names everything that is wrong.
    """
    try:
        return read(file.read_text(encoding="utf-8", errors="replace"), str(file))
    except OSError as exc:
        raise Refused(f"{exc.strerror}: {exc.filename}") from exc


@contextmanager
def changed(file: Path) -> Iterator[list[ApiKey]]:
    """The keys in *file*, to be changed; what they are at the end is written. A file that is not there is made.

    Raises:
        Refused: it cannot be read or written.
        BadDocument: it names everything that is wrong.
    """
    with _alone(file):
        keys = list(kept(file).keys) if file.exists() else []
        yield keys
        _replace(file, write(KeyFile(keys=tuple(keys))))


@contextmanager
def _alone(file: Path) -> Iterator[None]:
    # The folder is locked, because the file itself is replaced.
    try:
        folder = os.open(file.resolve().parent, os.O_RDONLY)
    except OSError as exc:
        raise Refused(f"{exc.strerror}: {exc.filename}") from exc
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)


def _replace(file: Path, text: str) -> None:
    # A service that reads meanwhile finds the old file or the new one.
    target = file.resolve()
    mode = target.stat().st_mode & 0o777 if target.exists() else 0o644  # hashes: services of other users may read them
    try:
        handle, fresh = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
        with open(handle, "w", encoding="utf-8") as out:
            out.write(text)
            out.flush()
            os.fsync(out.fileno())
        Path(fresh).chmod(mode)
        Path(fresh).replace(target)
    except OSError as exc:
        raise Refused(f"{file} cannot be written: {exc.strerror}") from exc
