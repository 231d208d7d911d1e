"""How commands in another terminal find what `./plazo run` started in this folder."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

FOLDER: Final = Path(".plazo")
_NAME: Final = "running.json"


def surroundings(environment: Mapping[str, str], folder: Path = FOLDER) -> Mapping[str, str]:
    """*environment*, and what a `./plazo run` of this folder adds where it names no Kafka of its own."""
    if "KAFKA_BOOTSTRAP" in environment or "KAFKA_BOOTSTRAP_FILE" in environment:
        return environment
    try:
        found = json.loads((folder / _NAME).read_text())
    except (OSError, ValueError):
        return environment
    return {**found, **environment}


@contextmanager
def announced(folder: Path, settings: Mapping[str, str]) -> Iterator[None]:
    """Let `surroundings` find *settings* until the end of the block."""
    path = folder / _NAME
    path.unlink(missing_ok=True)
    path.touch(mode=0o600)  # a password is in it
    path.write_text(json.dumps(dict(settings)))
    try:
        yield
    finally:
        path.unlink(missing_ok=True)
