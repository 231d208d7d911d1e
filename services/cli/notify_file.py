"""The notifier's `notify.yaml`, for commands."""

from __future__ import annotations

from pathlib import Path

from services.notifier.reading import read_routes
from services.notifier.routing import Routes
from shared.errors import BadDocument, Problem


def read_notify(path: Path) -> Routes:
    """The routes in the file at *path*, with the files that it names.

    Raises:
        BadDocument: it cannot be read, or has mistakes; names file, line and field.
    """
    try:
        return read_routes(path)
    except OSError as exc:
        raise BadDocument([Problem(str(path), 1, "", f"cannot be read: {exc.strerror or exc}")]) from exc
