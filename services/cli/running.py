"""How commands in another terminal find what `./plazo run` started in this folder."""

from __future__ import annotations

import fcntl
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final, TextIO, TypeVar

from pydantic_settings import BaseSettings

from shared.configuration import load
from shared.errors import Refused

Settings = TypeVar("Settings", bound=BaseSettings)
FOLDER: Final = Path(".plazo")
_NAME: Final = "running.json"


def surroundings(environment: Mapping[str, str], folder: Path = FOLDER) -> Mapping[str, str]:
    """*environment*, and what a `./plazo run` of this folder adds where it names no Kafka of its own."""
    if "KAFKA_BOOTSTRAP" in environment or "KAFKA_BOOTSTRAP_FILE" in environment:
        return environment
    try:
        with (folder / _NAME).open() as file:
            found = {} if _left_behind(file) else json.load(file)
    except (OSError, ValueError):
        return environment
    return {**found, **environment}


def load_here(settings: type[Settings], environment: Mapping[str, str]) -> Settings:
    """*settings*, from the environment or from the `./plazo run` of this folder.

    Raises:
        Refused: names what is missing or wrong.
    """
    around = surroundings(environment)
    try:
        return load(settings, around)
    except Refused as exc:
        if "KAFKA_BOOTSTRAP" in around or "KAFKA_BOOTSTRAP_FILE" in around:
            raise
        raise Refused(f"{exc}\nOr start `./plazo run` in this folder: it is found by itself.") from exc


def runs(folder: Path = FOLDER) -> bool:
    """Whether a `./plazo run` works in *folder*."""
    try:
        with (folder / _NAME).open() as file:
            return not _left_behind(file)
    except OSError:
        return False


@contextmanager
def announced(folder: Path, settings: Mapping[str, str]) -> Iterator[None]:
    """Let `surroundings` find *settings* until the end of the block."""
    path = folder / _NAME
    path.unlink(missing_ok=True)
    path.touch(mode=0o600)  # a password is in it
    with path.open("w") as file:
        file.write(json.dumps(dict(settings)))
        file.flush()
        # The lock ends with the process, also with one that was killed and could not take the file away.
        fcntl.flock(file, fcntl.LOCK_EX)
        try:
            yield
        finally:
            path.unlink(missing_ok=True)


def _left_behind(file: TextIO) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
