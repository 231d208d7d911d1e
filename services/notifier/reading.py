"""`notify.yaml` and the files that it names, from the disk."""

from __future__ import annotations

from pathlib import Path

from services.notifier import routes_file
from services.notifier.routing import Routes
from shared.documents import Document
from shared.errors import BadDocument, Problem


def read_routes(path: Path) -> Routes:
    """The routes in the file at *path*, with the directory that it names.

    Raises:
        BadDocument: with every problem of both, each with file, line, field and what was expected.
        OSError: the file at *path* cannot be read.
    """
    text = _text(path)
    beside = {}
    for name in routes_file.files_beside(text, str(path)):
        place = path.parent / name
        if place.is_file():  # what is missing is told of where it is named
            beside[name] = Document(_text(place), str(place))
    return routes_file.parse(text, str(path), beside)


def files_beside(path: Path) -> list[Path]:
    """The other files, and folders of them, that count along with the one at *path*, as far as it can be read."""
    try:
        text = _text(path)
        files = [path.parent / name for name in routes_file.files_beside(text, str(path))]
        folders = [path.parent / name for name in routes_file.folder_beside(text, str(path))]
        languages = [each for folder in folders if folder.is_dir() for each in folder.iterdir() if each.is_dir()]
    except (OSError, BadDocument):
        return []
    return [*files, *folders, *languages]


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as exc:
        raise BadDocument([Problem(str(path), 1, "", "expected text in UTF-8")]) from exc
